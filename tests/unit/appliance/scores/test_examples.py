"""The score of the guide does what the guide says of it."""

import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.inventory.model import Inventory, MachineRecord
from appliance.lab.topology import lab_rack
from appliance.model.codec import from_json
from appliance.model.hardware import HardwareFacts
from appliance.model.ids import MachineName
from appliance.plan import Wipe
from appliance.plan import check as check_plan
from appliance.site import Site, plan_site
from appliance.topology import Rack

ROOT = Path(__file__).parents[4]
A, B = MachineName("node-0"), MachineName("node-1")
FACTS = from_json(HardwareFacts, (ROOT / "tests/golden/facts/qemu/facts.json").read_bytes())


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site[Rack]:
    monkeypatch.delenv("INNERVATE_LAB", raising=False)
    site = runpy.run_path(str(ROOT / "examples/blank_disks.py"))["site"]
    assert isinstance(site, Site)
    return replace(site, topology=lab_rack())


def planned(site: Site[Rack], record: MachineRecord) -> tuple[list[str], int]:
    """Which actions there are for node-0, and for how many machines something has to wait."""
    plan = plan_site(site, Inventory(machines={record.name: record}, images={}))
    check_plan(plan)
    return [step.do.action for step in plan.steps if step.machine == A], len(plan.deferred)


def holding(contents: str, serial: str = "S1") -> HardwareFacts:
    disk = replace(FACTS.disks[0], contents=contents, removable=False, serial=serial, wwn="")
    return replace(FACTS, disks=(disk,))


@pytest.mark.parametrize(
    ("facts", "current", "actions", "waiting"),
    [
        (None, False, ["enrol", "boot-agent", "inspect"], 2),
        (holding("gpt:1"), False, ["boot-agent", "inspect"], 2),
        (holding("gpt:1"), True, ["boot-agent", "wipe", "inspect"], 1),
        (holding("blank"), True, [], 1),
        (holding("unreadable"), True, [], 1),
        (holding("gpt:1", serial=""), True, [], 1),
    ],
)
def test_blank_disks(
    facts: HardwareFacts | None, current: bool, actions: list[str], waiting: int, site: Site[Rack]
) -> None:
    record = MachineRecord(name=A, facts=facts, facts_current=current)
    assert planned(site, record) == (actions, waiting)


def test_every_byte_goes_and_the_disk_is_named(site: Site[Rack]) -> None:
    record = MachineRecord(name=A, facts=holding("gpt:1"), facts_current=True)
    plan = plan_site(site, Inventory(machines={A: record}, images={}))
    (wipe,) = (step.do for step in plan.steps if isinstance(step.do, Wipe))
    assert (wipe.level.value, wipe.disk.serial, wipe.disk.contents) == ("erase", "S1", "gpt:1")
