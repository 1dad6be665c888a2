"""Where a machine stands. The table is the whole truth; the diagram in the documentation is drawn from it."""

from dataclasses import dataclass
from enum import Enum


class Phase(Enum):
    UNKNOWN = "unknown"
    ENROLLING = "enrolling"
    INSPECTING = "inspecting"
    AVAILABLE = "available"
    DEPLOYING = "deploying"
    BOOTING = "booting"
    CONFIGURING = "configuring"
    ACTIVE = "active"
    PREPARING = "preparing"
    RESCUE = "rescue"
    RELEASING = "releasing"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseRule:
    """`budget` is in seconds; None means that a machine may stay there for good."""

    entry: str
    evidence: str
    budget: float | None
    exits: frozenset[Phase]


_ANYTIME = frozenset({Phase.ENROLLING, Phase.PREPARING, Phase.RELEASING, Phase.RETIRED, Phase.RESCUE})
"""A machine can be taken in hand from wherever it stands."""


PHASES: dict[Phase, PhaseRule] = {
    Phase.UNKNOWN: PhaseRule(
        entry="named by the site program",
        evidence="none",
        budget=None,
        exits=_ANYTIME,
    ),
    Phase.ENROLLING: PhaseRule(
        entry="a run wants the machine",
        evidence="BMC identity read; hello from the agent with this attempt's nonce",
        budget=1800,
        exits=frozenset({Phase.INSPECTING, Phase.DEPLOYING, Phase.UNKNOWN}) | _ANYTIME - {Phase.ENROLLING},
    ),
    Phase.INSPECTING: PhaseRule(
        entry="the agent runs",
        evidence="hardware facts received and parsed",
        budget=900,
        exits=frozenset({Phase.AVAILABLE}) | _ANYTIME,
    ),
    Phase.AVAILABLE: PhaseRule(
        entry="facts are known",
        evidence="an approved plan names the machine",
        budget=None,
        exits=frozenset({Phase.DEPLOYING, Phase.INSPECTING}) | _ANYTIME,
    ),
    Phase.DEPLOYING: PhaseRule(
        entry="the approved plan reached the disk",
        evidence="every block verified and on the disk; seed written",
        budget=3600,
        exits=frozenset({Phase.BOOTING}) | _ANYTIME,
    ),
    Phase.BOOTING: PhaseRule(
        entry="the installed system was told to boot",
        evidence="report with this attempt's nonce from the installed system",
        budget=2000,
        exits=frozenset({Phase.CONFIGURING}) | _ANYTIME,
    ),
    Phase.CONFIGURING: PhaseRule(
        entry="the installed system reported",
        evidence="SSH with the reported host key; the machine's own serial number read back",
        budget=900,
        exits=frozenset({Phase.ACTIVE}) | _ANYTIME,
    ),
    Phase.ACTIVE: PhaseRule(
        entry="SSH confirmed the machine",
        evidence="none",
        budget=None,
        exits=_ANYTIME,
    ),
    Phase.PREPARING: PhaseRule(
        entry="its disks are to be wiped for use by others",
        evidence="zeros read back from every disk named; facts read again",
        budget=36000,
        exits=frozenset({Phase.INSPECTING}) | _ANYTIME - {Phase.PREPARING},
    ),
    Phase.RESCUE: PhaseRule(
        entry="a person asked for the rescue system",
        evidence="its SSH server's host key; a person ends it",
        budget=None,
        exits=frozenset({Phase.CONFIGURING}) | _ANYTIME - {Phase.RESCUE},
    ),
    Phase.RELEASING: PhaseRule(
        entry="it is being decommissioned",
        evidence="drained; zeros read back from every byte of its disks",
        budget=36000,
        exits=frozenset({Phase.INSPECTING}) | _ANYTIME - {Phase.RELEASING},
    ),
    Phase.RETIRED: PhaseRule(
        entry="off; lease, name, boot intent and BMC log-in are gone",
        evidence="none: the record is kept",
        budget=None,
        exits=frozenset({Phase.ENROLLING}),
    ),
}


class ConditionKind(Enum):
    """Stands beside the phase; a machine can be active and held."""

    HOLD = "hold"
    FAILED = "failed"
    STUCK = "stuck"
    DEGRADED = "degraded"
    UNREACHABLE = "unreachable"


CONDITIONS: dict[ConditionKind, str] = {
    ConditionKind.HOLD: "a person, or a reflex, wants nothing to touch the machine until it is released",
    ConditionKind.FAILED: "the last step failed for good; it ends when the next step begins",
    ConditionKind.STUCK: "longer in its phase than the phase's budget, or the appliance itself cannot go on with it",
    ConditionKind.DEGRADED: (
        "it is not what was installed, its firmware measured something else, or another machine has taken its role"
    ),
    ConditionKind.UNREACHABLE: "it is active and does not answer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """`since` in seconds since the epoch. `step`, `evidence`, `next_action` and `code` are empty where they mean
    nothing; `code` is that of the error that it came of. `by` is the person who wanted it."""

    kind: ConditionKind
    since: float
    reason: str
    step: str = ""
    evidence: str = ""
    next_action: str = ""
    by: str = ""
    code: str = ""
