"""Where the cursor, or the first line, goes. Pure."""

from dataclasses import replace
from typing import assert_never

from appliance.tui.choices import choices
from appliance.tui.keys import Action
from appliance.tui.log import lines_of
from appliance.tui.rack import layout
from appliance.tui.runs import machines_of
from appliance.tui.scene import page_of, room_of
from appliance.tui.state import Choices, Doctor, Help, Log, Machine, Overview, Planned, Run, Runs, State, moved

_FAR = 1 << 30

MOVES = frozenset(
    {
        Action.DOWN,
        Action.UP,
        Action.LEFT,
        Action.RIGHT,
        Action.PAGE_DOWN,
        Action.PAGE_UP,
        Action.TOP,
        Action.BOTTOM,
    }
)


def move(state: State, action: Action) -> State:
    page = page_of(state)
    room = room_of(state, page)
    by = _lines(action, room)
    match state.place:
        case Overview() as place:
            return moved(state, replace(place, at=_machine(state, place.at, action, room)))
        case Machine() | Planned() | Help() | Doctor() as place:
            last = max(0, len(page.body) - room)
            return moved(state, replace(place, top=_within(min(place.top, last) + by, last)))
        case Choices() as place:
            last = len(choices(place.machine, None)) - 1
            return moved(state, replace(place, at=_within(place.at + by, last)))
        case Runs() as place:
            return moved(state, replace(place, at=_named(tuple(run.id for run in state.data.runs), place.at, by)))
        case Run() as place:
            run = state.data.opened.get(place.run)
            return moved(state, replace(place, at=_named(machines_of(run) if run else (), place.at, by)))
        case Log() as place:
            return moved(state, _log(state, place, by, room))
        case _ as never:
            assert_never(never)


def selected_machine(state: State) -> str:
    """The machine under the cursor, or that the page is about; "" for none."""
    match state.place:
        case Overview() as place:
            machine = layout(state.chosen, state.width).under(place.at)
            return machine.name if machine is not None else ""
        case Machine() as place:
            return place.name
        case Choices() as place:
            return place.machine
        case Run() as place:
            run = state.data.opened.get(place.run)
            names = machines_of(run) if run else ()
            return place.at if place.at in names else next(iter(names), "")
        case Log() as place:
            return place.machine
        case Planned() | Runs() | Help() | Doctor():
            return ""
        case _ as never:
            assert_never(never)


def selected_run(state: State) -> str:
    match state.place:
        case Run() as place:
            return place.run
        case Runs() as place:
            names = [run.id for run in state.data.runs]
            return place.at if place.at in names else next(iter(names), "")
        case _:
            return ""


def _lines(action: Action, room: int) -> int:
    return {
        Action.DOWN: 1,
        Action.UP: -1,
        Action.PAGE_DOWN: max(1, room - 1),
        Action.PAGE_UP: -max(1, room - 1),
        Action.TOP: -_FAR,
        Action.BOTTOM: _FAR,
    }.get(action, 0)


def _machine(state: State, name: str, action: Action, room: int) -> str:
    """Up and down go by lines, left and right by machines; nobody falls off the end."""
    shown = layout(state.chosen, state.width)
    names = tuple(machine.name for machine in shown.machines)
    match action:
        case Action.LEFT | Action.RIGHT:
            return _named(names, name, 1 if action is Action.RIGHT else -1)
        case Action.TOP | Action.BOTTOM:
            return _named(names, name, _lines(action, room))
        case _:
            y, x = shown.at(name)
            filled = [number for number, row in enumerate(shown.rows) if row.slots]
            if not filled:
                return name
            to = filled[_within(filled.index(y) + _lines(action, room), len(filled) - 1)]
            machine = shown.rows[to].nearest(x)
            return machine.name if machine is not None else name


def _named(names: tuple[str, ...], name: str, by: int) -> str:
    at = names.index(name) if name in names else 0
    return names[_within(at + by, len(names) - 1)] if names else name


def _log(state: State, place: Log, by: int, room: int) -> Log:
    """Whoever scrolls back reads: the log stands still until it is followed again."""
    last = max(0, len(lines_of(state, place)) - room)
    back = _within(min(place.back, last) - by, last)
    newest = state.data.events[-1].seq if state.data.events else 0
    until = place.until if place.until is not None else newest
    return replace(place, back=back, until=None if back == 0 and by > 0 else until)


def _within(wanted: int, last: int) -> int:
    return max(0, min(wanted, last))
