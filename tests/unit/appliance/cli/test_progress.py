from dataclasses import replace
from itertools import pairwise

import pytest
from rich.console import Console

from appliance.cli.progress import PlainDisplay, frame, render
from appliance.frontend.words import changes, line, run_changes
from appliance.model.phase import Phase
from appliance.model.views import MachinesView, MachineView, OutlookView, ProgressView, RunState, RunView


def at(machines: MachinesView, done: int) -> MachinesView:
    machine = replace(machines.machines[0], progress=ProgressView(done=done, total=100))
    return MachinesView(machines=(machine,))


def test_line(machines: MachinesView) -> None:
    assert line(machines.machines[0]) == "node-0 deploying: write debian-13 to DISK0001 45% 38 MB/s"
    assert line(machines.machines[1]) == "node-1 enrolling: failed: no DHCP request after power-on"
    assert line(MachineView(name="a", phase=Phase.UNKNOWN, since=0)) == "a unknown"


def test_names_and_phases_are_whole_on_a_narrow_screen(machines: MachinesView) -> None:
    console = Console(width=110)
    with console.capture() as shown:
        console.print(render(machines, now=1000.0))
    for machine in machines.machines:
        assert machine.name in shown.get()
        assert machine.phase.value in shown.get()


def test_a_line_for_each_tenth(machines: MachinesView) -> None:
    looks = [at(machines, done) for done in (0, 5, 9, 10, 19, 40, 100, 100)]
    pairs = zip([None, *looks], looks, strict=False)
    lines = [text for before, after in pairs for text in changes(before, after, 1.0)]
    assert [text.split()[-1] for text in lines] == ["0%", "10%", "40%", "100%"]


def test_a_line_for_each_phase_and_condition(machines: MachinesView) -> None:
    before = machines.machines[1]
    healed = replace(before, conditions=())
    moved = replace(healed, phase=Phase.INSPECTING)
    views = [MachinesView(machines=(machine,)) for machine in (before, before, healed, moved)]
    assert [len(list(changes(a, b, 0))) for a, b in pairwise(views)] == [0, 1, 1]


RUNNING = RunView(id="3f2a", plan="", state=RunState.RUNNING, started=0, ended=None, steps=())
PAUSED = replace(RUNNING, paused="smoke in\nrow 3")
TOLD = "2.0s run 3f2a is paused: smoke in row 3; innervate resume 3f2a lets it go on"


def test_a_line_when_the_run_pauses_and_goes_on() -> None:
    again = replace(PAUSED, paused="worse than the canary")
    looks = [RUNNING, PAUSED, PAUSED, again, RUNNING, PAUSED, replace(PAUSED, state=RunState.CANCELLED)]
    pairs = zip([None, *looks], looks, strict=False)
    assert [list(run_changes(before, after, 2.0, 1000.0)) for before, after in pairs] == [
        [],
        [TOLD],
        [],
        ["2.0s run 3f2a is paused: worse than the canary; innervate resume 3f2a lets it go on"],
        ["2.0s run 3f2a goes on"],
        [TOLD],
        [],
    ]
    assert list(run_changes(None, PAUSED, 2.0, 1000.0)) == [TOLD]


LEFT = OutlookView(seconds=90.0, allowed=90.0, steps=3, until=1090.0)
TIMED = replace(RUNNING, outlook=LEFT)
DONE_AT = "run 3f2a: about 1m30s left, usually done at 00:18:10Z"


def test_how_long_it_goes_on_is_said_once() -> None:
    assert list(run_changes(None, TIMED, 2.0, 1000.0)) == [f"2.0s {DONE_AT}"]
    assert list(run_changes(TIMED, TIMED, 3.0, 1001.0)) == []


def test_plain_display_tells_of_a_pause(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainDisplay() as shown:
        for run in (RUNNING, PAUSED):
            shown.update(MachinesView(machines=()), 7.0, run)
    assert capsys.readouterr().err == TOLD.replace("2.0s", "0.0s") + "\n"


def test_the_live_display_tells_when_it_is_usually_done(machines: MachinesView) -> None:
    console = Console(width=160)
    with console.capture() as shown:
        console.print(frame(machines, 1000.0, TIMED))
    assert DONE_AT in shown.get()


@pytest.mark.parametrize(("run", "told"), [(RUNNING, False), (PAUSED, True)])
def test_the_live_display_tells_of_a_pause(machines: MachinesView, run: RunView, told: bool) -> None:
    console = Console(width=160)
    with console.capture() as shown:
        console.print(frame(machines, 1000.0, run))
    assert ("is paused: smoke in row 3" in shown.get()) is told
