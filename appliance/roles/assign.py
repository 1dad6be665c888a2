"""Which machine gets which role. Pure, and independent of the order of everything that comes in.

Rules
* An override of the operator beats what a machine has, and what it has beats every rule: nobody is moved unasked.
* Then roles are filled: those with the closest rule first, of equals those with the fewest machines to choose from.
  If all can be filled, they are; if not, each gets what it can have beside those served before it.
* Of the machines that fit, those that meet the closest rule come first, then those in the emptiest place where the role
  is spread, then those with the least to spare, then by name.
* What fits and is left over stands by as a spare.
* A machine with a condition keeps its role and gets no new one, unless the operator says so.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from appliance.errors import PlanError
from appliance.inventory.model import MachineRecord
from appliance.model.hardware import Disk
from appliance.model.ids import MachineName
from appliance.roles.ambiguity import refuse_ambiguity
from appliance.roles.assignment import Assignment, Decision, Ground, Holds, Outcome, SpareOf, Unused
from appliance.roles.disk import choose_disk
from appliance.roles.fit import Fit, Unfit, fit
from appliance.roles.matching import Matching
from appliance.roles.reasons import Picture, filling, why
from appliance.roles.role import Role, RoleName, places_of

_NO_ROLES: Mapping[MachineName, RoleName] = {}
_NO_IMAGES: Mapping[RoleName, int] = {}


def assign(
    roles: Iterable[Role],
    records: Iterable[MachineRecord],
    overrides: Mapping[MachineName, RoleName] = _NO_ROLES,
    kept: Mapping[MachineName, RoleName] = _NO_ROLES,
    *,
    image_bytes: Mapping[RoleName, int] = _NO_IMAGES,
) -> Assignment:
    """`kept`: the role that a machine has, from the moment that anything is written to it for that role.

    Machines in `kept` that are not among `records` do not count. `image_bytes`: the size of what a role's disk gets.
    Too few machines are no error, see `Filling`. Raises `PlanError` for ambiguity, see `appliance.roles.ambiguity`,
    and where the disk of a machine that the operator chose cannot be told.
    """
    asked = _Asked(tuple(roles), tuple(sorted(records, key=lambda record: record.name)), image_bytes)
    refuse_ambiguity(asked.roles, asked.records, overrides, kept)
    outcomes = dict(_fixed(asked, overrides, kept))
    judged = _judged(asked, outcomes)
    served = _served(asked.roles, judged)
    everyone = _with_spares(asked, served, judged, _with_roles(asked, served, judged, outcomes))
    return _told(asked, served, judged, everyone)


@dataclass(frozen=True, slots=True)
class _Asked:
    roles: tuple[Role, ...]
    records: tuple[MachineRecord, ...]
    image_bytes: Mapping[RoleName, int]


_Judged = Mapping[MachineName, Mapping[RoleName, Fit | Unfit]]


def _fixed(
    asked: _Asked, overrides: Mapping[MachineName, RoleName], kept: Mapping[MachineName, RoleName]
) -> Iterator[tuple[MachineName, Holds]]:
    roles = {role.name: role for role in asked.roles}
    for record in asked.records:
        name = record.name
        if name in overrides and overrides[name] != kept.get(name):
            disk = _disk(roles[overrides[name]], record, asked.image_bytes)
            yield name, Holds(role=overrides[name], ground=Ground.OVERRIDE, disk=disk)
        elif name in kept:
            yield name, Holds(role=kept[name], ground=Ground.OVERRIDE if name in overrides else Ground.KEPT)


def _disk(role: Role, record: MachineRecord, image_bytes: Mapping[RoleName, int]) -> Disk | None:
    if record.facts is None:
        return None
    try:
        return choose_disk(record.facts, role.disk, image_bytes.get(role.name, 0), role.overwrite)
    except PlanError as error:
        raise PlanError(
            f"{record.name} is given the role {role.name}: {error}",
            evidence=error.evidence,
            next_action=error.next_action,
        ) from error


def _judged(asked: _Asked, outcomes: Mapping[MachineName, Holds]) -> _Judged:
    return {
        record.name: {role.name: fit(role, record, asked.image_bytes.get(role.name, 0)) for role in asked.roles}
        for record in asked.records
        if record.name not in outcomes
    }


def _served(roles: Sequence[Role], judged: _Judged) -> tuple[Role, ...]:
    choice = Counter(one.role for one in _fits(judged))
    return tuple(sorted(roles, key=lambda role: (-role.specificity, choice[role.name], role.name)))


def _with_roles(
    asked: _Asked, served: Sequence[Role], judged: _Judged, fixed: Mapping[MachineName, Holds]
) -> dict[MachineName, Outcome]:
    having = Counter(outcome.role for outcome in fixed.values())
    wanted = {role.name: max(0, role.count - having[role.name]) for role in served}
    there = {name: outcome.role for name, outcome in fixed.items()}
    chosen = _fill(asked, served, wanted, _fits(judged), there)
    return {**fixed, **{one.machine: Holds(role=one.role, ground=Ground.RULE, disk=one.disk) for one in chosen}}


def _with_spares(
    asked: _Asked, served: Sequence[Role], judged: _Judged, outcomes: Mapping[MachineName, Outcome]
) -> dict[MachineName, Outcome]:
    left = [one for one in _fits(judged) if one.machine not in outcomes]
    there = {name: outcome.role for name, outcome in outcomes.items() if isinstance(outcome, Holds)}
    spares = _fill(asked, served, {role.name: role.spares for role in served}, left, there)
    unused: dict[MachineName, Outcome] = {record.name: Unused() for record in asked.records}
    return {**unused, **outcomes, **{one.machine: SpareOf(role=one.role, disk=one.disk) for one in spares}}


def _fits(judged: _Judged) -> list[Fit]:
    return [one for by_role in judged.values() for one in by_role.values() if isinstance(one, Fit)]


def _fill(
    asked: _Asked,
    served: Sequence[Role],
    wanted: Mapping[RoleName, int],
    fits: Sequence[Fit],
    there: Mapping[MachineName, RoleName],
) -> list[Fit]:
    """`there`: who has which role before; only places look at it."""
    places = {(role.name, record.name): places_of(role.spread, record) for role in served for record in asked.records}
    crowds = {role.name: Counter[str]() for role in served}
    for machine, role_name in there.items():
        if role_name in crowds:
            crowds[role_name].update(places[role_name, machine])
    matching = Matching({role.name: [one.machine for one in fits if one.role == role.name] for role in served})
    room = {role.name: matching.fill(role.name, wanted[role.name]) for role in served}
    chosen: list[Fit] = []
    for role_name, waiting in _closest_first(served, fits):
        crowd = crowds[role_name]
        while room[role_name] and waiting:
            best = min(waiting, key=lambda one: sum(crowd[place] for place in places[one.role, one.machine]))
            waiting.remove(best)
            if matching.settle(role_name, best.machine):
                chosen.append(best)
                room[role_name] -= 1
                crowd.update(places[role_name, best.machine])
    return chosen


def _closest_first(served: Sequence[Role], fits: Sequence[Fit]) -> Iterator[tuple[RoleName, list[Fit]]]:
    """Of each role, the machines that meet equally close parts of its rule, least first."""
    turn = {role.name: at for at, role in enumerate(served)}
    ordered = sorted(fits, key=lambda one: (-one.specificity, turn[one.role], one.rank))
    for (_, role), group in groupby(ordered, key=lambda one: (one.specificity, one.role)):
        yield role, list(group)


def _told(
    asked: _Asked, served: tuple[Role, ...], judged: _Judged, outcomes: Mapping[MachineName, Outcome]
) -> Assignment:
    picture = Picture(
        served=served,
        records=asked.records,
        outcomes=outcomes,
        judged=judged,
        having=_named((outcome.role, name) for name, outcome in outcomes.items() if isinstance(outcome, Holds)),
        spares=_named((outcome.role, name) for name, outcome in outcomes.items() if isinstance(outcome, SpareOf)),
    )
    return Assignment(
        decisions=tuple(
            Decision(machine=record.name, outcome=outcomes[record.name], why=why(record, picture))
            for record in asked.records
        ),
        fillings=tuple(filling(role, picture) for role in served),
        fits=tuple(sorted(_fits(judged), key=lambda one: (one.role, one.rank))),
        roles=served,
        records=asked.records,
    )


def _named(pairs: Iterable[tuple[RoleName, MachineName]]) -> Mapping[RoleName, tuple[MachineName, ...]]:
    groups = groupby(sorted(pairs), key=lambda pair: pair[0])
    return {role: tuple(machine for _, machine in group) for role, group in groups}
