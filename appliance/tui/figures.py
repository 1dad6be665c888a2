"""How a machine stands, in a letter and a tone; and how far its step and its run are. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import assert_never

from appliance.frontend import units
from appliance.model.standing import Standing, standing
from appliance.model.views import MachineView, ProgressView, RunView, StepState, StepView
from appliance.tui.text import Line, Span, Tone, length, span

_LOOKS: dict[Standing, tuple[str, Tone]] = {
    Standing.FAILED: ("!", Tone.BAD),
    Standing.HELD: ("H", Tone.HELD),
    Standing.SILENT: ("?", Tone.BAD),
    Standing.DEGRADED: ("D", Tone.WARN),
    Standing.STUCK: ("S", Tone.WARN),
    Standing.RUNNING: ("*", Tone.BUSY),
    Standing.RESCUE: ("R", Tone.HELD),
    Standing.IDLE: ("I", Tone.PLAIN),
    Standing.ACTIVE: ("A", Tone.GOOD),
    Standing.UNKNOWN: (".", Tone.DIM),
    Standing.RETIRED: ("-", Tone.DIM),
}

LEGEND = tuple((letter, standing.value) for standing, (letter, _) in _LOOKS.items())


def badge(machine: MachineView) -> Span:
    letter, tone = _LOOKS[standing(machine)]
    return Span(text=f"[{letter}]", tone=tone)


def word(machine: MachineView, before: str = "", width: int = 0) -> Span:
    """Its standing; how far it is, too, where `width` says how many cells there are."""
    how = standing(machine)
    text = how.value
    if width and machine.progress is not None and not machine.conditions:
        text = f"{text} {units.percent(machine.progress.done, machine.progress.total)}%"
    return span(before + (f"{text[:width]:<{width}}" if width else text), _LOOKS[how][1])


def totals(machines: Iterable[MachineView], width: int) -> Iterator[Line]:
    """ "3 machines  [!] 1 failed  [A] 2 active", the urgent first, on as many lines as it takes."""
    found = Counter(map(standing, machines))
    count = found.total()
    row: Line = (span(f"{count} machine{'' if count == 1 else 's'}", Tone.STRONG),)
    for how, (letter, tone) in _LOOKS.items():
        part = span(f"  [{letter}] {found[how]} {how.value}", tone)
        if not found[how]:
            continue
        if length(row) + len(part.text) > width:
            yield row
            row = ()
        row = (*row, part)
    yield row


def bar(done: int, total: int, width: int) -> Line:
    return (Span(text="["), Span(text=units.bar(done, total, width), tone=Tone.BAR), Span(text="]"))


def bytes_done(progress: ProgressView) -> str:
    """ "45% 450 MB of 1.0 GB, 38 MB/s, 15s left" """
    figures = (
        f"{units.percent(progress.done, progress.total)}% {units.size(progress.done)} of {units.size(progress.total)}"
    )
    left = f"{units.duration(progress.eta)} left" if progress.eta is not None else ""
    return ", ".join(part for part in (figures, units.rate(progress.rate), left) if part)


def phase_text(machine: MachineView, now: float) -> str:
    lasts = units.lasting(machine.since, now)
    return f"{machine.phase.value} for {lasts}" if lasts else machine.phase.value


def outlook(step: StepView, now: float) -> str:
    """How long the step takes, against what is usual on this model."""
    if step.started is None:
        return ""
    spent = now - step.started
    if step.usual is None:
        return f"for {units.duration(spent)}"
    left = step.usual - spent
    more = f"about {units.duration(left)} left" if left > 0 else f"{units.duration(-left)} longer than usual"
    return f"for {units.duration(spent)}, usually {units.duration(step.usual)}: {more}"


def steps_done(run: RunView) -> tuple[int, int]:
    return sum(step.state is StepState.DONE for step in run.steps), len(run.steps)


def position(run: RunView | None, machine: MachineView) -> tuple[int, int] | None:
    """The machine's step of `run` under way, counted from 1, and how many it has there."""
    if run is None or machine.step is None:
        return None
    mine = [step.id for step in run.steps if step.machine == machine.name]
    return (mine.index(machine.step.id) + 1, len(mine)) if machine.step.id in mine else None


def step_tone(state: StepState) -> Tone:
    match state:
        case StepState.DONE:
            return Tone.GOOD
        case StepState.RUNNING:
            return Tone.BUSY
        case StepState.FAILED:
            return Tone.BAD
        case StepState.CANCELLED:
            return Tone.WARN
        case StepState.PENDING:
            return Tone.DIM
        case _:
            assert_never(state)
