"""What is said when the appliance leaves a site, and when it forgets one; see `appliance.model.views`."""

from dataclasses import dataclass, field
from enum import Enum


class Fate(Enum):
    """Of a BMC's log-in. `HANDED_OVER` is proven: the password that the appliance had is refused, a new one works."""

    HANDED_OVER = "handed-over"
    YOURS = "yours"
    """A person gave it, and it was not changed."""
    NOT_PROVEN = "not-proven"
    """A new one works, and whether the old one does, too, could not be seen, or it does."""
    NOT_REACHED = "not-reached"
    """Nothing was changed as far as we know; the hand-over has the last log-in that worked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBmcView:
    url: str
    machine: str
    user: str
    fate: Fate
    problem: str = ""
    evidence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveRequest:
    """`site` is its name, typed; `passphrase` seals the hand-over."""

    site: str
    passphrase: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveView:
    """`hand_over` is a sealed file in base64: the log-ins that nobody else knows. `keys` are public keys of the
    appliance that stay on machines which it installed."""

    bmcs: tuple[LeftBmcView, ...]
    hand_over: str
    keys: tuple[str, ...] = ()


class Erasure(Enum):
    DISK = "disk"
    """The data partition; the computer starts anew and asks its first questions."""
    FOLDER = "folder"
    """The state folder; the daemon ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetRequest:
    """`site` is its name, typed."""

    site: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetView:
    erases: Erasure
