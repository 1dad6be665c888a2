"""The whole rack on one page. Pure."""

from collections.abc import Iterator, Sequence
from itertools import islice

from appliance.frontend import units
from appliance.frontend.words import is_paused
from appliance.model.views import HealthView, MachineView, RunState, RunView
from appliance.tui.filter import chosen
from appliance.tui.page import Page, rule
from appliance.tui.standing import badge, bar, outlook, run_left, standing, steps_done, totals
from appliance.tui.state import Data, Overview, State
from appliance.tui.text import EMPTY, Line, Span, Tone, ascii_of, joined, line, selected, span, wrapped

_NAME_CELLS = 24
_WORD_CELLS = 13
_TROUBLE_LINES = 6
_RUNS = 2
_BAR = 20

KEYS = "Enter machine  a do  F3 provision  F4 runs  F5 log  / filter  ? help  q leave"


def overview(state: State, place: Overview) -> Page:
    machines = chosen(state.data.machines, state.filter)
    columns, name = grid(machines, state.width)
    at = position(machines, place.at)
    body = tuple(_rows(machines, columns, name, at))
    return Page(
        title="Overview",
        head=tuple(head(state)),
        body=body or (line(_nothing(state), Tone.DIM),),
        foot=tuple(_detail(machines, at, state)),
        keys=KEYS,
        at=at // columns,
    )


def position(machines: Sequence[MachineView], name: str) -> int:
    return next((at for at, machine in enumerate(machines) if machine.name == name), 0)


def grid(machines: Sequence[MachineView], width: int) -> tuple[int, int]:
    """How many machines a line has, and how many cells a name gets."""
    name = min(max((len(ascii_of(machine.name)) for machine in machines), default=8), _NAME_CELLS)
    return max(1, width // (name + _WORD_CELLS + 6)), name


def head(state: State) -> Iterator[Line]:
    """Also the first lines of the menu's status."""
    yield from _banner(state.data.health, state.now, state.width)
    troubles = tuple(_troubles(state.data, state.now, state.width))
    yield from troubles if len(troubles) <= _TROUBLE_LINES else troubles[: _TROUBLE_LINES - 1]
    if len(troubles) > _TROUBLE_LINES:
        yield line("  and more: the log has all of it (F5)", Tone.WARN)
    for run in islice(_running(state.data), _RUNS):
        yield from run_lines(run, state)
    yield from totals(state.data.machines, state.width)
    yield rule(state.width, f"filter: {state.filter}" if state.filter else "")


def _banner(health: HealthView | None, now: float, width: int) -> Iterator[Line]:
    facts = [] if health is None else [f"{label} {value}" for label, value in _facts(health, now) if value]
    if facts:
        yield from wrapped(", ".join(facts), width, Tone.STRONG)


def _facts(health: HealthView, now: float) -> Iterator[tuple[str, str]]:
    """What a person at the console wants to know of the appliance itself; what it does not say is left out."""
    yield "site", health.site
    yield "Innervate", health.version
    yield "up", units.duration(now - health.started)
    yield "not ready:", "" if health.ready else "it still reads its log"


def _troubles(data: Data, now: float, width: int) -> Iterator[Line]:
    if data.absent is not None:
        yield from wrapped(data.absent.message, width, Tone.BAD, first="! ", rest="  ")
        heard = f"what is shown is from {units.clock(data.heard)}" if data.heard else ""
        for text in (data.absent.evidence, data.absent.next_action, heard):
            yield from wrapped(text, width, first="  ", rest="  ") if text else ()
    for trouble in data.segment:
        lasts = units.duration(now - trouble.since)
        yield from wrapped(f"boot network, since {lasts}: {trouble.text}", width, Tone.WARN, first="! ", rest="  ")


def _running(data: Data) -> Iterator[RunView]:
    yield from (run for run in data.opened.values() if run.state is RunState.RUNNING)


def run_lines(run: RunView, state: State) -> Iterator[Line]:
    done, total = steps_done(run)
    spent = units.duration((run.ended or state.now) - run.started)
    figures = f"{done} of {total} steps, {spent}"
    left = run_left(run, state.now)
    yield joined(
        (line(f"run {run.id}", Tone.STRONG), bar(done, total, _BAR), line(", ".join(p for p in (figures, left) if p)))
    )
    if is_paused(run):
        yield from wrapped(f"paused: {run.paused}", state.width, Tone.WARN, first="  ", rest="  ")
    elif (slowest := _slowest(run, state)) is not None:
        yield from islice(wrapped(slowest, state.width, first="  ", rest="  "), 2)


def _slowest(run: RunView, state: State) -> str | None:
    """The step that goes farthest beyond what is usual, or has the most left."""
    late: list[tuple[float, str]] = []
    names = {step.machine for step in run.steps}
    for machine in state.data.machines:
        step = machine.step
        if machine.name in names and step is not None and step.started is not None:
            left = (step.usual or 0.0) - (state.now - step.started)
            late.append((left, f"{machine.name}: {step.summary}, {outlook(step, state.now)}"))
    return min(late)[1] if late else None


def _rows(machines: Sequence[MachineView], columns: int, name: int, at: int) -> Iterator[Line]:
    for start in range(0, len(machines), columns):
        cells = (
            _cell(machine, name, on=start + offset == at)
            for offset, machine in enumerate(machines[start : start + columns])
        )
        yield tuple(part for cell in cells for part in cell)


def _cell(machine: MachineView, name: int, *, on: bool) -> Line:
    how = standing(machine)
    word = how.word
    if machine.progress is not None and not machine.conditions:
        word = f"{word} {units.percent(machine.progress.done, machine.progress.total)}%"
    called = span(f"{ascii_of(machine.name, name):<{name}}")
    cell = (
        badge(machine),
        Span(text=" "),
        called,
        Span(text=" "),
        span(f"{word[:_WORD_CELLS]:<{_WORD_CELLS}}", how.tone),
    )
    return (Span(text=">" if on else " ", tone=Tone.STRONG), *(selected(cell) if on else cell))


def _nothing(state: State) -> str:
    if state.filter and state.data.machines:
        return f"No machine's name holds {state.filter!r}: / and Enter shows all again."
    if state.data.absent is not None and not state.data.heard:
        return "Nothing is known: the daemon has not answered yet."
    return "The site program names no machine." if state.data.heard else "Asking the daemon ..."


def _detail(machines: Sequence[MachineView], at: int, state: State) -> Iterator[Line]:
    """Of the machine under the cursor: what it does or what ails it, and what to do."""
    if not machines:
        return
    machine = machines[at]
    yield rule(state.width)
    yield from islice(wrapped(f"{machine.name}: {says(machine, state.now)}", state.width), 2)
    action = machine.conditions[-1].next_action if machine.conditions else ""
    yield from islice(wrapped(action, state.width, Tone.WARN, first="next: ", rest="      "), 2) if action else (EMPTY,)


def says(machine: MachineView, now: float) -> str:
    """In one sentence what it does, or what ails it."""
    if machine.conditions:
        last = machine.conditions[-1]
        return f"{last.kind.value} since {units.duration(now - last.since)}: {last.reason}"
    step, lasts = machine.step, units.duration(now - machine.since)
    if step is None:
        known = " ".join(part for part in (machine.role, machine.address, machine.product, machine.serial) if part)
        return f"{machine.phase.value} for {lasts}{'; ' if known else ''}{known}"
    return f"{step.waiting or step.summary}, {outlook(step, now)}"
