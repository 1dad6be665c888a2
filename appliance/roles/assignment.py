"""Which machine has which role, and why: the answer of `appliance.roles.assign`."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from appliance.errors import NotFoundError
from appliance.inventory.model import MachineRecord
from appliance.model.hardware import Disk
from appliance.model.ids import MachineName
from appliance.roles.fit import Fit
from appliance.roles.role import Role, RoleName


class Ground(Enum):
    """What gave a machine its role; the first beats those after it."""

    OVERRIDE = "override"
    KEPT = "kept"
    RULE = "rule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holds:
    """`disk` is the one that the role's contract names; None where the machine keeps its role or was never seen."""

    role: RoleName
    ground: Ground
    disk: Disk | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpareOf:
    role: RoleName
    disk: Disk


@dataclass(frozen=True, slots=True)
class Unused:
    """No role, and spare of none."""


Outcome = Holds | SpareOf | Unused


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`why` is one sentence for people."""

    machine: MachineName
    outcome: Outcome
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a machine does not help a role out; `why` names the first rule that it fails, with the fact."""

    machine: MachineName
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """How far one role is filled. Refusals and the next action are there only where something is missing.

    There can be more machines than wanted: one that has its role already is not moved without being asked.
    """

    role: RoleName
    wanted: int
    machines: tuple[MachineName, ...]
    spares_wanted: int
    spares: tuple[MachineName, ...]
    refusals: tuple[Refusal, ...] = ()
    next_action: str = ""

    @property
    def missing(self) -> int:
        return max(0, self.wanted - len(self.machines))

    @property
    def spares_missing(self) -> int:
        return max(0, self.spares_wanted - len(self.spares))


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Decisions by name of machine, fillings in the order in which roles were served, `fits` of those without a role.

    `roles` and `records` are what was asked.
    """

    decisions: tuple[Decision, ...]
    fillings: tuple[Filling, ...]
    fits: tuple[Fit, ...]
    roles: tuple[Role, ...]
    records: tuple[MachineRecord, ...]

    @property
    def complete(self) -> bool:
        """Every role has its machines. Spares may be missing."""
        return not any(filling.missing for filling in self.fillings)

    def decision(self, machine: MachineName) -> Decision:
        """Raises `NotFoundError`."""
        for decision in self.decisions:
            if decision.machine == machine:
                return decision
        raise NotFoundError(
            f"no machine {machine} was asked about",
            evidence=f"machines: {some([decision.machine for decision in self.decisions])}",
            next_action="name one of these",
        )

    def machines(self, role: RoleName) -> tuple[MachineName, ...]:
        """Those that have the role, by name."""
        return tuple(d.machine for d in self.decisions if isinstance(d.outcome, Holds) and d.outcome.role == role)


def some(names: Sequence[str], limit: int = 6) -> str:
    """ "a, b, c and 5 more", or "none"."""
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "") if names else "none"
