"""What a person reads. To accept a change: delete the file, run the test once, read the difference."""

from dataclasses import replace
from pathlib import Path

import pytest

from appliance.model.ids import MachineName
from appliance.roles.assign import assign
from appliance.roles.assignment import Assignment
from appliance.roles.disk import DiskKind, SmallestDisk, Tie
from appliance.roles.explain import WIDTH, explain
from appliance.roles.role import Role, RoleName, SpreadOverSwitches
from appliance.roles.rule import AllOf, AtLeastCores, AtLeastDisk, AtLeastMemory, NameIn
from tests.unit.appliance.roles.machines import CONTROL, FAILED, GB, GIB, HELD, WORKER, disk, facts, machine

GOLDEN = Path(__file__).parents[3] / "golden" / "roles"
SSD = AtLeastDisk(200 * GB, DiskKind.SSD)
CLUSTER = [
    Role(
        name=CONTROL,
        count=2,
        where=AllOf((AtLeastCores(4), AtLeastMemory(16 * GIB), SSD)),
        disk=SmallestDisk(kind=DiskKind.SSD),
        spread=SpreadOverSwitches(),
    ),
    Role(name=WORKER, count=4, where=AllOf((AtLeastCores(4), AtLeastMemory(8 * GIB))), spares=1),
]
SMALL, NO_SSD = facts(cores=2, gib=3.8), [disk("H-2", 4000, rotational=True)]
EIGHT = [
    machine("node-0", facts(cores=8, gib=31.3, disks=[disk("S-0")], switches=["leaf-1"])),
    machine("node-1", facts(cores=8, gib=31.3, disks=[disk("S-1")], switches=["leaf-1"])),
    machine("node-2", facts(cores=4, gib=15.6, disks=NO_SSD, switches=["leaf-1"])),
    machine("node-3", SMALL),
    machine("node-4", facts(cores=4, gib=15.6, disks=[disk("S-4b"), disk("S-4a")], switches=["leaf-2"])),
    machine("node-5", facts(cores=32, gib=250.9, disks=[disk("S-5", 960)], switches=["leaf-2"])),
    machine("node-6", facts(cores=16, gib=62.7, disks=[disk("S-6", 960)], switches=["leaf-2"])),
    machine("node-7", facts(cores=16, gib=62.7, disks=[disk("S-7", 960)], switches=["leaf-1"])),
]
ASKING = [replace(CLUSTER[0], disk=SmallestDisk(tie=Tie.ASK)), CLUSTER[1]]
SHORT = [
    *EIGHT[:3],
    machine("node-3", SMALL, FAILED),
    machine("node-4", EIGHT[4].facts),
    machine("node-5", EIGHT[5].facts, HELD),
    machine("node-6", unseen=True),
    machine("node-7", facts(cores=16, gib=62.7, disks=[disk("S-7", contents="ext:\x1b[31m77")])),
]
STORAGE = RoleName("storage")
ONE_LEFT = Role(name=STORAGE, count=1, where=NameIn((MachineName("node-7"),)))


@pytest.mark.parametrize(
    ("golden", "assignment"),
    [
        ("two-and-four-of-eight", assign(CLUSTER, EIGHT)),
        ("too-few", assign(ASKING, SHORT)),
        (
            "overrides-and-kept",
            assign(
                [*CLUSTER, ONE_LEFT],
                EIGHT,
                {MachineName("node-3"): WORKER, MachineName("node-5"): CONTROL},
                {MachineName("node-4"): CONTROL, MachineName("node-0"): RoleName("bootstrap")},
            ),
        ),
        ("nothing-wanted", assign([], EIGHT[:2])),
    ],
)
def test_golden(golden: str, assignment: Assignment) -> None:
    file, text = GOLDEN / f"{golden}.txt", explain(assignment)
    if not file.exists():
        file.write_text(text)
        pytest.fail(f"{file} was missing; it is written now")
    assert text == file.read_text()
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= WIDTH
