"""Root's small part in the first boot and in unlocking, behind a Unix socket for the console's user alone.

A request is `VERB [ARGUMENT]`, a line end, and what only the verb itself may see (a passphrase). The answer is lines,
the last one `= STATUS`; see `usr/lib/innervate/helper` in the image.
"""

import socket
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from appliance.errors import MachineryError
from appliance.model.secret import Secret
from appliance.model.text import clean

SOCKET = Path("/run/innervate-helper.sock")
_ANSWER_BYTES = 1 << 20
_SECONDS = 900.0


class Verb(Enum):
    STATE = "state"
    UNLOCK = "unlock"
    MAKE = "make"
    TPM = "tpm"
    STICK = "stick"
    WRITE_RECOVERY = "write-recovery"
    NETWORK = "network"
    START = "start"
    RESET = "reset"


class Status(Enum):
    """What `usr/lib/innervate/data` says besides success and failure."""

    DONE = 0
    FAILED = 1
    WRONG_PASSPHRASE = 3
    OCCUPIED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: Status
    lines: tuple[str, ...]


class Helper:
    def __init__(self, path: Path = SOCKET) -> None:
        self._path = path

    def is_there(self) -> bool:
        """Only the image has one."""
        return self._path.is_socket()

    def ask(self, verb: Verb, argument: str = "", secret: Secret | None = None) -> Answer:
        """Raises `MachineryError` where nobody answers."""
        request = f"{verb.value} {argument}".rstrip() + "\n" + (secret.reveal() if secret else "")
        try:
            return _parsed(self._exchanged(request.encode()))
        except OSError as error:
            raise _silent(str(error)) from error

    def done(self, verb: Verb, argument: str = "", secret: Secret | None = None) -> tuple[str, ...]:
        """What it said. Raises `MachineryError` where it failed."""
        answer = self.ask(verb, argument, secret)
        if answer.status is not Status.DONE:
            raise MachineryError(
                f"the appliance could not do this: {verb.value} {argument}".rstrip(),
                evidence="; ".join(answer.lines)[-500:],
                next_action="look at it: journalctl -u 'innervate-*'",
            )
        return answer.lines

    def _exchanged(self, request: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as asking:
            asking.settimeout(_SECONDS)
            asking.connect(str(self._path))
            asking.sendall(request)
            asking.shutdown(socket.SHUT_WR)
            answer = bytearray()
            while len(answer) < _ANSWER_BYTES and (data := asking.recv(65536)):
                answer += data
            return bytes(answer)


def _parsed(answer: bytes) -> Answer:
    *lines, last = answer.decode("utf-8", "replace").splitlines() or [""]
    if not last.startswith("= ") or not last[2:].isdecimal():
        raise _silent(clean(last, 200))
    number = int(last[2:])
    status = Status(number) if number in {known.value for known in Status} else Status.FAILED
    return Answer(status=status, lines=tuple(lines))


def _silent(seen: str) -> MachineryError:
    action = "look at it: systemctl status innervate-helper.socket"
    return MachineryError("the appliance's helper does not answer", evidence=seen, next_action=action)
