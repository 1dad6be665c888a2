"""Numbers as people read them."""

from collections.abc import Iterator
from datetime import UTC, datetime

_UCUM = {"Cel": "°C", "{rev}/min": "rpm", "{RPM}": "rpm"}
_STEPS = ("B", "kB", "MB", "GB", "TB", "PB")


def size(count: float) -> str:
    """Decimal units (IEC 80000-13: 1 MB is 10^6 bytes), two significant digits or more: "950 B", "1.2 GB", "38 MB"."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_STEPS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.1f} {_STEPS[unit]}" if value < 9.95 and unit else f"{value:.0f} {_STEPS[unit]}"


def rate(bytes_per_second: float | None) -> str:
    return "" if bytes_per_second is None else f"{size(bytes_per_second)}/s"


def lasting(since: float, now: float) -> str:
    """How long it lasts; "" for what nobody saw begin, whose `since` is 0."""
    return duration(now - since) if since else ""


def duration(seconds: float | None) -> str:
    """ "12s", "3m05s", "2h07m", "4d06h"; empty for None."""
    if seconds is None:
        return ""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def roughly(seconds: float) -> str:
    """An estimate, rounded up to what it is good for: "40s", "14m", "2h10m"."""
    grain = next((grain for below, grain in ((120, 10), (7200, 60)) if seconds <= below), 600)
    return duration(max(grain, -(-seconds // grain) * grain)).removesuffix("00s")


def percent(done: int, total: int) -> int:
    """Rounded down: 100 only when all is done."""
    return 0 if total <= 0 else max(0, min(100, done * 100 // total))


def bar(done: int, total: int, width: int) -> str:
    """In ASCII, for serial consoles and the Linux console's 512 glyphs."""
    filled = percent(done, total) * width // 100
    return "#" * filled + "-" * (width - filled)


def moment(epoch: float) -> str:
    """RFC 3339, UTC, in whole seconds."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(epoch: float) -> str:
    """The time of day as `moment` writes it: "12:03:10Z"."""
    return moment(epoch)[11:]


def grouped(text: str, size: int = 4) -> str:
    """To be read from one screen and typed on another: "abcdefgh" as "abcd efgh"."""
    return " ".join(text[at : at + size] for at in range(0, len(text), size))


def numbered(source: str) -> Iterator[tuple[int, str]]:
    """Lines as Python counts them; `str.splitlines` knows more ends of lines than it."""
    lines = source.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    yield from enumerate(lines, 1)


def measure(reading: float | None, unit: str) -> str:
    """Of a sensor, whose `unit` is in UCUM as Redfish has it (DSP2046): "41 °C", "5400 rpm"; "none now" for None."""
    if reading is None:
        return "none now"
    return f"{reading:g} {_UCUM.get(unit, unit)}".rstrip()
