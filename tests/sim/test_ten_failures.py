"""Ten failures, each injected into a simulated rack: what the product shows is what its surfaces are tested with."""

from dataclasses import replace

import pytest

from appliance.model.phase import Condition
from appliance.services.application import Appliance
from appliance.sim.faults import Character, Injected, Scenario
from appliance.sim.loop import EPOCH
from appliance.sim.run import simulate, watched
from tests.failures import GOLDEN, TEN, text_of
from tests.sim.failures import FAULTS, played, wanted


@pytest.mark.parametrize("name", TEN)
def test_the_product_shows_the_scene(name: str) -> None:
    scene, golden = played(FAULTS[name]), GOLDEN / f"{name}.json"
    shown = scene.condition
    assert shown.code
    assert shown.evidence
    assert shown.next_action
    if not golden.exists():
        golden.write_text(text_of(scene))
        pytest.fail(f"written: {golden}; read it")
    assert text_of(scene) == golden.read_text()


def test_there_are_ten() -> None:
    assert len(TEN) == 10
    assert tuple(FAULTS) == TEN
    assert {f"{name}.json" for name in TEN} == {path.name for path in GOLDEN.iterdir()}


def test_a_machine_that_boots_its_disk_is_not_sent_to_its_cable() -> None:
    shown = played(Scenario(characters={1: Character(injected=Injected.DISK_ONLY, foreign=True)})).condition
    assert shown.reason == "the machine started the system on its disk, not the one from the network"
    assert shown.evidence == "seen since power-on: system, lease"
    assert "boot order" in shown.next_action


def test_both_that_have_one_mac_are_named() -> None:
    conditions = watched(wanted(FAULTS["same-mac"]), lambda application, _now: both(application), 60.0)
    assert conditions is not None
    assert {one.code for one in conditions} == {"duplicate-identity"}
    assert len({one.reason for one in conditions}) == 1


def both(application: Appliance) -> list[Condition] | None:
    found = [condition for machine in application.machines().machines for condition in machine.conditions]
    return found if len(found) == 2 else None


def test_a_new_plan_names_the_disk_that_is_there() -> None:
    """What the agent says helps: it has looked again."""
    report = simulate(wanted(FAULTS["other-disk"]))
    assert (report.active, report.violations) == (1, ())


def test_when_there_is_room_again_nothing_is_said_any_more() -> None:
    full = replace(FAULTS["disk-full"], full=((50.0, 100.0),))
    said: list[tuple[Condition, ...]] = []

    def seen(application: Appliance, now: float) -> bool | None:
        (machine,) = application.machines().machines
        said.append(machine.conditions)
        return True if now > EPOCH + 110.0 else None

    watched(wanted(full), seen, 200.0)
    assert {len(conditions) for conditions in said} == {0, 1}
    assert said[-1] == ()
