"""How a machine stands in a letter, a word and a tone; and how far its step and its run are. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import assert_never

from appliance.frontend import units
from appliance.model.phase import ConditionKind, Phase
from appliance.model.views import MachineView, ProgressView, RunView, StepState, StepView
from appliance.tui.text import Line, Span, Tone, length, span


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    letter: str
    word: str
    tone: Tone


_PHASES: dict[Phase, tuple[str, Tone]] = {
    Phase.UNKNOWN: ("?", Tone.DIM),
    Phase.ENROLLING: ("E", Tone.BUSY),
    Phase.INSPECTING: ("I", Tone.BUSY),
    Phase.AVAILABLE: ("V", Tone.PLAIN),
    Phase.DEPLOYING: ("D", Tone.BUSY),
    Phase.BOOTING: ("B", Tone.BUSY),
    Phase.CONFIGURING: ("C", Tone.BUSY),
    Phase.ACTIVE: ("A", Tone.GOOD),
    Phase.PREPARING: ("P", Tone.BUSY),
    Phase.RESCUE: ("R", Tone.HELD),
    Phase.RELEASING: ("L", Tone.BUSY),
    Phase.RETIRED: ("-", Tone.DIM),
}
_CONDITIONS: dict[ConditionKind, tuple[str, Tone]] = {
    ConditionKind.FAILED: ("!", Tone.BAD),
    ConditionKind.STUCK: ("S", Tone.WARN),
    ConditionKind.UNREACHABLE: ("U", Tone.WARN),
    ConditionKind.DEGRADED: ("G", Tone.WARN),
    ConditionKind.HOLD: ("H", Tone.HELD),
}

LEGEND = tuple((letter, kind.value) for kind, (letter, _) in (*_PHASES.items(), *_CONDITIONS.items()))


def standing(machine: MachineView) -> Standing:
    """What is wrong goes before where it is: of several conditions the one that comes first in the table."""
    kinds = {condition.kind for condition in machine.conditions}
    for kind, (letter, tone) in _CONDITIONS.items():
        if kind in kinds:
            return Standing(letter=letter, word=kind.value, tone=tone)
    letter, tone = _PHASES[machine.phase]
    return Standing(letter=letter, word=machine.phase.value, tone=tone)


def badge(machine: MachineView) -> Span:
    how = standing(machine)
    return Span(text=f"[{how.letter}]", tone=how.tone)


def totals(machines: Iterable[MachineView], width: int) -> Iterator[Line]:
    """ "3 machines  [A] 2 active  [!] 1 failed", in the order of the tables, on as many lines as it takes."""
    found = [standing(machine) for machine in machines]
    row: Line = (span(f"{len(found)} machine{'' if len(found) == 1 else 's'}", Tone.STRONG),)
    for how in sorted(set(found), key=lambda how: LEGEND.index((how.letter, how.word))):
        part = span(f"  [{how.letter}] {found.count(how)} {how.word}", how.tone)
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


def run_left(run: RunView, now: float) -> str:
    """At the pace so far, which is all that can be said of steps that have not begun."""
    done, total = steps_done(run)
    if not done or done == total or run.ended is not None or now - run.started < 1:
        return ""
    return f"about {units.duration((now - run.started) / done * (total - done))} left"
