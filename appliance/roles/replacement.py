"""Who takes over when a machine fails."""

from dataclasses import dataclass

from appliance.model.hardware import Disk
from appliance.model.ids import MachineName
from appliance.roles.assignment import Assignment, Holds, Outcome, SpareOf, Unused, some
from appliance.roles.fit import Fit
from appliance.roles.role import RoleName, places_of
from appliance.roles.rule import describe


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """`machine` is to have the role, on `disk`: it becomes an override, and the failed one is kept no more."""

    machine: MachineName
    role: RoleName
    disk: Disk
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoReplacement:
    why: str
    next_action: str


def replacement(assignment: Assignment, failed: MachineName) -> Replacement | NoReplacement:
    """The role's own spares first, then machines without use; a spare of another role is left to that role.

    Of several, the one in the emptiest place, then with the least to spare. Raises `NotFoundError`.
    """
    outcome = assignment.decision(failed).outcome
    if not isinstance(outcome, Holds):
        return NoReplacement(why=f"{failed} has no role that another could take", next_action="nothing is needed")
    outcomes = {decision.machine: decision.outcome for decision in assignment.decisions}
    able = [one for one in assignment.fits if one.role == outcome.role and one.machine != failed]
    for what, candidates in (
        (f"it is a spare of {outcome.role}", [one for one in able if _is_spare(outcomes[one.machine], one.role)]),
        ("it has no role", [one for one in able if isinstance(outcomes[one.machine], Unused)]),
    ):
        if candidates:
            best = min(candidates, key=lambda one: (_crowd(assignment, one, failed), one.rank))
            why = f"{best.machine} takes {best.role} from {failed}: {what} and {best.why}"
            return Replacement(machine=best.machine, role=best.role, disk=best.disk, why=why)
    return _nobody(assignment, outcome.role, able)


def _is_spare(outcome: Outcome, role: RoleName) -> bool:
    return isinstance(outcome, SpareOf) and outcome.role == role


def _crowd(assignment: Assignment, one: Fit, failed: MachineName) -> int:
    """How many of the role's other machines stand where this one does."""
    role = next(role for role in assignment.roles if role.name == one.role)
    records = {record.name: record for record in assignment.records}
    here = places_of(role.spread, records[one.machine])
    others = (name for name in assignment.machines(one.role) if name != failed)
    return sum(len(here & places_of(role.spread, records[name])) for name in others)


def _nobody(assignment: Assignment, role: RoleName, able: list[Fit]) -> NoReplacement:
    busy = [one.machine for one in able]
    another = [f"add a machine that meets '{describe(one.where)}'" for one in assignment.roles if one.name == role]
    return NoReplacement(
        why=f"no spare of {role} and no unused machine fits; those that fit and are taken: {some(busy)}",
        next_action=", or ".join(["repair it", *another]),
    )
