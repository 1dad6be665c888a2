"""`innervate rack`, `machine` and `run`: one thing each, whole."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.api.fake import FakeApplication
from appliance.cli import show_racks
from appliance.model.ids import PlanDigest
from appliance.model.phase import Condition, ConditionKind, Phase
from appliance.model.place import Place
from appliance.model.views import MachinesView, MachineView, RunState, RunView, StepState, StepView
from tests.pictures import png
from tests.unit.appliance.cli.conftest import NOW, Run, drawn


def machine(name: str, place: Place | None = None, *conditions: Condition) -> MachineView:
    return MachineView(name=name, phase=Phase.ACTIVE, since=NOW, place=place, conditions=conditions)


FAN = Condition(kind=ConditionKind.HOLD, since=NOW, reason="its fan\x1b[2J is loud")
RACKS = MachinesView(
    machines=(
        machine("a", Place(rack="r1", unit=3, height=2)),
        machine("b", Place(rack="r1", unit=9), FAN),
        machine("c", Place(rack="r1", unit=1, half="left")),
        machine("d", Place(rack="r1", unit=1, half="right")),
        machine("e"),
    )
)


def test_a_rack_is_read_from_the_top() -> None:
    text = drawn(show_racks.racks(RACKS))
    assert text == (
        "rack r1\n"
        "U9      | b                held      its fan is loud\n"
        "U8-5    |\n"
        "U4-3    | a                active\n"
        "U2      |\n"
        "U1      | c (left)         active\n"
        "U1      | d (right)        active\n"
        "without a place\n"
        "        | e                active\n"
    )


def step(name: str, state: StepState, began: float | None, ended: float | None, waiting: str = "") -> StepView:
    return StepView(
        id=name,
        machine=name,
        score="s",
        summary=f"write {name}",
        kind="read",
        budget=1,
        state=state,
        started=began,
        ended=ended,
        waiting=waiting,
    )


def test_a_run_is_shown_step_by_step() -> None:
    view = RunView(
        id="3f2a",
        plan="ab" * 32,
        state=RunState.RUNNING,
        started=NOW - 90,
        ended=None,
        by="ann",
        canary=("a",),
        rollout="2 at once: inrush",
        steps=(
            step("b", StepState.RUNNING, NOW - 30, None, "waiting for the agent"),
            step("a", StepState.DONE, NOW - 90, NOW - 40),
            step("c", StepState.PENDING, None, None),
        ),
    )
    text = drawn(show_racks.run(view, NOW))
    assert [line.split()[:4] for line in text.splitlines()[3:6]] == [
        ["a", "done", "+0s", "50s"],
        ["b", "running", "+1m00s", "30s"],
        ["c", "pending", "write", "c"],
    ]
    assert "2 at once: inrush; first a" in text
    assert "write b; waiting for the agent" in text
    assert "by ann" in text
    paused = drawn(show_racks.run(replace(view, paused="2 of 3 failed"), NOW))
    assert "innervate resume 3f2a lets it go on" in paused


@pytest.mark.parametrize("verb", ["rack", "machine", "run"])
def test_as_text_and_as_json(verb: str, application: FakeApplication, run: Run) -> None:
    digest = PlanDigest(asyncio.run(application.make_plan()).digest)
    asyncio.run(application.apply(digest))
    name = next(iter(application.inventory))
    words = {"rack": (), "machine": (name,), "run": ("run-1",)}[verb]
    status, told, _ = run(verb, *words)
    assert status == 0
    assert name in told or "run-1" in told
    status, told, _ = run(verb, *words, "--json")
    assert status == 0
    json.loads(told)
    if words:
        assert run(verb, "nobody")[0] == 4


def test_a_table_for_a_spreadsheet(application: FakeApplication, run: Run) -> None:
    status, told, _ = run("machines", "--csv")
    assert status == 0
    assert len(told.splitlines()) == 1 + len(application.inventory)


def test_the_screen_is_kept_in_a_file_for_nobody_else(application: FakeApplication, run: Run, tmp_path: Path) -> None:
    name, other = list(application.inventory)[:2]
    application.bmc_desk.screens[name] = png()
    file = tmp_path / "screen.png"
    status, told, _ = run("screen", name, str(file))
    assert (status, file.read_bytes(), file.stat().st_mode & 0o777) == (0, png(), 0o600)
    assert f"{len(png())} bytes" in told
    status, _, errors = run("screen", other, str(tmp_path / "none.png"))
    assert (status, "machine with a screen" in errors) == (4, True)
    assert not (tmp_path / "none.png").exists()
