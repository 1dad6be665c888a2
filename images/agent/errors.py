"""Errors of the ramdisk agent.

AgentError
|-- ProtocolError      bytes from the server that are not what they claim (theirs)
|-- LinkError          the server does not answer now; asking again may help
|-- TpmError           the machine's TPM refuses, or says what no TPM says
+-- TaskError          a task that cannot or must not be done (reported, never retried here)
    +-- DiskError      a disk is not what the plan says: what is known of this machine is out of date
"""


class AgentError(Exception):
    """`evidence` is what was seen, `next_action` what a person should do."""

    def __init__(self, message: str, *, evidence: str = "", next_action: str = "") -> None:
        super().__init__(message)
        self.evidence = evidence
        self.next_action = next_action


class ProtocolError(AgentError):
    pass


class LinkError(AgentError):
    pass


class TaskError(AgentError):
    pass


class DiskError(TaskError):
    pass


class TpmError(AgentError):
    pass
