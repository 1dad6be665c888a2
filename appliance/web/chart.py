"""Runs as a Gantt chart, stages as bars: where a bar begins and how long it is. Pure; lengths in SVG user units."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from appliance.model.views import MachineView, RunView, StepState, StepView

WIDTH = 900
NAME_WIDTH = 150
ROW = 22
MOST_ROWS = 60
_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_FEW = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """`seconds` is how long the step took, or has taken so far."""

    step: StepView
    x: float
    width: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    machine: str
    y: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    x: float
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gantt:
    """`more` machines are not drawn: those that are still under way, or failed, come first."""

    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]
    height: int
    more: int


def gantt(run: RunView, now: float) -> Gantt:
    machines: dict[str, list[StepView]] = {}
    for step in run.steps:
        machines.setdefault(step.machine, []).append(step)
    span = max(1.0, (now if run.ended is None else run.ended) - run.started)
    scale = (WIDTH - NAME_WIDTH) / span
    names = sorted(machines, key=lambda name: _rank(machines[name]))
    rows = (
        Row(machine=name, y=at * ROW, bars=tuple(_bars(machines[name], run, now, scale)))
        for at, name in enumerate(names[:MOST_ROWS])
    )
    return Gantt(
        rows=tuple(rows),
        ticks=tuple(Tick(x=NAME_WIDTH + second * scale, seconds=second) for second in _ticks(span)),
        height=min(len(names), MOST_ROWS) * ROW,
        more=max(0, len(names) - MOST_ROWS),
    )


def _rank(steps: Iterable[StepView]) -> int:
    states = {step.state for step in steps}
    return next((at for at, state in enumerate((StepState.FAILED, StepState.RUNNING)) if state in states), 2)


def _bars(steps: Iterable[StepView], run: RunView, now: float, scale: float) -> Iterable[Bar]:
    for step in steps:
        if step.started is not None:
            seconds = (now if step.ended is None else step.ended) - step.started
            x = NAME_WIDTH + (step.started - run.started) * scale
            yield Bar(step=step, x=x, width=max(1.0, seconds * scale), seconds=seconds)


def _ticks(span: float) -> range:
    every = next((tick for tick in _TICKS if span / tick <= _FEW), _TICKS[-1])
    return range(0, int(span) + 1, every)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTime:
    """How long machines took to a stage from the one before it, in seconds; of `machines` that were seen in both."""

    stage: str
    median: float
    longest: float
    machines: int


def stage_times(machines: Iterable[MachineView]) -> tuple[StageTime, ...]:
    taken: dict[str, list[float]] = {}
    for machine in machines:
        before = 0.0
        for stage, seconds in machine.stages.items():
            if seconds is not None:
                taken.setdefault(stage, []).append(max(0.0, seconds - before))
                before = seconds
    return tuple(
        StageTime(stage=stage, median=median(times), longest=max(times), machines=len(times))
        for stage, times in taken.items()
    )
