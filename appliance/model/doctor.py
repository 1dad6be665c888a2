"""What the doctor says of the appliance and its boot network, as values; see `appliance.model.views`."""

from dataclasses import dataclass
from enum import Enum


class Check(Enum):
    """In the order in which people read them."""

    DHCP = "other-dhcp"
    ADDRESSES = "duplicate-address"
    LINK = "link"
    SPANNING_TREE = "spanning-tree"
    BOND = "lacp"
    NEIGHBOUR = "lldp"
    CLOCK = "clock"
    SPACE = "disk-space"
    ENCRYPTION = "encryption"
    IMAGES = "images"
    BMCS = "bmc"
    DOWNLOAD = "download"
    SERVICES = "services"
    SETS = "artifact-sets"
    CLUSTERS = "clusters"


class Verdict(Enum):
    """`UNKNOWN`: it could not be found out; the cause says why. That is neither good nor bad."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    UNKNOWN = "not-known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`cause` is one sentence; `command` mends it, or shows more of it. `machine`: it stands in the way of this machine
    alone; "" for all of the site."""

    check: Check
    verdict: Verdict
    cause: str
    evidence: str = ""
    next_action: str = ""
    command: str = ""
    machine: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorView:
    """The last examination; `started` and `ended` in seconds since the epoch, None for not yet. `waiting` are checks
    that are still at work. `version` is another one whenever something has changed."""

    running: bool = False
    version: int = 0
    started: float | None = None
    ended: float | None = None
    waiting: tuple[Check, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorRequest:
    """`patient`: take the time (half a minute) in which every switch port must have said who it is."""

    patient: bool = False


def ranked(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """The worst first."""
    return tuple(sorted(findings, key=lambda one: (_RANKS.index(one.verdict), _CHECKS.index(one.check), one.machine)))


_RANKS = (Verdict.FAILURE, Verdict.WARNING, Verdict.UNKNOWN, Verdict.OK)
_CHECKS = tuple(Check)
