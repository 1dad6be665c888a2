"""The whole rack on one page. Pure."""

from collections.abc import Iterator
from itertools import islice

from appliance.frontend import units
from appliance.frontend.outlook import of_run as outlook_of
from appliance.frontend.words import asking, asks, is_paused, signed
from appliance.model.access_views import SetupView
from appliance.model.views import GoalView, HealthView, MachineView, RunState, RunView
from appliance.model.words import RETIREMENT, SITE_PURPOSE
from appliance.tui.figures import badge, bar, outlook, phase_text, steps_done, totals, word
from appliance.tui.page import Page, rule
from appliance.tui.rack import UNIT_CELLS, WORD_CELLS, Layout, Row, Slot, layout
from appliance.tui.state import Data, Overview, State
from appliance.tui.text import EMPTY, Line, Span, Tone, ascii_of, joined, line, selected, span, wrapped

_TROUBLE_LINES = 6
_RUNS = 2
_BAR = 20

KEYS = "Enter machine  a do  F3 provision  F4 runs  F5 log  / filter  ? help  q leave"


def overview(state: State, place: Overview) -> Page:
    shown = layout(state.chosen, state.width)
    machine = shown.under(place.at)
    return Page(
        title="Overview",
        head=tuple(head(state)),
        body=tuple(_rows(shown, machine)) or (line(_nothing(state), Tone.DIM),),
        foot=() if machine is None else tuple(_detail(machine, state)),
        keys=KEYS,
        at=shown.at(place.at)[0],
    )


def head(state: State) -> Iterator[Line]:
    """Also the first lines of the menu's status."""
    yield from _banner(state.data.health, state.now, state.width)
    yield from _first_admin(state.data.setup, state.width)
    troubles = tuple(_troubles(state.data, state.now, state.width))
    yield from troubles if len(troubles) <= _TROUBLE_LINES else troubles[: _TROUBLE_LINES - 1]
    if len(troubles) > _TROUBLE_LINES:
        yield line("  and more: the log has all of it (F5)", Tone.WARN)
    for goal in islice(asking(state.data.goals), _RUNS):
        yield from wrapped(f"{asks(goal)}; {_key(goal)} shows what it destroys", state.width, Tone.WARN)
    for run in islice(_running(state.data), _RUNS):
        yield from run_lines(run, state)
    yield from totals(state.data.machines, state.width)
    yield rule(state.width, f"filter: {state.filter}" if state.filter.terms else "")


def _key(goal: GoalView) -> str:
    by_purpose = {SITE_PURPOSE: "F3", RETIREMENT: "innervate retire"}
    return by_purpose.get(goal.purpose, "a on the machine")


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
    yield "in a browser", " ".join(health.urls)
    yield "certificate SHA-256", health.fingerprint


def _first_admin(setup: SetupView | None, width: int) -> Iterator[Line]:
    """Whoever stands at the console may make the first admin; elsewhere the daemon tells no code."""
    if setup is not None and setup.needed and setup.code:
        says = f"No admin yet: the setup code {setup.code} makes the first one."
        yield from wrapped(says, width, Tone.WARN, first="! ", rest="  ")


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
    yield joined((line(f"run {run.id}", Tone.STRONG), bar(done, total, _BAR), line(figures)))
    if text := outlook_of(run, state.now):
        yield from wrapped(text, state.width, first="  ", rest="  ")
    if is_paused(run):
        why = signed(run.paused, run.paused_by, 1000)
        yield from wrapped(f"paused: {why}", state.width, Tone.WARN, first="  ", rest="  ")
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


def _rows(shown: Layout, under: MachineView | None) -> Iterator[Line]:
    for row in shown.rows:
        yield tuple(_row(row, shown, under))


def _row(row: Row, shown: Layout, under: MachineView | None) -> Iterator[Span]:
    width = UNIT_CELLS + shown.cells
    yield from (span(f" {ascii_of(title, width - 2):<{width - 1}}", Tone.STRONG) for title in row.titles)
    for slot in row.slots:
        if slot is None:
            yield Span(text=" " * width)
        else:
            yield from _slot(slot, shown.name, on=slot.machine is under)


def _slot(slot: Slot, name: int, *, on: bool) -> Line:
    units = (span(f" {slot.units:<{UNIT_CELLS - 1}}", Tone.DIM),) if slot.units else ()
    called = span(f"{ascii_of(slot.machine.name, name):<{name}}")
    cell = (badge(slot.machine), Span(text=" "), called, word(slot.machine, " ", WORD_CELLS))
    return (*units, Span(text=">" if on else " ", tone=Tone.STRONG), *(selected(cell) if on else cell))


def _nothing(state: State) -> str:
    if state.filter.terms and state.data.machines:
        return "No machine fits the filter: Esc shows all again."
    if state.data.absent is not None and not state.data.heard:
        return "Nothing is known: the daemon has not answered yet."
    return "The site program names no machine." if state.data.heard else "Asking the daemon ..."


def _detail(machine: MachineView, state: State) -> Iterator[Line]:
    """Of the machine under the cursor: what it does or what ails it, and what to do."""
    yield rule(state.width)
    yield from islice(wrapped(f"{machine.name}: {says(machine, state.now)}", state.width), 2)
    action = machine.conditions[-1].next_action if machine.conditions else ""
    yield from islice(wrapped(action, state.width, Tone.WARN, first="next: ", rest="      "), 2) if action else (EMPTY,)


def says(machine: MachineView, now: float) -> str:
    """In one sentence what it does, or what ails it."""
    if machine.conditions:
        last = machine.conditions[-1]
        return f"{last.kind.value} since {units.duration(now - last.since)}: {last.reason}"
    if (step := machine.step) is None:
        known = " ".join(part for part in (machine.role, machine.address, machine.product, machine.serial) if part)
        return f"{phase_text(machine, now)}{'; ' if known else ''}{known}"
    return f"{step.waiting or step.summary}, {outlook(step, now)}"
