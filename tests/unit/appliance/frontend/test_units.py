import pytest

from appliance.frontend import units


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (38_400_000, "38 MB"), (999_600, "1.0 MB"), (1.25e9, "1.2 GB")],
)
def test_size(count: float, text: str) -> None:
    assert units.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (-3, "0s"), (59.4, "59s"), (59.6, "1m00s"), (185, "3m05s"), (7620, "2h07m"), (367_200, "4d06h")],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert units.duration(seconds) == text


@pytest.mark.parametrize(("done", "total", "percent"), [(0, 0, 0), (999, 1000, 99), (7, 7, 100), (9, 7, 100)])
def test_percent(done: int, total: int, percent: int) -> None:
    assert units.percent(done, total) == percent


def test_bar() -> None:
    assert units.bar(1, 2, 8) == "####----"


def test_moment() -> None:
    assert units.moment(1_800_000_000.9) == "2027-01-15T08:00:00Z"


def test_what_nobody_saw_begin_lasts_for_no_time_that_is_known() -> None:
    assert (units.lasting(0, 1_800_000_000), units.lasting(100, 165)) == ("", "1m05s")


def test_clock() -> None:
    assert units.clock(1_800_000_190.9) == "08:03:10Z"


def test_what_is_typed_from_a_screen_is_grouped() -> None:
    assert units.grouped("abcdefghij") == "abcd efgh ij"
    assert units.grouped("") == ""


def test_lines_are_numbered_as_python_does() -> None:
    assert list(units.numbered("a\x0cb\u2028c\r\n\nd\n")) == [(1, "a\x0cb\u2028c"), (2, ""), (3, "d")]


@pytest.mark.parametrize(
    ("reading", "unit", "text"),
    [
        (41.5, "Cel", "41.5 °C"),
        (5400.0, "{rev}/min", "5400 rpm"),
        (12.0, "V", "12 V"),
        (3.0, "", "3"),
        (None, "W", "none now"),
    ],
)
def test_measure(reading: float | None, unit: str, text: str) -> None:
    assert units.measure(reading, unit) == text
