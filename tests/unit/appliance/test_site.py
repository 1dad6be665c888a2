from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest

from appliance.capabilities import (
    AddressPlan,
    BareMachines,
    BootOverride,
    Capability,
    NetworkBoot,
    PowerControl,
    VirtualMedia,
)
from appliance.errors import CapabilityError, SiteError
from appliance.inventory.model import Inventory
from appliance.lab.topology import lab_rack
from appliance.model.ids import MachineName, StepId
from appliance.plan import Inspect, Plan, Step
from appliance.scores.discover import Discover
from appliance.site import Missing, Site, check, load, missing, needs_of, plan_site, summary

EXAMPLE = Path(__file__).parents[3] / "examples/lab_rack.py"
EMPTY = Inventory(machines={}, images={})


@pytest.fixture(autouse=True)
def no_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INNERVATE_LAB", raising=False)


class MediaNeeds(BareMachines, VirtualMedia, AddressPlan, Protocol): ...


@dataclass(frozen=True)
class InsertDisc:
    name: str = "insert-disc"

    def plan(self, site: MediaNeeds, inventory: Inventory) -> Plan:
        raise AssertionError("planned without its capabilities")


class OneCapability:
    name = "one"

    def plan(self, site: PowerControl, inventory: Inventory) -> Plan:
        return Plan(site="one")


class Anything:
    name = "anything"

    def plan(self, site: object, inventory: Inventory) -> Plan:
        return Plan(site="anything")


class OnPaper:
    name = "on-paper"

    def plan(self, site: "NowhereToBeFound", inventory: Inventory) -> Plan:  # type: ignore[name-defined]  # noqa: F821
        raise AssertionError


class OfTwoKinds:
    name = "of-two-kinds"

    def plan(self, site: PowerControl | NetworkBoot, inventory: Inventory) -> Plan:
        raise AssertionError


@dataclass(frozen=True)
class Chained:
    """Steps given as (own id, needed id)."""

    pairs: Sequence[tuple[str, str]]
    name: str = field(default="chained")

    def plan(self, site: BareMachines, inventory: Inventory) -> Plan:
        steps = (
            Step(
                id=StepId(own),
                machine=MachineName("node-0"),
                score=self.name,
                summary="",
                do=Inspect(),
                budget=1,
                needs=(StepId(need),) if need else (),
            )
            for own, need in self.pairs
        )
        return Plan(site=self.name, steps=tuple(steps))


class Bare:
    machines = ()


def test_needs_are_read_from_the_annotation() -> None:
    assert set(needs_of(Discover())) == {BareMachines, PowerControl, BootOverride, NetworkBoot}
    assert needs_of(OneCapability()) == (PowerControl,)
    assert needs_of(Anything()) == ()
    assert Capability not in needs_of(InsertDisc())


@pytest.mark.parametrize("score", [OnPaper(), OfTwoKinds()])
def test_needs_that_cannot_be_read(score: OnPaper | OfTwoKinds) -> None:
    with pytest.raises(SiteError, match=score.name) as caught:
        needs_of(score)
    assert "Protocol of capabilities" in caught.value.next_action


def test_missing_capabilities_are_listed_per_score() -> None:
    site = Site(name="lab", topology=lab_rack(), scores=[InsertDisc(), Discover()])  # type: ignore[list-item]
    assert missing(site) == (Missing("insert-disc", ("VirtualMedia",)),)
    with pytest.raises(CapabilityError) as caught:
        check(site)
    assert caught.value.evidence == "insert-disc needs VirtualMedia"
    with pytest.raises(CapabilityError):
        plan_site(site, EMPTY)


def test_a_poor_topology() -> None:
    site: Site[object] = Site(name="poor", topology=Bare(), scores=[Discover(), InsertDisc()])  # type: ignore[list-item]
    with pytest.raises(CapabilityError, match="poor: the topology Bare") as caught:
        check(site)
    assert caught.value.evidence.splitlines() == [
        "discover needs PowerControl, BootOverride, NetworkBoot",
        "insert-disc needs VirtualMedia, AddressPlan",
    ]


def test_a_step_that_waits_makes_others_wait() -> None:
    chained = Chained([("a", ""), ("b", "elsewhere"), ("c", "b"), ("d", "a")])
    plan = plan_site(Site(name="lab", topology=Bare(), scores=[chained]), EMPTY)
    assert [step.id for step in plan.steps] == ["a", "d"]
    assert [d.reason for d in plan.deferred] == [
        "node-0: waits for b, which no score plans now",
        "node-0: waits for elsewhere, which no score plans now",
    ]


@pytest.mark.parametrize(("name", "scores"), [("Not A Label", []), ("lab", ["discover"])])
def test_malformed_sites(name: str, scores: list[Discover]) -> None:
    with pytest.raises(SiteError):
        Site(name=name, topology=lab_rack(), scores=scores)


def test_the_example() -> None:
    site = load(EXAMPLE)
    assert [score.name for score in site.scores] == ["discover", "install-linux", "smoke-test"]
    assert check(site) is site


GOOD = EXAMPLE.read_text()


@pytest.mark.parametrize(
    ("program", "line", "message"),
    [
        ("x = 1\nsite = Site(\n", 2, "was never closed"),
        ("x = 1\ny = 1 / 0\n", 2, "ZeroDivisionError: division by zero"),
        ("def f():\n    return {}['a']\n\n\nf()\n", 2, "KeyError: 'a'"),
        ("import sys\nsys.exit(0)\n", 2, "SystemExit: 0"),
        ("import no_such_module\n", 1, "ModuleNotFoundError"),
        ("x = 1\n", 1, "defines no site"),
        ("site = None\n", 1, "defines no site"),
        ("site = 'lab'\n", 1, "`site` is a str, not a Site"),
        (
            "from appliance.site import Site\nsite = Site(name='a', topology=1, scores=[])\n",
            1,
            "`site` is a Site of int",
        ),
        ("from appliance.site import Site\n\nsite = Site(name='A B', topology=1, scores=[])\n", 3, "site name"),
        ("x = '\0'\n", 1, "null bytes"),
    ],
)
def test_faulty_programs(program: str, line: int, message: str, tmp_path: Path) -> None:
    path = tmp_path / "site_program.py"
    path.write_text(program)
    with pytest.raises(SiteError) as caught:
        load(path)
    assert message in str(caught.value)
    assert caught.value.evidence == f"{path}:{line}"
    assert caught.value.next_action


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SiteError, match="cannot read") as caught:
        load(tmp_path / "none.py")
    assert "none.py" in caught.value.evidence


def test_our_own_errors_keep_their_advice(tmp_path: Path) -> None:
    path = tmp_path / "site_program.py"
    path.write_text("from appliance.model.ids import machine_name\n\nmachine_name('A')\n")
    with pytest.raises(SiteError, match="cannot be a machine name") as caught:
        load(path)
    assert caught.value.evidence == f"{path}:3"
    assert "lower-case" in caught.value.next_action


def test_summary_cautions_where_firmware_could_not_boot_again(tmp_path: Path) -> None:
    program = (EXAMPLE.with_name("lab_bond.py")).read_text()
    assert "caution" not in summary(EXAMPLE.with_name("lab_bond.py"))
    lacp = tmp_path / "lacp.py"
    lacp.write_text(
        program.replace("primary=BootNic()", "mode=BondMode.LACP").replace(
            "from appliance.model.site ", "from appliance.model.links import BondMode\nfrom appliance.model.site "
        )
    )
    assert "caution: node-1: bond0 speaks LACP on a port that the machine boots from" in summary(lacp)


def test_summary() -> None:
    assert summary(EXAMPLE).startswith("lab: 2 machines, 3 scores, all needs are met\n  discover: BareMachines")


def test_summary_of_a_faulty_program(tmp_path: Path) -> None:
    path = tmp_path / "site_program.py"
    path.write_text(GOOD.replace("Discover(),", "Discover(,"))
    with pytest.raises(SiteError) as caught:
        summary(path)
    assert f"{path}:" in caught.value.evidence
    assert caught.value.next_action
