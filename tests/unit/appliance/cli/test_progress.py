from dataclasses import replace
from itertools import pairwise

from rich.console import Console

from appliance.cli.progress import changes, line, render
from appliance.model.phase import Phase
from appliance.model.views import MachinesView, MachineView, ProgressView


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
