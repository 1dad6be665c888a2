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


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseRule:
    """`budget` is in seconds; None means that a machine may stay there for good."""

    entry: str
    evidence: str
    budget: float | None
    exits: frozenset[Phase]


PHASES: dict[Phase, PhaseRule] = {
    Phase.UNKNOWN: PhaseRule(
        entry="named by the site program",
        evidence="none",
        budget=None,
        exits=frozenset({Phase.ENROLLING}),
    ),
    Phase.ENROLLING: PhaseRule(
        entry="a run wants the machine",
        evidence="BMC identity read; hello from the agent with this attempt's nonce",
        budget=1800,
        exits=frozenset({Phase.INSPECTING, Phase.DEPLOYING, Phase.UNKNOWN}),
    ),
    Phase.INSPECTING: PhaseRule(
        entry="the agent runs",
        evidence="hardware facts received and parsed",
        budget=900,
        exits=frozenset({Phase.AVAILABLE, Phase.ENROLLING}),
    ),
    Phase.AVAILABLE: PhaseRule(
        entry="facts are known",
        evidence="an approved plan names the machine",
        budget=None,
        exits=frozenset({Phase.ENROLLING, Phase.DEPLOYING}),
    ),
    Phase.DEPLOYING: PhaseRule(
        entry="the approved plan reached the disk",
        evidence="every block verified and on the disk; seed written",
        budget=3600,
        exits=frozenset({Phase.BOOTING, Phase.ENROLLING}),
    ),
    Phase.BOOTING: PhaseRule(
        entry="the installed system was told to boot",
        evidence="report with this attempt's nonce from the installed system",
        budget=1800,
        exits=frozenset({Phase.CONFIGURING, Phase.ENROLLING}),
    ),
    Phase.CONFIGURING: PhaseRule(
        entry="the installed system reported",
        evidence="SSH with the reported host key; the machine's own serial number read back",
        budget=900,
        exits=frozenset({Phase.ACTIVE, Phase.ENROLLING}),
    ),
    Phase.ACTIVE: PhaseRule(
        entry="SSH confirmed the machine",
        evidence="none",
        budget=None,
        exits=frozenset({Phase.ENROLLING}),
    ),
}


class ConditionKind(Enum):
    """Stands beside the phase; a machine can be active and held."""

    HOLD = "hold"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """`since` in seconds since the epoch. `step`, `evidence` and `next_action` are empty where they mean nothing."""

    kind: ConditionKind
    since: float
    reason: str
    step: str = ""
    evidence: str = ""
    next_action: str = ""
