"""What happened, latest at the bottom. Pure."""

from collections.abc import Iterator

from appliance.frontend import units
from appliance.model.views import EventView
from appliance.tui.page import Page
from appliance.tui.state import Log, State
from appliance.tui.text import Line, Tone, line, wrapped

KEYS = "p pause  f follow  j k scroll  G latest  / filter by machine  Esc back  ? help"


def log_page(state: State, place: Log) -> Page:
    rows = lines_of(state, place)
    mode = "follows" if place.until is None else "paused"
    filtered = f" of machines that fit {state.filter}" if state.filter.terms else ""
    whose = f" of {place.machine}" if place.machine else filtered
    head = line(f"Events{whose}, {mode}", Tone.STRONG)
    nothing = (line("Nothing happened yet.", Tone.DIM),)
    return Page(
        title="Log", head=(head,), body=rows or nothing, keys=KEYS, top=max(0, len(rows) - place.back - room(state))
    )


def room(state: State) -> int:
    """How many lines of events fit: all but title, head, and the two lines at the bottom."""
    return max(1, state.height - 4)


def lines_of(state: State, place: Log) -> tuple[Line, ...]:
    return tuple(row for event in shown(state, place) for row in event_lines(event, state.width))


def shown(state: State, place: Log) -> tuple[EventView, ...]:
    wanted = {machine.name for machine in state.chosen} if state.filter.terms else None
    return tuple(
        event
        for event in state.data.events
        if (place.until is None or event.seq <= place.until)
        and (event.machine == place.machine if place.machine else wanted is None or event.machine in wanted)
    )


def event_lines(event: EventView, width: int) -> Iterator[Line]:
    fields = " ".join(f"{name}={value}" for name, value in event.fields.items())
    text = f"{event.machine or '-'} {event.kind}: {event.text}"
    yield from wrapped(
        f"{text} {fields}" if fields else text, width, first=f"{units.clock(event.time)} ", rest=" " * 10
    )
