"""Filters print as they are read, and nothing that anybody writes raises anything but `UsageError`."""

import re
import time

from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import UsageError
from appliance.model.filter import FILTER_LIMIT, Field, Filter, Pattern, Term, parse
from appliance.model.phase import Phase
from appliance.model.views import MachineView

OPEN = (None, *(field for field in Field if field not in (Field.STATE, Field.PHASE, Field.CONDITION)))
TEXTS = st.text(max_size=8) | st.text(alphabet='a-:,*" \\', max_size=8)
PATTERNS = st.builds(Pattern, pieces=st.lists(TEXTS, min_size=1, max_size=4).map(tuple))
TERMS = st.builds(
    Term,
    field=st.sampled_from(OPEN),
    patterns=st.lists(PATTERNS, min_size=1, max_size=3).map(tuple),
    negated=st.booleans(),
)
FILTERS = st.builds(Filter, terms=st.lists(TERMS, max_size=4).map(tuple))
NAMES = st.text(alphabet="ab", max_size=12)


@given(FILTERS)
def test_round_trip(wanted: Filter) -> None:
    assert parse(str(wanted)) == wanted


@given(st.text() | st.text(alphabet='state:failed-,*" \\\x1b\x00'))
def test_hostile_text(text: str) -> None:
    try:
        wanted = parse(text)
    except UsageError:
        return
    assert parse(str(wanted)) == wanted
    wanted.fits(MachineView(name="node-0", phase=Phase.ACTIVE, since=0.0))


@given(st.text(alphabet="ab*", min_size=1, max_size=8), NAMES)
def test_stars_fit_as_a_regular_expression_does(pattern: str, name: str) -> None:
    fits = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name) is not None
    assert parse(f"name:{pattern}").fits(MachineView(name=name, phase=Phase.ACTIVE, since=0.0)) is fits


def test_the_worst_pattern_costs_no_more_than_its_length() -> None:
    """A backtracking matcher would not end within the age of the universe."""
    wanted = parse("name:" + "*".join("a" * 400) + "*b")
    began = time.process_time()
    assert not wanted.fits(MachineView(name="a" * FILTER_LIMIT, phase=Phase.ACTIVE, since=0.0))
    assert time.process_time() - began < 1
