"""All that the doctor has found. Pure."""

from collections.abc import Iterator

from appliance.frontend import units
from appliance.frontend.preflight import details, head, verdict
from appliance.model.doctor import DoctorView, Finding, Verdict
from appliance.tui.page import Page
from appliance.tui.state import Doctor, State
from appliance.tui.text import EMPTY, Line, Tone, line, wrapped

KEYS = "j k scroll  :doctor examine again  Esc back"
_TONES = {Verdict.FAILURE: Tone.BAD, Verdict.WARNING: Tone.WARN, Verdict.UNKNOWN: Tone.DIM, Verdict.OK: Tone.GOOD}


def doctor_page(state: State, place: Doctor) -> Page:
    view = state.data.examined
    body = (line("Nothing was examined yet.", Tone.DIM),) if view is None else tuple(_body(view, state.width))
    return Page(title="Doctor", body=body, keys=KEYS, top=place.top)


def _body(view: DoctorView, width: int) -> Iterator[Line]:
    at = "" if view.ended is None else f", examined at {units.clock(view.ended)}"
    yield from wrapped(verdict(view) + at, width, Tone.STRONG)
    yield EMPTY
    for finding in view.findings:
        yield from finding_lines(finding, width)


def finding_lines(finding: Finding, width: int) -> Iterator[Line]:
    """Cause, what was seen, what to do."""
    first = "! " if finding.verdict is Verdict.FAILURE else "  "
    yield from wrapped(head(finding), width, _TONES[finding.verdict], first=first, rest="    ")
    for word, text in details(finding):
        yield from wrapped(f"{word}: {text}", width, first="    ", rest="      ")
