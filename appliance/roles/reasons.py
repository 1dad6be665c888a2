"""Why a machine has, or has not, a role: one plain sentence each, quoting the facts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from appliance.inventory.model import MachineRecord
from appliance.model.ids import MachineName
from appliance.roles.assignment import Filling, Ground, Holds, Outcome, Refusal, SpareOf, Unused, some
from appliance.roles.fit import Fit, Obstacle, Unfit, conditions
from appliance.roles.role import Role, RoleName
from appliance.roles.rule import describe
from appliance.roles.verdict import Answer, judge


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """All that reasons are drawn from. `served`: the roles in their order; `judged`: machines that could get one.

    `having` and `spares`: the machines of each role, by name.
    """

    served: Sequence[Role]
    records: Sequence[MachineRecord]
    outcomes: Mapping[MachineName, Outcome]
    judged: Mapping[MachineName, Mapping[RoleName, Fit | Unfit]]
    having: Mapping[RoleName, tuple[MachineName, ...]]
    spares: Mapping[RoleName, tuple[MachineName, ...]]


def why(record: MachineRecord, picture: Picture) -> str:
    outcome = picture.outcomes[record.name]
    match outcome:
        case Holds(role=role, ground=Ground.OVERRIDE):
            return _overridden(role, record, picture)
        case Holds(role=role, ground=Ground.KEPT):
            return _kept(role, record, picture)
        case Holds(role=role):
            before = picture.served[: [one.name for one in picture.served].index(role)]
            return _sentence(picture.judged[record.name][role].why, *_others(before, record.name, picture))
        case SpareOf(role=role):
            return _sentence(picture.judged[record.name][role].why, *_others(picture.served, record.name, picture))
        case Unused():
            return _sentence(*_others(picture.served, record.name, picture)) or "no role is wanted"
        case _:
            assert_never(outcome)


def filling(role: Role, picture: Picture) -> Filling:
    having, spares = picture.having.get(role.name, ()), picture.spares.get(role.name, ())
    done = Filling(role=role.name, wanted=role.count, machines=having, spares_wanted=role.spares, spares=spares)
    if not done.missing and not done.spares_missing:
        return done
    others = sorted({record.name for record in picture.records} - {*having, *spares})
    return replace(
        done,
        refusals=tuple(Refusal(machine=name, why=_no_help(role.name, name, picture)) for name in others),
        next_action=_remedy(role, done.missing + done.spares_missing, picture),
    )


def _overridden(name: RoleName, record: MachineRecord, picture: Picture) -> str:
    verdict = judge(_role(name, picture).where, record)
    doubt = f", although it {verdict.sentence}" if verdict.answer is not Answer.YES else ""
    return _sentence(f"the operator gave it this role{doubt}", conditions(record))


def _kept(name: RoleName, record: MachineRecord, picture: Picture) -> str:
    known = name in [role.name for role in picture.served]
    gone = "" if known else "the site program names this role no more"
    return _sentence("it has this role already and is not moved unasked", gone, conditions(record))


def _others(roles: Iterable[Role], machine: MachineName, picture: Picture) -> tuple[str, ...]:
    """Why it has none of these roles: they are full, or it is unfit; roles of one reason are named together."""
    full, unfit = list[str](), dict[str, list[RoleName]]()
    for role in roles:
        match picture.judged[machine][role.name]:
            case Fit():
                having = some(picture.having.get(role.name, ()))
                full.append(f"{role.name} wanted {role.count} and has {having}")
            case Unfit(why=reason):
                unfit.setdefault(reason, []).append(role.name)
    return *full, *(f"{', '.join(names)}: {reason}" for reason, names in unfit.items())


def _no_help(role: RoleName, machine: MachineName, picture: Picture) -> str:
    one = picture.judged.get(machine, {}).get(role)
    if isinstance(one, Unfit):
        return one.why
    outcome = picture.outcomes[machine]
    match outcome:
        case Holds(role=other):
            return f"it is {other}"
        case SpareOf(role=other):
            return f"it is a spare of {other}"
        case Unused():
            return "it is left over"
        case _:
            assert_never(outcome)


def _remedy(role: Role, missing: int, picture: Picture) -> str:
    hindered = [
        one
        for by_role in picture.judged.values()
        if isinstance(one := by_role[role.name], Unfit) and one.obstacle is not Obstacle.RULE
    ]
    firsts = {obstacle: [one for one in hindered if one.obstacle is obstacle][:1] for obstacle in Obstacle}
    ways = [one.next_action for first in firsts.values() for one in first]
    machines = "1 machine that meets" if missing == 1 else f"{missing} machines that meet"
    return "; or ".join([*ways, f"add {machines} '{describe(role.where)}', or ask for less"])


def _role(name: RoleName, picture: Picture) -> Role:
    return next(role for role in picture.served if role.name == name)


def _sentence(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
