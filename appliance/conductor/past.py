"""How long things took before, by model: what waits are measured against."""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from math import ceil

_KEPT = 200
_ENOUGH = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """In how many seconds 95 of 100 steps of a kind were done; `own`: on the very model, else on any."""

    seconds: float
    own: bool


class Past:
    """Written by `World` alone. All durations in seconds, latest last."""

    def __init__(self) -> None:
        self._first_signs: dict[str, deque[float]] = {}
        self._done: dict[tuple[str, str], deque[float]] = {}

    def first_signs(self, model: str) -> tuple[float, ...]:
        return tuple(self._first_signs.get(model, ()))

    def usual(self, model: str, action: str) -> float | None:
        """The 95th percentile (nearest rank); None until five were seen."""
        seen = self._done.get((model, action), ())
        return _percentile(seen) if len(seen) >= _ENOUGH else None

    def timed(self, model: str, action: str) -> Timed | None:
        """From the first on; of all models where none of this one was seen. None: never timed here."""
        if seen := self._done.get((model, action)):
            return Timed(seconds=_percentile(seen), own=True)
        others = [seconds for (_, kind), seen in self._done.items() if kind == action for seconds in seen]
        return Timed(seconds=_percentile(others), own=False) if others else None

    def saw_first_sign(self, model: str, seconds: float) -> None:
        self._first_signs.setdefault(model, _latest()).append(seconds)

    def saw_done(self, model: str, action: str, seconds: float) -> None:
        self._done.setdefault((model, action), _latest()).append(seconds)


def _percentile(seen: Collection[float]) -> float:
    """The 95th, by the nearest rank."""
    return sorted(seen)[ceil(0.95 * len(seen)) - 1]


def _latest() -> deque[float]:
    return deque(maxlen=_KEPT)
