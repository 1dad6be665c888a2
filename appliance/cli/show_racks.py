"""A rack and a run as text. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from rich.console import Group, RenderableType
from rich.text import Text

from appliance.cli import show
from appliance.frontend import outlook, units
from appliance.frontend.words import paused_text
from appliance.model.place import Place
from appliance.model.standing import Standing, standing
from appliance.model.text import clean
from appliance.model.views import MachinesView, MachineView, RunView, StepState, StepView

_STYLES = {
    Standing.FAILED: "bold red",
    Standing.HELD: "yellow",
    Standing.SILENT: "bold yellow",
    Standing.DEGRADED: "bold yellow",
    Standing.STUCK: "bold yellow",
    Standing.RUNNING: "cyan",
    Standing.ACTIVE: "green",
}


def racks(view: MachinesView) -> RenderableType:
    """From the top unit down; units without a machine in one line. The rear, where anything is mounted there."""
    placed: dict[str, list[tuple[Place, MachineView]]] = {}
    for machine in view.machines:
        if machine.place is not None:
            placed.setdefault(machine.place.rack, []).append((machine.place, machine))
    lines = [line for rack in sorted(placed) for line in _rack(rack, placed[rack])]
    nowhere = [machine for machine in view.machines if machine.place is None]
    if nowhere:
        lines += [Text("without a place", style="bold"), *map(_machine, nowhere)]
    return Group(*(lines or [Text("No machine is known.")]))


def _rack(rack: str, placed: Sequence[tuple[Place, MachineView]]) -> Iterator[Text]:
    front = [one for one in placed if not one[0].at_rear]
    title = f"rack {clean(rack, 63)}"
    if len(front) == len(placed):
        yield from _side(title, ((place, _machine(machine)) for place, machine in front))
        return
    yield from _side(f"{title}, front", ((place, _machine(machine)) for place, machine in front))
    yield from _side(f"{title}, rear", (seen for place, machine in placed for seen in _from_behind(place, machine)))


def _from_behind(place: Place, machine: MachineView) -> Iterator[tuple[Place, Text]]:
    """What fills the whole depth is seen from behind, too."""
    if place.at_rear:
        yield place, _machine(machine)
    elif not place.face:
        half = f" ({place.half_from_behind})" if place.half else ""
        back = f"{_units(place.unit, place.top)} | back of {clean(machine.name, 63)}{half}"
        yield replace(place, half=place.half_from_behind), Text(back, style="dim")


def _side(title: str, shown: Iterable[tuple[Place, Text]]) -> Iterator[Text]:
    yield Text(title, style="bold")
    below = 0
    seen = sorted(shown, key=lambda one: (-one[0].top, one[0].half, one[1].plain))
    if not seen:
        yield Text(" " * 7 + " | nothing", style="dim")
    for place, text in seen:
        if below - place.top > 1:
            yield Text(_units(place.top + 1, below - 1) + " |", style="dim")
        yield text
        below = place.unit
    if below > 1:
        yield Text(_units(1, below - 1) + " |", style="dim")


def _units(low: int, high: int) -> str:
    return f"U{high}-{low}".ljust(7) if high > low else f"U{low}".ljust(7)


def _machine(machine: MachineView) -> Text:
    where = _units(machine.place.unit, machine.place.top) if machine.place else " " * 7
    word, half = standing(machine), f" ({machine.place.half})" if machine.place and machine.place.half else ""
    said = machine.conditions[-1].reason if machine.conditions else machine.step.summary if machine.step else ""
    name = f"{clean(machine.name, 63)}{half}"
    return Text.assemble(
        f"{where} | {name:<16} ", (f"{word.value:<9}", _STYLES.get(word, "")), f" {clean(said, 200)}".rstrip()
    )


def run(view: RunView, now: float) -> RenderableType:
    """Its steps machine by machine, in the order in which they are done."""
    table = show.columns("machine", "state", "from", "took", "step")
    for step in sorted(view.steps, key=lambda step: step.machine):
        table.add_row(*_step(step, view, now))
    return Group(*_head(view, now), table, *show.run(view))


def _head(view: RunView, now: float) -> Iterator[Text]:
    by = f" by {clean(view.by, 64)}" if view.by else ""
    yield Text(f"run {clean(view.id, 64)} of plan {clean(view.plan, 64)[:12]}, begun {units.moment(view.started)}{by}")
    if view.rollout or view.canary:
        first = f"; first {', '.join(clean(name, 63) for name in view.canary)}" if view.canary else ""
        yield Text(f"{clean(view.rollout, 300) or 'all machines at once'}{first}")
    if text := outlook.of_run(view, now):
        yield Text(text)
    if view.paused:
        yield Text(paused_text(view), style="bold yellow")


def _step(step: StepView, view: RunView, now: float) -> tuple[Text, ...]:
    style = {StepState.FAILED: "bold red", StepState.RUNNING: "cyan", StepState.DONE: "green"}.get(step.state, "dim")
    began = "" if step.started is None else f"+{units.duration(step.started - view.started)}"
    end = now if step.ended is None else step.ended
    took = "" if step.started is None else units.duration(end - step.started)
    waits = f"; {clean(step.waiting, 200)}" if step.waiting else ""
    return (
        Text(clean(step.machine, 63)),
        Text(step.state.value, style=style),
        Text(began, justify="right"),
        Text(took, justify="right"),
        Text(f"{clean(step.summary, 300)}{waits}"),
    )
