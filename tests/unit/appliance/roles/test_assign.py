"""Who gets which role: overrides, kept roles, conditions, closeness, dead ends, spares, places, disks, ambiguity."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from appliance.errors import NotFoundError, PlanError, SiteError
from appliance.inventory.model import MachineRecord
from appliance.model.ids import MachineName
from appliance.roles.assign import assign
from appliance.roles.assignment import Ground, Holds, SpareOf, Unused, some
from appliance.roles.disk import DiskBySerial, DiskKind, Overwrite, SmallestDisk, Tie
from appliance.roles.replacement import NoReplacement, Replacement, replacement
from appliance.roles.role import Role, RoleName, SpreadOver, SpreadOverSwitches, overrides_of
from appliance.roles.rule import (
    ANY_MACHINE,
    AllOf,
    AnyOf,
    AtLeastCores,
    AtLeastDisk,
    NameIn,
    Not,
    ProductIs,
    SerialIn,
)
from tests.unit.appliance.roles.machines import CONTROL, FAILED, GB, HELD, WORKER, disk, facts, holders, machine

Names = Mapping[MachineName, RoleName]
N = [MachineName(f"node-{n}") for n in range(10)]
ALIKE = [machine(name) for name in N[:4]]


def cores(*counts: int) -> list[MachineRecord]:
    return [
        machine(f"node-{at}", facts(cores=count, disks=[disk(f"D-{at}")], serial=f"SN{at}"))
        for at, count in enumerate(counts)
    ]


def worker(count: int, spares: int = 0) -> Role:
    return Role(name=WORKER, count=count, where=AtLeastCores(4), spares=spares)


def control(count: int) -> Role:
    return Role(name=CONTROL, count=count, where=AtLeastCores(8))


def test_of_those_that_fit_the_least_comes_first_then_the_name() -> None:
    assignment = assign([worker(2, spares=1)], cores(64, 4, 2, 8, 4, 8))
    assert holders(assignment) == {"node-1": WORKER, "node-4": WORKER}
    assert assignment.complete
    assert assignment.decision(N[3]).outcome == SpareOf(role=WORKER, disk=disk("D-3"))
    assert assignment.decision(N[5]).outcome == Unused()
    assert assignment.decision(N[1]).why == "meets 'at least 4 cores': 4 cores"
    assert assignment.decision(N[3]).why.endswith("8 cores; worker wanted 2 and has node-1, node-4")
    assert assignment.decision(N[5]).why == "worker wanted 2 and has node-1, node-4"
    assert assignment.decision(N[2]).why == "worker: does not meet 'at least 4 cores': 2 cores"


def test_like_machines_do_not_differ_by_what_firmware_kept() -> None:
    records = [machine("node-0", facts(gib=15.61)), machine("node-1", facts(gib=15.6))]
    assert holders(assign([worker(1)], records)) == {"node-0": WORKER}


def test_the_closest_rule_wins() -> None:
    named = Role(name=RoleName("storage"), count=1, where=SerialIn(("SN1",)))
    product = Role(name=RoleName("gpu"), count=1, where=ProductIs("R640"))
    records = [replace(r, facts=replace(r.facts, product="R640")) for r in cores(4, 4, 4) if r.facts]
    assert holders(assign([worker(1), product, named], records)) == {
        "node-0": "gpu",
        "node-1": "storage",
        "node-2": WORKER,
    }


def test_the_part_of_a_rule_that_a_machine_meets_counts() -> None:
    """`picky` is vague as a whole, and still names node-0 more closely than `worker` does."""
    picky = Role(name=RoleName("picky"), count=1, where=AnyOf((SerialIn(("SN0",)), Not(AtLeastCores(99)))))
    assert holders(assign([picky, worker(1)], cores(4, 4))) == {"node-0": "picky", "node-1": WORKER}


def test_no_dead_end() -> None:
    """Taken one by one, `a` would have node-0, then `b` node-1, and nothing would be left for `c`."""
    a, b, c = (
        Role(name=RoleName(name), count=1, where=NameIn(names))
        for name, names in (("a", (N[0], N[1])), ("b", (N[1], N[2])), ("c", (N[0], N[1])))
    )
    for roles in ([a, b, c], [c, b, a]):
        assert holders(assign(roles, ALIKE[:3])) == {"node-0": "a", "node-1": "c", "node-2": "b"}


def test_the_scarcer_of_equals_is_served_first() -> None:
    any_one = Role(name=RoleName("any"), count=2, where=AtLeastCores(1))
    assignment = assign([any_one, control(1)], cores(8, 2))
    assert holders(assignment) == {"node-0": CONTROL, "node-1": "any"}
    assert [(filling.role, filling.missing) for filling in assignment.fillings] == [(CONTROL, 0), ("any", 1)]


def test_nobody_is_moved_unasked() -> None:
    kept = {N[0]: WORKER, N[2]: RoleName("gone")}
    assignment = assign([worker(1)], cores(2, 4, 4), kept=kept)
    assert holders(assignment) == {"node-0": WORKER, "node-2": "gone"}
    assert assignment.decision(N[0]).why == "it has this role already and is not moved unasked"
    assert assignment.decision(N[2]).why.endswith("; the site program names this role no more")


def test_more_than_wanted_stay() -> None:
    filling = assign([worker(1)], ALIKE, kept={N[0]: WORKER, N[1]: WORKER}).fillings[0]
    assert (filling.machines, filling.missing, filling.next_action) == ((N[0], N[1]), 0, "")


def test_an_override_beats_rules_and_kept_roles() -> None:
    assignment = assign([worker(1), control(1)], cores(2, 4, 8), {N[0]: CONTROL, N[2]: WORKER}, {N[2]: CONTROL})
    assert holders(assignment) == {"node-0": CONTROL, "node-2": WORKER}
    assert assignment.decision(N[0]).outcome == Holds(role=CONTROL, ground=Ground.OVERRIDE, disk=disk("D-0"))
    assert assignment.decision(N[0]).why == (
        "the operator gave it this role, although it does not meet 'at least 8 cores': 2 cores"
    )
    assert assignment.decision(N[2]).why == "the operator gave it this role"


def test_an_override_that_says_what_is_so_touches_no_disk() -> None:
    installed = machine("node-0", facts(disks=[disk("D", contents="gpt:1")]))
    assignment = assign([worker(1)], [installed], {N[0]: WORKER}, {N[0]: WORKER})
    assert assignment.decision(N[0]).outcome == Holds(role=WORKER, ground=Ground.OVERRIDE)


def test_conditions_keep_a_role_and_get_none() -> None:
    records = [machine("node-0", None, FAILED), machine("node-1", None, HELD, FAILED), machine("node-2", None, HELD)]
    assignment = assign([worker(3)], records, kept={N[0]: WORKER}, overrides={N[2]: WORKER})
    assert holders(assignment) == {"node-0": WORKER, "node-2": WORKER}
    assert assignment.decision(N[0]).why.endswith("; failed: the BMC is silent")
    assert assignment.decision(N[1]).why == "worker: failed: the BMC is silent; hold: new fans"
    assert assignment.fillings[0].next_action.startswith("repair or release node-1; or add 1 machine that meets 'at")


def test_a_machine_that_was_never_seen_gets_no_role_but_the_operator_s() -> None:
    records = [machine("node-0", unseen=True), machine("node-1", unseen=True)]
    assignment = assign([worker(2)], records, {N[0]: WORKER})
    assert assignment.decision(N[0]).outcome == Holds(role=WORKER, ground=Ground.OVERRIDE)
    assert assignment.decision(N[1]).why == "worker: its hardware is not known yet"
    assert assignment.fillings[0].next_action.startswith("discover node-1; or add 1 machine")


def test_a_name_alone_gives_no_role_to_a_machine_that_was_never_seen() -> None:
    named = Role(name=WORKER, count=1, where=NameIn((N[0],)))
    assert holders(assign([named], [machine("node-0", unseen=True)])) == {}


def test_what_a_role_lacks() -> None:
    assignment = assign([control(3), worker(1, spares=2)], cores(2, 4, 8, 8))
    lacking = {filling.role: filling for filling in assignment.fillings}
    assert not assignment.complete
    assert lacking[CONTROL].missing == 1
    assert [(r.machine, r.why) for r in lacking[CONTROL].refusals] == [
        ("node-0", "does not meet 'at least 8 cores': 2 cores"),
        ("node-1", "does not meet 'at least 8 cores': 4 cores"),
    ]
    assert (lacking[WORKER].missing, lacking[WORKER].spares_missing) == (0, 2)
    assert [r.why for r in lacking[WORKER].refusals] == [
        "does not meet 'at least 4 cores': 2 cores",
        "it is control-plane",
        "it is control-plane",
    ]
    assert lacking[WORKER].next_action == "add 2 machines that meet 'at least 4 cores', or ask for less"


def test_no_roles_at_all() -> None:
    assert [decision.why for decision in assign([], ALIKE[:1]).decisions] == ["no role is wanted"]


@pytest.mark.parametrize("names", [N[:4], N[3::-1]])
def test_spread_is_a_preference(names: Sequence[MachineName]) -> None:
    switches = {"node-0": "a", "node-1": "a", "node-2": "b", "node-3": "b"}
    records = [machine(name, facts(switches=[switches[name]])) for name in names]
    role = Role(name=CONTROL, count=2, where=ANY_MACHINE, spread=SpreadOverSwitches())
    assert set(holders(assign([role], records))) == {"node-0", "node-2"}
    assert set(holders(assign([role], records, kept={N[2]: CONTROL}))) == {"node-0", "node-2"}
    assert len(holders(assign([replace(role, count=4)], records))) == 4


def test_spread_over_racks() -> None:
    role = Role(name=CONTROL, count=2, where=ANY_MACHINE, spread=SpreadOver(places=((N[0], N[1]), (N[3],))))
    assert set(holders(assign([role], ALIKE))) == {"node-0", "node-2"}
    assert set(holders(assign([replace(role, count=3)], ALIKE))) == {"node-0", "node-2", "node-3"}


def test_the_disk_is_part_of_the_contract() -> None:
    full = machine("node-0", facts(disks=[disk("D-0", contents="gpt:1")]))
    twins = machine("node-1", facts(disks=[disk("A"), disk("B")]))
    role = Role(name=WORKER, count=1, where=ANY_MACHINE)
    assignment = assign([role], [full, twins])
    assert assignment.decision(N[1]).outcome == Holds(role=WORKER, ground=Ground.RULE, disk=disk("A"))
    assert "not blank, it holds gpt:1" in assignment.decision(N[0]).why
    asking = assign([replace(role, disk=SmallestDisk(tie=Tie.ASK))], [full, twins])
    assert holders(asking) == {}
    assert asking.fillings[0].next_action.startswith("node-0: save what the disk holds")
    assert "2 disks fit equally under the policy: smallest disk" in asking.decision(N[1]).why
    anything = assign([replace(role, overwrite=Overwrite.ANYTHING)], [full, twins])
    assert holders(anything) == {"node-0": WORKER}
    assert holders(assign([role], [twins], image_bytes={WORKER: 500 * GB})) == {}


def test_a_disk_that_cannot_be_told_stops_an_override() -> None:
    role = Role(name=WORKER, count=1, where=ANY_MACHINE, disk=DiskBySerial("X"))
    with pytest.raises(PlanError, match="node-0 is given the role worker: no disk fits") as caught:
        assign([role], ALIKE, {N[0]: WORKER})
    assert "D-node-0" in caught.value.evidence
    assert caught.value.next_action


SHARED = [machine(name, facts(serial="SN1")) for name in N[:2]]


@pytest.mark.parametrize(
    ("roles", "records", "overrides", "kept", "message", "evidence"),
    [
        ([worker(1), worker(2)], ALIKE, {}, {}, "called role worker", "worker"),
        ([worker(1)], [*ALIKE, *ALIKE], {}, {}, "called machine node-0", "node-0, node-1"),
        ([worker(1)], ALIKE, {N[9]: WORKER}, {}, "no such machine", "machines: node-0, node-1, node-2, node-3"),
        ([worker(1)], ALIKE, {N[0]: CONTROL}, {}, "no such role", "roles: worker"),
        ([Role(name=WORKER, count=1, where=NameIn((N[9],)))], ALIKE, {}, {}, "names node-9", "node-0"),
        ([Role(name=WORKER, count=1, where=SerialIn(("sn1",)))], SHARED, {}, {}, "which 2 machines", "node-0, node-1"),
        (
            [Role(name=WORKER, count=1, where=AllOf((Not(SerialIn(("SN1",))),)))],
            SHARED,
            {},
            {},
            "which 2 machines have",
            "sn1: node-0, node-1",
        ),
        ([worker(1)], ALIKE, {N[0]: WORKER, N[1]: WORKER}, {}, "more machines than the 1", "given to node-0, node-1"),
        ([worker(1)], ALIKE, {N[0]: WORKER}, {N[1]: WORKER}, "more machines than the 1", "node-1 had it before"),
    ],
)
def test_ambiguity_stops_and_asks(
    roles: list[Role], records: list[MachineRecord], overrides: Names, kept: Names, message: str, evidence: str
) -> None:
    with pytest.raises(PlanError, match=message) as caught:
        assign(roles, records, overrides, kept)
    assert evidence.lower() in caught.value.evidence.lower()
    assert caught.value.next_action


def test_a_failed_machine_makes_room_for_its_successor() -> None:
    records = [machine("node-0", None, FAILED), machine("node-1")]
    assert len(holders(assign([worker(1)], records, {N[1]: WORKER}, {N[0]: WORKER}))) == 2


def test_overrides_are_parsed() -> None:
    assert overrides_of([("node-0", "worker"), ("node-0", "worker")]) == {N[0]: WORKER}
    with pytest.raises(PlanError, match="node-0 is given 2 roles") as caught:
        overrides_of([("node-0", "worker"), ("node-0", "control-plane")])
    assert caught.value.evidence == "node-0: control-plane, worker"


@pytest.mark.parametrize(("name", "count", "spares"), [("Worker", 1, 0), ("", 1, 0), ("worker", -1, 0), ("a", 1, -1)])
def test_impossible_roles(name: str, count: int, spares: int) -> None:
    with pytest.raises(SiteError):
        Role(name=RoleName(name), count=count, where=ANY_MACHINE, spares=spares)


def test_replacement() -> None:
    roles = [control(1), worker(1, spares=1)]
    assignment = assign(roles, cores(8, 4, 4, 16))
    spare = replacement(assignment, N[1])
    assert spare == Replacement(
        machine=N[2],
        role=WORKER,
        disk=disk("D-2"),
        why="node-2 takes worker from node-1: it is a spare of worker and meets 'at least 4 cores': 4 cores",
    )
    unused = replacement(assignment, N[0])
    assert isinstance(unused, Replacement)
    assert (unused.machine, "it has no role and meets" in unused.why) == (N[3], True)
    none = replacement(assignment, N[3])
    assert isinstance(none, NoReplacement)
    assert none.why == "node-3 has no role that another could take"
    with pytest.raises(NotFoundError):
        replacement(assignment, N[9])


def test_nobody_can_replace_it() -> None:
    spare_of_another = Role(name=CONTROL, count=0, where=AtLeastCores(1), spares=1)
    assignment = assign([worker(1), spare_of_another], cores(4, 4), kept={})
    none = replacement(assignment, N[0])
    assert isinstance(none, NoReplacement)
    assert "taken: node-1" in none.why
    assert none.next_action == "repair it, or add a machine that meets 'at least 4 cores'"
    gone = replacement(assign([], ALIKE[:2], kept={N[0]: WORKER}), N[0])
    assert gone == NoReplacement(
        why="no spare of worker and no unused machine fits; those that fit and are taken: none", next_action="repair it"
    )


def test_a_successor_stands_elsewhere_too() -> None:
    switches = ["a", "b", "b", "a"]
    records = [machine(f"node-{at}", facts(switches=[switch])) for at, switch in enumerate(switches)]
    role = Role(name=CONTROL, count=2, where=ANY_MACHINE, spares=2, spread=SpreadOverSwitches())
    found = replacement(assign([role], records), N[0])
    assert isinstance(found, Replacement)
    assert found.machine == N[3]


def test_an_ssd_for_the_system() -> None:
    ssd = SmallestDisk(kind=DiskKind.SSD)
    role = Role(name=CONTROL, count=1, where=AtLeastDisk(100 * GB, DiskKind.SSD), disk=ssd)
    mixed = machine("node-0", facts(disks=[disk("HDD", 200, rotational=True), disk("SSD", 480)]))
    assert assign([role], [mixed]).decision(N[0]).outcome == Holds(role=CONTROL, ground=Ground.RULE, disk=disk("SSD"))


def test_some() -> None:
    assert some([]) == "none"
    assert some(list("abcdefgh")) == "a, b, c, d, e, f and 2 more"
