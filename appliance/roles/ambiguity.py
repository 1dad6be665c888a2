"""What an assignment cannot be made from: names that mean nothing, or two things. It stops and asks."""

from collections import Counter
from collections.abc import Mapping, Sequence

from appliance.errors import PlanError
from appliance.inventory.model import MachineRecord
from appliance.model.ids import MachineName
from appliance.roles.assignment import some
from appliance.roles.role import Role, RoleName
from appliance.roles.rule import NameIn, SerialIn, leaves
from appliance.roles.verdict import serials_of


def refuse_ambiguity(
    roles: Sequence[Role],
    records: Sequence[MachineRecord],
    overrides: Mapping[MachineName, RoleName],
    kept: Mapping[MachineName, RoleName],
) -> None:
    """Raises `PlanError` for the first ambiguity in the order below."""
    _refuse_twins("role", [role.name for role in roles])
    _refuse_twins("machine", [record.name for record in records])
    _refuse_strangers(roles, records, overrides)
    for role in roles:
        _refuse_unknown_names(role, records)
        _refuse_shared_serials(role, records)
        _refuse_crowding(role, records, overrides, kept)


def _refuse_twins(what: str, names: Sequence[str]) -> None:
    if twins := sorted(name for name, count in Counter(names).items() if count > 1):
        raise PlanError(
            f"two of them are called {what} {twins[0]}",
            evidence=f"named more than once: {some(twins)}",
            next_action=f"give each {what} a name of its own",
        )


def _refuse_strangers(
    roles: Sequence[Role], records: Sequence[MachineRecord], overrides: Mapping[MachineName, RoleName]
) -> None:
    known, machines = sorted(role.name for role in roles), sorted(record.name for record in records)
    for machine, role in sorted(overrides.items()):
        if machine not in machines:
            raise PlanError(
                f"{role} is given to {machine}, and there is no such machine",
                evidence=f"machines: {some(machines)}",
                next_action="name one of these, or take the override back",
            )
        if role not in known:
            raise PlanError(
                f"{machine} is given the role {role}, and there is no such role",
                evidence=f"roles: {some(known)}",
                next_action="name one of these, or take the override back",
            )


def _refuse_unknown_names(role: Role, records: Sequence[MachineRecord]) -> None:
    named = {name for leaf in leaves(role.where) if isinstance(leaf, NameIn) for name in leaf.names}
    machines = sorted(record.name for record in records)
    if strangers := sorted(named - set(machines)):
        raise PlanError(
            f"the rule of {role.name} names {some(strangers)}, and there is no such machine",
            evidence=f"machines: {some(machines)}",
            next_action="correct the names in the rule, or add the servers to the topology",
        )


def _refuse_shared_serials(role: Role, records: Sequence[MachineRecord]) -> None:
    named = {serial for leaf in leaves(role.where) if isinstance(leaf, SerialIn) for serial in leaf.serials}
    for serial in sorted(named):
        owners = sorted(record.name for record in records if serial.strip().upper() in serials_of(record))
        if len(owners) > 1:
            raise PlanError(
                f"the rule of {role.name} names serial number {serial}, which {len(owners)} machines have",
                evidence=f"{serial}: {some(owners)}",
                next_action="name the machine by NameIn, or correct the serial number that its firmware shows",
            )


def _refuse_crowding(
    role: Role,
    records: Sequence[MachineRecord],
    overrides: Mapping[MachineName, RoleName],
    kept: Mapping[MachineName, RoleName],
) -> None:
    """One that failed makes room for its successor, so it does not count."""
    asked = sorted(name for name, wanted in overrides.items() if wanted == role.name)
    sound = {record.name for record in records if not record.conditions}
    there = sorted(name for name, has in kept.items() if has == role.name and name in sound and name not in overrides)
    if set(asked) - {name for name, has in kept.items() if has == role.name} and len(asked) + len(there) > role.count:
        raise PlanError(
            f"{role.name} is given to more machines than the {role.count} that it wants",
            evidence=f"given to {some(asked)}; {some(there)} had it before",
            next_action=f"raise the count of {role.name}, take an override back, or give one of them another role",
        )
