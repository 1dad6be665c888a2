"""Roles: the same facts give the same answer in any order, and an assignment is found wherever there is one."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import PlanError
from appliance.inventory.model import MachineRecord
from appliance.model.hardware import Disk, HardwareFacts
from appliance.model.ids import MachineName
from appliance.roles.assign import assign
from appliance.roles.assignment import Assignment, Ground, Holds, SpareOf, Unused
from appliance.roles.disk import DiskKind, Overwrite, SmallestDisk, choose_disk
from appliance.roles.explain import explain
from appliance.roles.fit import Fit, fit
from appliance.roles.replacement import Replacement, replacement
from appliance.roles.role import Role, RoleName, SpreadOverSwitches
from appliance.roles.rule import (
    AllOf,
    AnyOf,
    AtLeastCores,
    AtLeastDisk,
    AtLeastMemory,
    AtLeastNics,
    Not,
    Rule,
    SerialIn,
    SwitchIs,
)
from appliance.roles.verdict import Answer, judge
from tests.unit.appliance.roles.machines import FAILED, GB, GIB, HELD, disk, facts, holders, machine, nics

NAMES = [f"node-{n}" for n in range(6)]
ROLES = [RoleName(name) for name in ("a", "b", "c")]
LEAVES = st.one_of(
    st.builds(AtLeastCores, st.integers(1, 3)),
    st.builds(AtLeastMemory, st.sampled_from([GIB, 2 * GIB])),
    st.builds(AtLeastDisk, st.just(100 * GB), st.sampled_from(DiskKind)),
    st.builds(AtLeastNics, st.integers(1, 2)),
    st.builds(SwitchIs, st.sampled_from(["s1", "s2"])),
    st.builds(SerialIn, st.lists(st.sampled_from(["SN0", "SN1", "SN2"]), min_size=1, max_size=2).map(tuple)),
)


def nested(rules: st.SearchStrategy[Rule]) -> st.SearchStrategy[Rule]:
    some = st.lists(rules, min_size=1, max_size=3).map(tuple)
    return st.one_of(st.builds(AllOf, some), st.builds(AnyOf, some), st.builds(Not, rules))


RULES: st.SearchStrategy[Rule] = st.recursive(LEAVES, nested, max_leaves=4)


@st.composite
def records(draw: st.DrawFn) -> list[MachineRecord]:
    names = NAMES[: draw(st.integers(0, len(NAMES)))]
    return [draw(record(name)) for name in names]


@st.composite
def record(draw: st.DrawFn, name: str) -> MachineRecord:
    here = facts(
        cores=draw(st.integers(0, 3)),
        gib=draw(st.integers(0, 2)),
        disks=[disk(f"D-{name}", draw(st.sampled_from([50, 200])), rotational=draw(st.booleans()))],
        speeds=[1000] * draw(st.integers(0, 2)),
        switches=draw(st.lists(st.sampled_from(["s1", "s2"]), max_size=1)),
        serial=f"SN{name[-1]}",
    )
    conditions = draw(st.sampled_from([(), (), (), (HELD,), (FAILED,)]))
    return machine(name, here, *conditions, unseen=draw(st.sampled_from([False, False, False, True])))


@st.composite
def roles(draw: st.DrawFn) -> list[Role]:
    return [
        Role(
            name=name,
            count=draw(st.integers(0, 3)),
            where=draw(RULES),
            spares=draw(st.integers(0, 2)),
            spread=draw(st.sampled_from([None, SpreadOverSwitches()])),
        )
        for name in ROLES[: draw(st.integers(0, len(ROLES)))]
    ]


KEPT = st.dictionaries(st.sampled_from([MachineName(n) for n in NAMES]), st.sampled_from([*ROLES, RoleName("gone")]))


KEPT = st.dictionaries(st.sampled_from([MachineName(n) for n in NAMES]), st.sampled_from([*ROLES, RoleName("gone")]))


def by_rule(assignment: Assignment) -> dict[MachineName, RoleName]:
    outcomes = {decision.machine: decision.outcome for decision in assignment.decisions}
    return {m: o.role for m, o in outcomes.items() if isinstance(o, Holds) and o.ground is Ground.RULE}


def turned(record: MachineRecord) -> MachineRecord:
    """The same machine, its parts listed the other way round and named anew."""
    if record.facts is None:
        return record
    here = record.facts
    disks = tuple(replace(d, name=f"nvme{at}n1") for at, d in enumerate(here.disks[::-1]))
    return replace(record, facts=replace(here, disks=disks, nics=here.nics[::-1], neighbours=here.neighbours[::-1]))


@given(records(), roles(), KEPT, st.data())
def test_order_means_nothing(
    here: list[MachineRecord], wanted: list[Role], kept: Mapping[MachineName, RoleName], data: st.DataObject
) -> None:
    first = assign(wanted, here, kept=kept)
    shuffled = dict(data.draw(st.permutations(list(kept.items()))))
    again = assign(data.draw(st.permutations(wanted)), map(turned, data.draw(st.permutations(here))), kept=shuffled)
    assert holders(again) == holders(first)
    assert again.fillings == first.fillings
    assert [d.why for d in again.decisions] == [d.why for d in first.decisions]
    assert (assign(wanted, here, kept=kept), explain(first)) == (first, explain(assign(wanted[::-1], here, kept=kept)))


@given(records(), roles(), KEPT)
def test_what_always_holds(here: list[MachineRecord], wanted: list[Role], kept: Mapping[MachineName, RoleName]) -> None:
    assignment = assign(wanted, here, kept=kept)
    assert [d.machine for d in assignment.decisions] == [r.name for r in here]
    assert all(d.why and d.machine in explain(assignment) for d in assignment.decisions)
    assert {m: r for m, r in kept.items() if m in [record.name for record in here]}.items() <= holders(
        assignment
    ).items()
    fits = {(one.role, one.machine) for one in assignment.fits}
    free = {r.name for r in here if r.facts and not r.conditions}
    chosen = by_rule(assignment)
    assert chosen.keys() <= free - kept.keys()
    assert {(role, machine) for machine, role in chosen.items()} <= fits
    had = Counter(kept[r.name] for r in here if r.name in kept)
    for role in wanted:
        assert list(chosen.values()).count(role.name) <= max(0, role.count - had[role.name])
    for decision in assignment.decisions:
        if isinstance(decision.outcome, SpareOf):
            assert (decision.outcome.role, decision.machine) in fits
    for filling in assignment.fillings:
        assert len(filling.spares) <= filling.spares_wanted
        assert bool(filling.next_action) == bool(filling.missing or filling.spares_missing)


@given(records(), roles())
def test_an_assignment_is_found_where_there_is_one(here: list[MachineRecord], wanted: list[Role]) -> None:
    """Against every way there is: as many as can be in all, and as many as can be for each role in its turn."""
    assignment = assign(wanted, here)
    served = [filling.role for filling in assignment.fillings]
    room = {role.name: role.count for role in wanted}
    able = [[None, *(r.name for r in wanted if isinstance(fit(r, record), Fit))] for record in here]
    ways = (Counter(role for role in way if role) for way in product(*able))
    numbers = [tuple(way[role] for role in served) for way in ways if all(way[r] <= room[r] for r in served)]
    got = tuple(len(filling.machines) for filling in assignment.fillings)
    assert got == max(numbers)
    assert sum(got) == max(map(sum, numbers))


@given(records(), roles())
def test_nobody_left_over_would_have_been_the_better_choice(here: list[MachineRecord], wanted: list[Role]) -> None:
    wanted = [replace(role, spread=None) for role in wanted]
    assignment = assign(wanted, here)
    order = {(one.role, one.machine): (-one.specificity, one.rank) for one in assignment.fits}
    left = [d.machine for d in assignment.decisions if not isinstance(d.outcome, Holds)]
    for machine_name, role in by_rule(assignment).items():
        assert all(order[role, machine_name] < order[role, other] for other in left if (role, other) in order)


@given(records(), roles())
def test_asked_again_with_what_it_answered_it_answers_the_same(here: list[MachineRecord], wanted: list[Role]) -> None:
    first = assign(wanted, here)
    kept = by_rule(first)
    assert holders(assign(wanted, here, kept=kept)) == holders(first)


@given(records(), roles())
def test_a_successor_fits_and_takes_nobody_s_place(here: list[MachineRecord], wanted: list[Role]) -> None:
    assignment = assign(wanted, here)
    for machine_name, role in by_rule(assignment).items():
        found = replacement(assignment, machine_name)
        outcomes = {d.machine: d.outcome for d in assignment.decisions}
        ready = {m for m, o in outcomes.items() if isinstance(o, SpareOf) and o.role == role}
        able = {one.machine for one in assignment.fits if one.role == role}
        unused = {m for m, o in outcomes.items() if isinstance(o, Unused)} & able
        assert isinstance(found, Replacement) == bool(ready or unused)
        if isinstance(found, Replacement):
            assert found.machine in (ready or unused)


@given(RULES)
def test_of_a_machine_that_was_never_seen_no_rule_is_met(rule: Rule) -> None:
    assert judge(rule, machine("node-0", unseen=True)).answer is Answer.UNKNOWN


DISKS = st.lists(
    st.builds(
        lambda number, size, rotational, contents: disk(
            f"S{number}", size, rotational=rotational, contents="blank" if contents else "gpt:1"
        ),
        st.integers(0, 99),
        st.sampled_from([100, 480, 480, 960]),
        st.booleans(),
        st.booleans(),
    ),
    min_size=2,
    max_size=8,
    unique_by=lambda d: d.serial,
).map(lambda disks: [replace(d, wwn=f"naa.{d.serial}") for d in disks])


def chosen_of(here: HardwareFacts, overwrite: Overwrite) -> tuple[str, str] | str:
    try:
        chosen = choose_disk(here, SmallestDisk(minimum_bytes=200 * GB), GB, overwrite)
    except PlanError as error:
        return str(error)
    return chosen.serial, chosen.wwn


@settings(max_examples=500)
@given(DISKS, st.sampled_from(Overwrite), st.data())
def test_names_and_order_of_disks_and_nics_choose_nothing(
    disks: list[Disk], overwrite: Overwrite, data: st.DataObject
) -> None:
    names = [f"sd{letter}" for letter in "abcdefgh"[: len(disks)]]

    def boot(order: list[Disk], letters: list[str], links: list[int]) -> HardwareFacts:
        named = tuple(replace(d, name=name) for d, name in zip(order, letters, strict=True))
        ports = nics(*[1000] * len(links))
        return replace(facts(), disks=named, nics=tuple(ports[at] for at in links))

    first = boot(disks, names, [0, 1, 2])
    later = boot(
        data.draw(st.permutations(disks)), data.draw(st.permutations(names)), data.draw(st.permutations([0, 1, 2]))
    )
    assert chosen_of(later, overwrite) == chosen_of(first, overwrite)
    role = Role(name=ROLES[0], count=1, where=AtLeastNics(3), overwrite=overwrite)
    both = [assign([role], [machine("node-0", here)]).decisions[0].outcome for here in (first, later)]
    assert [isinstance(o, Holds) for o in both] in ([True, True], [False, False])
    assert len({(o.disk.serial, o.disk.wwn) for o in both if isinstance(o, Holds) and o.disk}) <= 1
