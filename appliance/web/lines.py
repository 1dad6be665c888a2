"""Numbers over time as lines: bytes served, pools in use. Pure; lengths in SVG user units, the oldest at the left."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from appliance.frontend import units
from appliance.model.network_views import HistoryView, NetworkView, SampleView

WIDTH, HEIGHT, LEFT, BOTTOM = 640, 160, 70, 18
_MOST_POINTS = 300
_ROWS = 12
_TICKS = 4
_EMPTY = 100.0
"""How high a chart is where all is zero."""

Point = tuple[float, float]
Say = Callable[[float], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`points` as SVG wants them; `style` is 0, 1, ...: how it is dashed. The texts say the same in words."""

    name: str
    style: int
    points: str
    now: str
    highest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """`summary` is the chart in one sentence, `rows` the numbers as a table: seconds before its end, a text a line."""

    lines: tuple[Line, ...]
    across: tuple[Mark, ...]
    upward: tuple[Mark, ...]
    summary: str
    rows: tuple[tuple[float, tuple[str, ...]], ...]


def traffic(history: HistoryView, begin: float = 0.0, end: float = float("inf")) -> Chart | None:
    """Bytes a second that boot services sent between two times; None where too little is known."""
    samples = _thinned([one for one in history.samples if begin - history.step <= one.time <= end + history.step])
    series = {
        "HTTP": _rates(samples, lambda one: one.http_bytes),
        "TFTP": _rates(samples, lambda one: one.tftp_bytes),
    }
    return _chart(series, units.rate, "Bytes sent a second")


def pool_use(history: HistoryView, networks: Sequence[NetworkView]) -> Chart | None:
    """In hundredths of each pool."""
    samples = _thinned(history.samples)
    sizes = {one.network: one.size for one in networks if one.size}
    series = {
        name: [(one.time, 100 * one.used[name] / size) for one in samples if name in one.used]
        for name, size in sizes.items()
    }
    return _chart(series, lambda value: f"{value:.0f}%", "Addresses in use, of each pool", ceiling=100.0)


def _thinned(samples: Sequence[SampleView]) -> Sequence[SampleView]:
    """What is counted up loses nothing by it: a rate is then that of a longer time. The latest stays."""
    every = -(-len(samples) // _MOST_POINTS) or 1
    return samples[(len(samples) - 1) % every :: every] if samples else samples


def _rates(samples: Iterable[SampleView], count: Callable[[SampleView], int]) -> list[Point]:
    """A count that went down began anew."""
    return [
        (after.time, max(0, count(after) - count(before)) / (after.time - before.time))
        for before, after in pairwise(samples)
        if after.time > before.time
    ]


def _chart(series: dict[str, list[Point]], say: Say, title: str, ceiling: float = 0.0) -> Chart | None:
    times = [time for points in series.values() for time, _ in points]
    if len(set(times)) < 2:
        return None
    begin, end = min(times), max(times)
    top = ceiling or max(value for points in series.values() for _, value in points) or _EMPTY
    across, upward = (WIDTH - LEFT) / (end - begin), (HEIGHT - BOTTOM) / top
    lines = tuple(
        Line(
            name=name,
            style=style,
            points=" ".join(
                f"{LEFT + (time - begin) * across:.1f},{HEIGHT - BOTTOM - min(value, top) * upward:.1f}"
                for time, value in points
            ),
            now=say(points[-1][1]),
            highest=say(max(value for _, value in points)),
        )
        for style, (name, points) in enumerate(series.items())
        if points
    )
    told = "; ".join(f"{line.name} now {line.now}, at most {line.highest}" for line in lines)
    return Chart(
        lines=lines,
        across=tuple(
            Mark(at=LEFT + part * (WIDTH - LEFT) / _TICKS, text=_before((end - begin) * (1 - part / _TICKS)))
            for part in range(_TICKS + 1)
        ),
        upward=tuple(Mark(at=HEIGHT - BOTTOM - at * upward, text=say(at)) for at in (0.0, top / 2, top)),
        summary=f"{title}, over {units.duration(end - begin)}: {told}",
        rows=_rows(series, end, say),
    )


def _before(seconds: float) -> str:
    return f"-{units.duration(seconds)}" if seconds else "now"


def _rows(series: dict[str, list[Point]], end: float, say: Say) -> tuple[tuple[float, tuple[str, ...]], ...]:
    """Evenly spread, the latest last."""
    known = {name: dict(points) for name, points in series.items() if points}
    times = sorted({time for points in known.values() for time in points})
    every = -(-len(times) // _ROWS) or 1
    return tuple(
        (end - time, tuple(say(points[time]) if time in points else "" for points in known.values()))
        for time in times[(len(times) - 1) % every :: every]
    )
