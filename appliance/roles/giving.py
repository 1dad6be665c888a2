"""Roles as a plan gives them: who gets which before anything is planned for it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from appliance.capabilities import RolePlan
from appliance.errors import PlanError
from appliance.inventory.model import Inventory, MachineRecord
from appliance.model.ids import MachineName
from appliance.plan import Deferred, RoleChoice
from appliance.roles.assign import assign
from appliance.roles.assignment import Assignment, Decision, Filling, Holds, SpareOf, Unused
from appliance.roles.replacement import NoReplacement, replacement
from appliance.roles.role import RoleName, overrides_of

NAME = "roles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """`inventory` has the roles in its records."""

    inventory: Inventory
    choices: tuple[RoleChoice, ...] = ()
    missing: tuple[str, ...] = ()
    deferred: tuple[Deferred, ...] = ()
    successor: MachineName | None = None


def give_roles(topology: RolePlan, inventory: Inventory) -> Given:
    """Nobody gets a role while a machine that may yet be heard of is unknown. Raises `PlanError`."""
    records = _free(topology, inventory)
    unknown = sorted(record.name for record in records if record.facts is None and not record.failed)
    if unknown:
        reason = f"roles are given when all machines are known; not yet: {', '.join(unknown)}"
        return Given(
            inventory=_with(inventory, topology, _kept(records)), deferred=(Deferred(score=NAME, reason=reason),)
        )
    return _given(topology, inventory, _asked(topology, inventory, records, _overrides(topology), _kept(records)))


def hand_over(topology: RolePlan, inventory: Inventory, failed: MachineName) -> Given:
    """A spare takes the role of `failed`. Raises `PlanError` when nobody can."""
    records = _free(topology, inventory)
    kept = _kept(records)
    before = _asked(topology, inventory, records, _overrides(topology), kept)
    successor = replacement(before, failed)
    if isinstance(successor, NoReplacement):
        raise PlanError(successor.why, next_action=successor.next_action)
    others = [record for record in records if record.name != failed]
    overrides = {**_overrides(topology), successor.machine: successor.role}
    overrides.pop(failed, None)
    kept = {name: role for name, role in kept.items() if name != failed}
    given = _given(topology, inventory, _asked(topology, inventory, others, overrides, kept))
    gone = RoleChoice(machine=failed, role="", spare=False, why=successor.why)
    choices = tuple(sorted((*given.choices, gone), key=lambda choice: choice.machine))
    return replace(given, choices=choices, successor=successor.machine)


def _free(topology: RolePlan, inventory: Inventory) -> list[MachineRecord]:
    return [record for name in topology.machines if not (record := inventory.record(name)).in_hand]


def _kept(records: list[MachineRecord]) -> dict[MachineName, RoleName]:
    return {record.name: RoleName(record.role) for record in records if record.role}


def _overrides(topology: RolePlan) -> dict[MachineName, RoleName]:
    return dict(overrides_of(topology.role_overrides))


def _asked(
    topology: RolePlan,
    inventory: Inventory,
    records: list[MachineRecord],
    overrides: Mapping[MachineName, RoleName],
    kept: Mapping[MachineName, RoleName],
) -> Assignment:
    """The largest image counts, whichever a role gets in the end."""
    largest = max((image.raw_bytes for image in inventory.images.values()), default=0)
    sizes = {role.name: largest for role in topology.roles}
    return assign(topology.roles, records, overrides, kept, image_bytes=sizes)


def _given(topology: RolePlan, inventory: Inventory, assignment: Assignment) -> Given:
    roles = {one.machine: one.outcome.role for one in assignment.decisions if isinstance(one.outcome, Holds)}
    return Given(
        inventory=_with(inventory, topology, roles),
        choices=tuple(_choice(decision) for decision in assignment.decisions),
        missing=tuple(_lack(filling) for filling in assignment.fillings if filling.missing or filling.spares_missing),
    )


def _with(inventory: Inventory, topology: RolePlan, roles: Mapping[MachineName, RoleName]) -> Inventory:
    machines = {name: replace(record, role=roles.get(name, "")) for name, record in inventory.machines.items()}
    disks = {str(role.name): (role.disk, role.overwrite) for role in topology.roles}
    return replace(inventory, machines=machines, by_role=True, disks=disks)


def _choice(decision: Decision) -> RoleChoice:
    match decision.outcome:
        case Holds(role=role):
            return RoleChoice(machine=decision.machine, role=role, spare=False, why=decision.why)
        case SpareOf(role=role):
            return RoleChoice(machine=decision.machine, role=role, spare=True, why=decision.why)
        case Unused():
            return RoleChoice(machine=decision.machine, role="", spare=False, why=decision.why)


def _lack(filling: Filling) -> str:
    lines = [f"{filling.role}: {len(filling.machines)} of {filling.wanted} machines"]
    if filling.spares_wanted:
        lines.append(f"{len(filling.spares)} of {filling.spares_wanted} spares")
    refused = (f"{refusal.machine}: {refusal.why}" for refusal in filling.refusals)
    return "; ".join((", ".join(lines), *refused, *filter(None, (filling.next_action,))))
