"""The runs, and one of them machine by machine. Pure."""

from collections.abc import Iterator

from appliance.frontend import units
from appliance.frontend.words import is_paused, signed
from appliance.model.views import MachineView, RunState, RunSummaryView, RunView, StepState, StepView
from appliance.tui.figures import badge, bytes_done, outlook, step_tone
from appliance.tui.overview import run_lines
from appliance.tui.page import Page, rule
from appliance.tui.state import Run, Runs, State
from appliance.tui.text import EMPTY, Line, Tone, ascii_of, joined, line, marked, span, wrapped

_NAME_CELLS = 20

KEYS = "Enter open  p pause  r resume  c cancel  j k move  Esc back  ? help"
RUN_KEYS = "p pause  r resume  c cancel  s set aside  t try again  Enter machine  Esc back"


def runs_page(state: State, place: Runs) -> Page:
    runs = state.data.runs
    at = next((number for number, run in enumerate(runs) if run.id == place.at), 0)
    head = span(
        f"  {'run':<14}{'state':<11}{'started':<21}{'took':>7}{'machines':>9}{'settled':>8}{'failed':>7}", Tone.STRONG
    )
    body = tuple(_row(run, state.now, on=number == at) for number, run in enumerate(runs))
    nothing = (line("  No run was started yet: F3 plans one.", Tone.DIM),)
    foot = tuple(_why(runs[at], state)) if runs else ()
    return Page(title="Runs", head=((head,),), body=body or nothing, foot=foot, keys=KEYS, at=at)


def _row(run: RunSummaryView, now: float, *, on: bool) -> Line:
    state = "paused" if is_paused(run) else run.state.value
    took = units.duration((now if run.ended is None else run.ended) - run.started)
    counts = f"{run.machines:>9}{run.settled:>8}{run.failed:>7}"
    return (
        marked(on),
        span(f"{ascii_of(run.id, 13):<14}"),
        span(f"{state:<11}", _tone(run)),
        span(f"{units.moment(run.started):<21}{took:>7}{counts}"),
    )


def _tone(run: RunSummaryView) -> Tone:
    if is_paused(run) or run.state is RunState.CANCELLED:
        return Tone.WARN
    return {RunState.RUNNING: Tone.BUSY, RunState.DONE: Tone.GOOD}.get(run.state, Tone.BAD)


def _why(run: RunSummaryView, state: State) -> Iterator[Line]:
    if is_paused(run) or run.by:
        yield rule(state.width)
    if run.by:
        yield from wrapped(f"approved by {run.by}", state.width, Tone.DIM)
    if is_paused(run):
        yield from wrapped(f"paused because {signed(run.paused, run.paused_by, 1000)}", state.width, Tone.WARN)


def run_page(state: State, place: Run) -> Page:
    run = state.data.opened.get(place.run)
    if run is None:
        return Page(title=f"Run {place.run}", body=(line("Asking the daemon ...", Tone.DIM),), keys=RUN_KEYS)
    names = machines_of(run)
    at = names.index(place.at) if place.at in names else 0
    rows = tuple(_machine(run, name, state, on=number == at) for number, name in enumerate(names))
    return Page(
        title=f"Run {run.id}",
        head=(*_head(run, state), rule(state.width)),
        body=rows or (line("  It has no steps.", Tone.DIM),),
        foot=(rule(state.width), *_foot(run, names[at], state)) if names else (),
        keys=RUN_KEYS,
        at=at,
    )


def machines_of(run: RunView) -> tuple[str, ...]:
    return tuple(dict.fromkeys(step.machine for step in run.steps))


def _head(run: RunView, state: State) -> Iterator[Line]:
    yield from run_lines(run, state)
    if run.state is not RunState.RUNNING:
        took = "" if run.ended is None else f" after {units.duration(run.ended - run.started)}"
        yield line(f"  {run.state.value}{took}", Tone.GOOD if run.state is RunState.DONE else Tone.BAD)
    order = [
        f"approved by {run.by}" if run.by else "",
        f"first {', '.join(run.canary)}" if run.canary else "",
        f"{run.at_once} at once" if run.at_once else "",
        run.rollout,
    ]
    if text := "; ".join(part for part in order if part):
        yield from wrapped(text, state.width, Tone.DIM, first="  ", rest="  ")


def _machine(run: RunView, name: str, state: State, *, on: bool) -> Line:
    machine = state.data.machine(name)
    steps = [step for step in run.steps if step.machine == name]
    done = sum(step.state is StepState.DONE for step in steps)
    step = current(steps)
    says = _aside(run, name) or f"{step.state.value}: {_progress(machine, step, state.now)}"
    return joined(
        (
            (marked(on), *((badge(machine),) if machine is not None else ())),
            line(f"{ascii_of(name, _NAME_CELLS):<12} {done}/{len(steps)}"),
            line(says, Tone.WARN if name in run.set_aside else step_tone(step.state)),
        ),
        gap=" ",
    )


def current(steps: list[StepView]) -> StepView:
    """The one that says most of a machine: what failed, else what runs, else what comes next, else the last."""
    for state in (StepState.FAILED, StepState.RUNNING, StepState.PENDING):
        if found := [step for step in steps if step.state is state]:
            return found[0]
    return steps[-1]


def _aside(run: RunView, name: str) -> str:
    return f"set aside: {run.set_aside[name]}" if name in run.set_aside else ""


def _progress(machine: MachineView | None, step: StepView, now: float) -> str:
    mine = machine is not None and machine.step is not None and machine.step.id == step.id
    if mine and machine is not None and machine.progress is not None:
        return f"{bytes_done(machine.progress)}; {step.summary}"
    return step.summary


def _foot(run: RunView, name: str, state: State) -> Iterator[Line]:
    """The whole of what the line of the machine under the cursor may have cut."""
    machine = state.data.machine(name)
    step = current([step for step in run.steps if step.machine == name])
    yield from wrapped(f"{name}: {_aside(run, name) or step.summary}", state.width)
    if machine is not None and machine.conditions:
        last = machine.conditions[-1]
        yield from wrapped(f"{last.kind.value}: {signed(last.reason, last.by, 1000)}", state.width, Tone.BAD)
        yield from wrapped(last.next_action, state.width, Tone.WARN, first="next: ") if last.next_action else ()
    elif machine is not None and machine.step is not None and machine.step.id == step.id:
        yield from wrapped(outlook(machine.step, state.now) or step.state.value, state.width)
    else:
        yield EMPTY
