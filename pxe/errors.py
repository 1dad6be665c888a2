"""Errors of the boot services.

PxeError
|-- PacketError        bytes from the network that are not what they claim (theirs)
|-- ConfigError        what we were asked to serve makes no sense (ours)
+-- ServiceError       a socket, file or journal refused (the machine's)
"""


class PxeError(Exception):
    """`evidence` is what was seen, `next_action` what a person should do."""

    def __init__(self, message: str, *, evidence: str = "", next_action: str = "") -> None:
        super().__init__(message)
        self.evidence = evidence
        self.next_action = next_action


class PacketError(PxeError):
    pass


class ConfigError(PxeError):
    pass


class ServiceError(PxeError):
    pass
