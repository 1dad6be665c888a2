"""From the state to the cells of a screen: as many lines as it has, each as wide as it is. Pure."""

from collections.abc import Iterator
from typing import assert_never

from appliance.frontend import units
from appliance.tui.choices import choices_page
from appliance.tui.doctor import doctor_page
from appliance.tui.help import help_page
from appliance.tui.log import log_page
from appliance.tui.machine import machine_page
from appliance.tui.overview import overview
from appliance.tui.page import Page, more, window
from appliance.tui.plan import planned_page
from appliance.tui.runs import run_page, runs_page
from appliance.tui.state import (
    Choices,
    Doctor,
    Help,
    Log,
    Machine,
    Overview,
    Planned,
    Prompt,
    Run,
    Runs,
    State,
    Trouble,
)
from appliance.tui.text import EMPTY, Line, Span, Tone, ascii_of, fitted, length, line, wrapped

_TYPED_CELLS = 16


def page_of(state: State) -> Page:
    match state.place:
        case Overview() as place:
            return overview(state, place)
        case Machine() as place:
            return machine_page(state, place)
        case Choices() as place:
            return choices_page(state, place)
        case Planned() as place:
            return planned_page(state, place)
        case Runs() as place:
            return runs_page(state, place)
        case Run() as place:
            return run_page(state, place)
        case Log() as place:
            return log_page(state, place)
        case Help() as place:
            return help_page(state, place)
        case Doctor() as place:
            return doctor_page(state, place)
        case _ as never:
            assert_never(never)


def frame(state: State) -> tuple[Line, ...]:
    """What is asked and which keys there are is always on the screen, however small it is."""
    page = page_of(state)
    bottom = _bottom(state, page)
    first, after = window(page, room_of(state, page))
    rows = (_title(state, page, more(page, first, after)), *page.head, *page.body[first:after])
    blank = (EMPTY,) * (state.height - len(rows) - len(page.foot) - len(bottom))
    upper = (*rows, *blank, *page.foot)[: state.height - len(bottom)]
    return tuple(fitted(row, state.width) for row in (*upper, *bottom))


def room_of(state: State, page: Page) -> int:
    """How many lines of the page's body fit, at least one."""
    return max(1, state.height - 1 - len(page.head) - len(page.foot) - len(_bottom(state, page)))


def _title(state: State, page: Page, rest: str) -> Line:
    site = "" if state.data.health is None else f"{ascii_of(state.data.health.site, 20)}: "
    left = f" Innervate  {site}{ascii_of(page.title, 40)}"
    alarm = "no daemon  " if state.data.absent is not None else ""
    right = f"{alarm}{rest}{'  ' if rest else ''}{units.clock(state.now)} "
    blanks = max(1, state.width - len(left) - len(right))
    return (Span(text=f"{left}{' ' * blanks}{right}", tone=Tone.TITLE),)


def _bottom(state: State, page: Page) -> tuple[Line, ...]:
    """A question, or what came of the last one, and the keys; at most half of the screen, its end."""
    return tuple(_bottom_lines(state, page))[-max(1, state.height // 2) :]


def _bottom_lines(state: State, page: Page) -> Iterator[Line]:
    if state.prompt is not None:
        yield from _question(state.prompt, state.width)
        return
    if state.notice is not None:
        yield from _notice(state.notice, state.width)
    else:
        yield line(f"{state.busy} ..." if state.busy else "", Tone.DIM)
    yield line(page.keys, Tone.DIM)


def _question(prompt: Prompt, width: int) -> Iterator[Line]:
    """The end of what is typed is always seen: on a line of its own where the question leaves no room."""
    for says in prompt.says:
        yield from wrapped(says, width, Tone.STRONG)
    *above, label = wrapped(prompt.label, width, Tone.WARN)
    yield from above
    if width - length(label) < _TYPED_CELLS:
        yield label
        label = (Span(text=">"),)
    typed = ascii_of(prompt.typed)[-(width - length(label) - 2) :]
    yield (*label, Span(text=f" {typed}_", tone=Tone.STRONG))


def _notice(notice: Trouble, width: int) -> Iterator[Line]:
    bad = bool(notice.evidence or notice.next_action)
    yield from wrapped(notice.message, width, Tone.BAD if bad else Tone.GOOD, first="! " if bad else "", rest="  ")
    if notice.evidence:
        yield from wrapped(notice.evidence, width, first="  seen: ", rest="        ")
    if notice.next_action:
        yield from wrapped(notice.next_action, width, Tone.WARN, first="  next: ", rest="        ")
