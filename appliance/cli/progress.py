"""A rack at work, as a live table for people; pure but for the two displays."""

import sys
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from appliance.frontend import outlook, units, words
from appliance.frontend.provision import Watcher
from appliance.frontend.words import changes, is_paused, paused_text, run_changes
from appliance.model.phase import Condition, ConditionKind, Phase
from appliance.model.standing import Standing, standing
from appliance.model.text import clean
from appliance.model.views import MachinesView, MachineView, RunView
from appliance.model.words import STAGES

_BAR = 16
_PHASE_STYLES = {Phase.ACTIVE: "green", Phase.UNKNOWN: "dim", Phase.RETIRED: "dim", Phase.RESCUE: "magenta"}
_CONDITION_STYLES = {
    ConditionKind.FAILED: "bold red",
    ConditionKind.HOLD: "cyan",
    ConditionKind.STUCK: "bold yellow",
    ConditionKind.DEGRADED: "yellow",
    ConditionKind.UNREACHABLE: "bold yellow",
}


_STANDING_STYLES = {
    Standing.FAILED: "bold red",
    Standing.HELD: "cyan",
    Standing.SILENT: "bold yellow",
    Standing.DEGRADED: "yellow",
    Standing.STUCK: "bold yellow",
    Standing.RESCUE: "magenta",
    Standing.ACTIVE: "green",
    Standing.UNKNOWN: "dim",
    Standing.RETIRED: "dim",
}


class Display(Watcher, Protocol):
    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def frame(machines: MachinesView, now: float, run: RunView) -> RenderableType:
    paused = (Text(paused_text(run), style="bold yellow"),) if is_paused(run) else ()
    left = (Text(f"run {clean(run.id, 64)}: {text}", style="dim"),) if (text := outlook.of_run(run, now)) else ()
    return Group(render(machines, now), *left, *paused)


def render(machines: MachinesView, now: float) -> Table:
    table = _table("machine", "phase", "in state", "step", "progress", "rate", "ETA", "condition")
    for machine in machines.machines:
        table.add_row(*_row(machine, now))
    return table


def summary(machines: MachinesView) -> Table:
    """Who is who and when each proof came, in seconds from power-on."""
    table = _table("machine", "serial", "address", *(stage.replace("_", " ") for stage in STAGES), "phase")
    for machine in machines.machines:
        stages = (machine.stages.get(stage) for stage in STAGES)
        table.add_row(
            Text(clean(machine.name, 63)),
            Text(clean(machine.serial, 40) or "-"),
            Text(clean(machine.address, 45) or "-"),
            *(Text("-" if seconds is None else f"{seconds:.1f}s", justify="right") for seconds in stages),
            phase_text(machine),
        )
    return table


def phase_text(machine: MachineView) -> Text:
    return Text(machine.phase.value, style=_PHASE_STYLES.get(machine.phase, ""))


def standing_text(machine: MachineView) -> Text:
    word = standing(machine)
    return Text(word.value, style=_STANDING_STYLES.get(word, ""))


def condition_text(condition: Condition) -> Text:
    return Text(words.condition_text(condition), style=_CONDITION_STYLES.get(condition.kind, ""))


def _row(machine: MachineView, now: float) -> tuple[Text, ...]:
    progress = machine.progress
    step = "" if machine.step is None else clean(machine.step.waiting or machine.step.summary, 80)
    return (
        Text(clean(machine.name, 63)),
        phase_text(machine),
        Text(units.lasting(machine.since, now), justify="right"),
        Text(step, no_wrap=True, overflow="ellipsis"),
        Text("" if progress is None else _bar(progress.done, progress.total)),
        Text("" if progress is None else units.rate(progress.rate), justify="right"),
        Text("" if progress is None else units.duration(progress.eta), justify="right"),
        condition_text(machine.conditions[-1]) if machine.conditions else Text(),
    )


def _bar(done: int, total: int) -> str:
    figures = f"{units.percent(done, total):3}% {units.size(done)} of {units.size(total)}"
    return f"[{units.bar(done, total, _BAR)}] {figures}"


# On a narrow screen these columns give way: a name or a rate that is cut says nothing.
_YIELDING = ("step", "condition")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column not in _YIELDING, overflow="fold")
    return table


class LiveDisplay:
    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False)

    def update(self, machines: MachinesView, now: float, run: RunView) -> None:
        self._live.update(frame(machines, now, run), refresh=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()


class PlainDisplay:
    """A line per change on standard error; seconds count from the first update."""

    def __init__(self) -> None:
        self._before: MachinesView | None = None
        self._run: RunView | None = None
        self._start: float | None = None

    def update(self, machines: MachinesView, now: float, run: RunView) -> None:
        self._start = now if self._start is None else self._start
        elapsed = now - self._start
        for text in (*changes(self._before, machines, elapsed), *run_changes(self._run, run, elapsed, now)):
            print(text, file=sys.stderr, flush=True)
        self._before, self._run = machines, run

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def display(console: Console, *, headless: bool = False) -> Display:
    """Live where a person watches, lines elsewhere."""
    if headless or not console.is_terminal or console.is_dumb_terminal:
        return PlainDisplay()
    return LiveDisplay(console)
