"""Numbers over time: rates from counts, lines inside their frame, and the same in words and as a table."""

from itertools import pairwise

import pytest

from appliance.model.network_views import HistoryView, NetworkView, SampleView
from appliance.web.lines import BOTTOM, HEIGHT, LEFT, WIDTH, Chart, Line, pool_use, traffic

NET = NetworkView(network="10.0.0.0/24", mode="full", device="br0", address="10.0.0.1", size=50)


def history(*counts: int, step: float = 10.0, used: int | None = None) -> HistoryView:
    samples = (
        SampleView(
            time=step * at, http_bytes=count, tftp_bytes=at, used={} if used is None else {NET.network: used + at}
        )
        for at, count in enumerate(counts)
    )
    return HistoryView(step=step, samples=tuple(samples))


def points(line: Line) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (point.split(",") for point in line.points.split())]


def drawn(chart: Chart | None) -> Chart:
    assert chart is not None
    return chart


def test_rates() -> None:
    chart = drawn(traffic(history(0, 1000, 5000, 5000)))
    http, tftp = chart.lines
    assert (http.name, http.now, http.highest) == ("HTTP", "0 B/s", "400 B/s")
    assert (tftp.name, tftp.style) == ("TFTP", 1)
    assert points(http) == [
        (LEFT, HEIGHT - BOTTOM - (HEIGHT - BOTTOM) / 4),
        ((LEFT + WIDTH) / 2, 0.0),
        (WIDTH, HEIGHT - BOTTOM),
    ]
    assert chart.summary == (
        "Bytes sent a second, over 20s: HTTP now 0 B/s, at most 400 B/s; TFTP now 0 B/s, at most 0 B/s"
    )
    assert [mark.text for mark in chart.across] == ["-20s", "-15s", "-10s", "-5s", "now"]
    assert [mark.text for mark in chart.upward] == ["0 B/s", "200 B/s", "400 B/s"]
    assert chart.rows == ((20.0, ("100 B/s", "0 B/s")), (10.0, ("400 B/s", "0 B/s")), (0.0, ("0 B/s", "0 B/s")))


def test_a_count_that_began_anew_is_no_rate() -> None:
    assert drawn(traffic(history(9000, 10, 1010))).lines[0].highest == "100 B/s"


@pytest.mark.parametrize("counts", [(), (1,), (1, 2)])
def test_too_little_is_no_chart(counts: tuple[int, ...]) -> None:
    assert traffic(history(*counts)) is None
    assert pool_use(history(*counts), ()) is None


def test_nothing_sent_is_a_line_at_the_bottom() -> None:
    assert {y for _, y in points(drawn(traffic(history(0, 0, 0))).lines[0])} == {HEIGHT - BOTTOM}


def test_only_between_two_times() -> None:
    chart = drawn(traffic(history(*range(0, 100_000, 1000)), begin=200.0, end=300.0))
    assert chart.across[0].text == "-1m50s"


def test_three_hours_are_thinned_and_lose_no_byte() -> None:
    counts = [at * 1000 for at in range(1080)]
    chart = drawn(traffic(history(*counts)))
    assert 200 < len(points(chart.lines[0])) <= 300
    assert (chart.lines[0].now, chart.lines[0].highest) == ("100 B/s", "100 B/s")
    assert len(chart.rows) <= 13
    assert chart.rows[-1][0] == 0
    assert all(before[0] > after[0] for before, after in pairwise(chart.rows))
    assert all(LEFT <= x <= WIDTH and 0 <= y <= HEIGHT - BOTTOM for x, y in points(chart.lines[0]))


def test_pools() -> None:
    chart = drawn(pool_use(history(0, 0, 0, used=48), (NET,)))
    (line,) = chart.lines
    assert (line.name, line.now, line.highest) == (NET.network, "100%", "100%")
    assert [y for _, y in points(line)][-1] == 0.0
    assert chart.summary.startswith("Addresses in use, of each pool, over 20s: 10.0.0.0/24 now 100%")
    assert pool_use(history(0, 0, 0), (NET,)) is None
