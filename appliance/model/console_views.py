"""What is said of a serial console beside its bytes."""

from dataclasses import dataclass
from enum import Enum


class ConsoleState(Enum):
    """`TAKEN`: another client has the BMC's only line. `SILENT`: the BMC does not answer. `REFUSED`: it refuses us.
    `CLOSED`: nothing is at the other end of a socket."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    TAKEN = "taken"
    SILENT = "silent"
    REFUSED = "refused"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleView:
    """`text` is one sentence, `next_action` what a person can do, "" where nothing has to be done."""

    state: ConsoleState
    text: str
    since: float
    evidence: str = ""
    next_action: str = ""
