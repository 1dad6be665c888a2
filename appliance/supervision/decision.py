"""When a program that ended is started again. Pure."""

from dataclasses import dataclass, replace

_FIRST, _LONGEST = 0.5, 30.0
_HEALTHY_SECONDS = 60.0
_FALLS_LIMIT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Of one program. `falls`: how often it ended in a row without having run for a minute. Times in seconds since the
    epoch; `running_since` None while it does not run. `last` is what it said at its last end."""

    running_since: float | None = None
    falls: int = 0
    ends: int = 0
    last: str = ""


def started(standing: Standing, now: float) -> Standing:
    return replace(standing, running_since=now)


def ended(standing: Standing, now: float, last: str) -> Standing:
    ran = 0.0 if standing.running_since is None else now - standing.running_since
    falls = 1 if ran >= _HEALTHY_SECONDS else min(standing.falls + 1, _FALLS_LIMIT)
    return Standing(falls=falls, ends=standing.ends + 1, last=last)


def pause(standing: Standing) -> float:
    """Seconds until it is started again: each time twice as long, half a minute at the most."""
    return float(min(_FIRST * 2 ** max(standing.falls - 1, 0), _LONGEST))
