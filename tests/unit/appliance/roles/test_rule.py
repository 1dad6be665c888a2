"""Rules as tables: what meets them, with which words, and how closely they name a machine."""

from collections.abc import Callable
from uuid import UUID

import pytest

from appliance.errors import SiteError
from appliance.inventory.model import MachineRecord
from appliance.model.bmc import PowerState, SystemIdentity
from appliance.model.hardware import HardwareFacts
from appliance.model.ids import MachineName
from appliance.roles.disk import DiskKind
from appliance.roles.role import SpreadOver, SpreadOverSwitches, places_of
from appliance.roles.rule import (
    ANY_MACHINE,
    AllOf,
    AnyOf,
    AtLeastCores,
    AtLeastDisk,
    AtLeastMemory,
    AtLeastNics,
    NameIn,
    Not,
    ProductIs,
    Rule,
    SerialIn,
    SwitchIs,
    describe,
    leaves,
    specificity,
)
from appliance.roles.verdict import Answer, judge
from tests.unit.appliance.roles.machines import GB, GIB, disk, facts, machine

NODE = MachineName("node-0")
SSD = AtLeastDisk(100 * GB, DiskKind.SSD)
YES, NO, UNKNOWN = Answer.YES, Answer.NO, Answer.UNKNOWN


@pytest.mark.parametrize(
    ("rule", "hardware", "answer", "sentence"),
    [
        (AtLeastCores(4), facts(cores=8), YES, "meets 'at least 4 cores': 8 cores"),
        (AtLeastCores(4), facts(cores=1), NO, "does not meet 'at least 4 cores': 1 core"),
        (AtLeastCores(1), facts(cores=0), UNKNOWN, "cannot be judged by 'at least 1 core': its cores are not known"),
        (AtLeastMemory(16 * GIB), facts(gib=16), YES, "meets 'at least 16 GiB memory': 16.0 GiB memory"),
        (AtLeastMemory(1 * GIB), facts(gib=967 / 1024), YES, "meets 'at least 1 GiB memory': 0.9 GiB memory"),
        (AtLeastMemory(16 * GIB), facts(gib=14.9), NO, "does not meet 'at least 16 GiB memory': 14.9 GiB memory"),
        (AtLeastMemory(1 * GIB), facts(gib=0), UNKNOWN, "its memory is not known"),
        (SSD, facts(disks=[disk("S1"), disk("S2", 200)]), YES, "an SSD of at least 100 GB': SSD S2 of 200 GB"),
        (SSD, facts(disks=[disk("S1", rotational=True)]), NO, "the largest is disk S1 of 480 GB"),
        (SSD, facts(disks=[disk("S1", 9000, rotational=True), disk("S2", 50)]), NO, "the largest is SSD S2 of 50 GB"),
        (SSD, facts(disks=[disk("S1", removable=True)]), NO, "no fixed disk"),
        (SSD, facts(disks=[], gaps=("disks: I/O error",)), UNKNOWN, "could not be read (disks: I/O error)"),
        (SSD, facts(disks=[], gaps=("lshw: exit status 1",)), NO, "no fixed disk"),
        (
            AtLeastDisk(480 * GB),
            facts(disks=[disk("S1", rotational=True)]),
            YES,
            "'a disk of at least 480 GB': disk S1",
        ),
        (AtLeastNics(2), facts(speeds=[None, 1000]), YES, "meets 'at least 2 NICs': 2 NICs"),
        (AtLeastNics(1, mbps=10_000), facts(speeds=[None, 1000]), NO, "2 NICs, 0 linked at 10000 Mbit/s or above"),
        (AtLeastNics(1, mbps=10_000), facts(speeds=[25_000]), YES, "1 NIC, 1 linked at 10000 Mbit/s or above"),
        (ProductIs("poweredge r640 "), facts(product="PowerEdge R640"), YES, "': product PowerEdge R640"),
        (
            ProductIs("R740"),
            facts(product="PowerEdge R640"),
            NO,
            "does not meet 'product R740': product PowerEdge R640",
        ),
        (ProductIs("R740"), facts(product="To Be Filled By O.E.M."), UNKNOWN, "its product is not known"),
        (SerialIn(("x1", "X2")), facts(serial="X1"), YES, "meets 'serial number x1 or X2': serial number X1"),
        (SerialIn(("B1",)), facts(serial="X1", board_serial="b1"), YES, "serial number X1 and B1"),
        (SerialIn(("X2",)), facts(serial="X1"), NO, "serial number X1"),
        (SerialIn(("X2",)), facts(serial="Default string"), UNKNOWN, "its serial number is not known"),
        (NameIn((NODE,)), facts(), YES, "meets 'name node-0': name node-0"),
        (NameIn((MachineName("node-1"),)), facts(), NO, "does not meet 'name node-1': name node-0"),
        (SwitchIs("leaf-1"), facts(switches=["LEAF-1.example.net"]), YES, "neighbour switch LEAF-1.example.net"),
        (SwitchIs("leaf-1.example.net"), facts(switches=["leaf-1.example.net"]), YES, ""),
        (SwitchIs("chassis of leaf-1"), facts(switches=["leaf-1"]), YES, ""),
        (SwitchIs("leaf-2"), facts(switches=["leaf-1", "leaf-3"]), NO, "neighbour switch leaf-1 and leaf-3"),
        (SwitchIs("leaf-2"), facts(), UNKNOWN, "no LLDP neighbour was heard"),
        (ANY_MACHINE, facts(), YES, "meets 'any machine'"),
        (AllOf((AtLeastCores(4), AtLeastMemory(8 * GIB))), facts(), YES, "memory': 4 cores, 16.0 GiB memory"),
        (AllOf((AtLeastMemory(8 * GIB), AtLeastCores(9), AtLeastCores(8))), facts(), NO, "'at least 9 cores': 4 cores"),
        (AllOf((SwitchIs("a"), AtLeastCores(9))), facts(), NO, "does not meet 'at least 9 cores'"),
        (AllOf((SwitchIs("a"), AtLeastCores(2))), facts(), UNKNOWN, "cannot be judged by 'neighbour switch a'"),
        (AnyOf((AtLeastCores(9), AtLeastCores(4))), facts(), YES, "meets 'at least 4 cores'"),
        (AnyOf((AtLeastCores(4), SerialIn(("X1",)))), facts(serial="X1"), YES, "meets 'serial number X1'"),
        (AnyOf((AtLeastCores(9), ProductIs("R740"))), facts(product="R640"), NO, "4 cores, product R640"),
        (AnyOf((AtLeastCores(9), SwitchIs("a"))), facts(), UNKNOWN, "'at least 9 cores or neighbour switch a'"),
        (Not(ProductIs("R740")), facts(product="R640"), YES, "meets 'not product R740': product R640"),
        (Not(ProductIs("R640")), facts(product="R640"), NO, "does not meet 'not product R640': product R640"),
        (Not(SwitchIs("a")), facts(), UNKNOWN, "no LLDP neighbour was heard"),
    ],
)
def test_verdicts(rule: Rule, hardware: HardwareFacts, answer: Answer, sentence: str) -> None:
    verdict = judge(rule, machine("node-0", hardware))
    assert (verdict.answer, sentence in verdict.sentence) == (answer, True), verdict.sentence
    assert bool(verdict.specificity) == (answer is YES and rule != ANY_MACHINE)


@pytest.mark.parametrize("rule", [AtLeastCores(0), SSD, Not(AtLeastCores(64)), Not(SSD), SerialIn(("X1",))])
def test_of_a_machine_that_was_never_seen_nothing_is_known(rule: Rule) -> None:
    assert judge(rule, machine("node-0", unseen=True)).answer is UNKNOWN


def test_the_bmc_may_know_the_serial_number_first() -> None:
    identity = SystemIdentity(
        path="/1", uuid=UUID(int=7), serial="x1", manufacturer="", product="", macs=(), power=PowerState.OFF
    )
    record = MachineRecord(name=NODE, identity=identity)
    assert judge(SerialIn(("X1",)), record).answer is YES


def test_text_from_hardware_is_shown_short() -> None:
    verdict = judge(ProductIs("R740"), machine("node-0", facts(product="R" * 500)))
    assert len(verdict.sentence) < 120


def test_closer_rules_weigh_more() -> None:
    crowd = AllOf(tuple(AtLeastCores(n) for n in range(50)))
    vague_to_close: list[Rule] = [
        ANY_MACHINE,
        Not(SerialIn(("X1",))),
        AtLeastCores(4),
        AllOf((AtLeastCores(4), SSD)),
        crowd,
        ProductIs("R640"),
        AllOf((ProductIs("R640"), SwitchIs("leaf-1"))),
        SerialIn(("X1",)),
        AllOf((SerialIn(("X1",)), AtLeastCores(4))),
    ]
    weights = list(map(specificity, vague_to_close))
    assert weights == sorted(set(weights))


def test_any_of_is_as_close_as_its_vaguest_part_and_all_of_counts_a_part_once() -> None:
    assert specificity(AnyOf((SerialIn(("X1",)), AtLeastCores(4)))) == specificity(AtLeastCores(4))
    assert specificity(AllOf((SSD, SSD))) == specificity(SSD)


def test_brackets() -> None:
    rule = AllOf((AnyOf((AtLeastCores(4), SSD)), Not(AllOf((ProductIs("A"), ProductIs("B")))), Not(SSD)))
    assert describe(rule) == (
        "(at least 4 cores or an SSD of at least 100 GB) and not (product A and product B)"
        " and not an SSD of at least 100 GB"
    )
    assert leaves(rule) == (AtLeastCores(4), SSD, ProductIs("A"), ProductIs("B"), SSD)


@pytest.mark.parametrize(
    "broken",
    [
        lambda: ProductIs("System Product Name"),
        lambda: SerialIn(()),
        lambda: SerialIn("X1"),  # type: ignore[arg-type]
        lambda: SerialIn(("To be filled by O.E.M.",)),
        lambda: NameIn(()),
        lambda: SwitchIs(" "),
        lambda: AnyOf(()),
        lambda: AllOf(SSD),  # type: ignore[arg-type]
    ],
)
def test_rules_that_name_nothing_are_refused(broken: Callable[[], Rule]) -> None:
    with pytest.raises(SiteError) as caught:
        broken()
    assert caught.value.next_action


def test_places() -> None:
    on_two = machine("node-0", facts(switches=["a", "b"]))
    racks = SpreadOver(places=((NODE,), (MachineName("node-1"),)))
    assert places_of(SpreadOverSwitches(), on_two) == {"chassis of a", "chassis of b"}
    assert places_of(SpreadOverSwitches(), machine("node-0", unseen=True)) == {""}
    assert [places_of(racks, machine(name)) for name in ("node-0", "node-1", "node-2")] == [{"0"}, {"1"}, {""}]
    assert places_of(None, on_two) == frozenset()
