"""What a person sees, as text. To accept a change: delete the file, run the test once, read the difference."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import RenderableType

from appliance.cli import progress, show
from appliance.model.views import EventView, MachinesView, PlanView

GOLDEN = Path(__file__).parents[3] / "golden" / "cli"
Draw = Callable[[RenderableType], str]


def check(name: str, text: str) -> None:
    file = GOLDEN / f"{name}.txt"
    if not file.exists():
        file.write_text(text)
        pytest.fail(f"{file} was missing; it is written now")
    assert text == file.read_text()
    assert "\x1b" not in text


def test_progress(machines: MachinesView, now: float, text: Draw) -> None:
    check("progress", text(progress.render(machines, now)))


def test_summary(machines: MachinesView, text: Draw) -> None:
    check("summary", text(progress.summary(machines)))


def test_changes(machines: MachinesView) -> None:
    check("changes", "".join(f"{line}\n" for line in progress.changes(None, machines, 12.3)))


def test_plan(plan: PlanView, text: Draw) -> None:
    check("plan", text(show.plan(plan)))


def test_machines(machines: MachinesView, now: float, text: Draw) -> None:
    check("machines", text(show.machines(machines, now)))


@pytest.mark.parametrize("index", [0, 1])
def test_machine(index: int, machines: MachinesView, now: float, text: Draw) -> None:
    check(f"machine-{index}", text(show.machine(machines.machines[index], now)))


def test_event() -> None:
    event = EventView(
        seq=7, time=1_800_000_000, machine="node-0", run="", kind="dhcp\n", text="\x1b[1mACK", fields={"mac": "a\rb"}
    )
    assert show.event(event) == "2027-01-15T08:00:00Z node-0 dhcp : ACK mac=a b"
