"""How long things took before, by model: what waits are measured against."""

from collections import deque
from math import ceil

_KEPT = 200
_ENOUGH = 5


class Past:
    """Written by `World` alone. All durations in seconds, latest last."""

    def __init__(self) -> None:
        self._first_signs: dict[str, deque[float]] = {}
        self._done: dict[tuple[str, str], deque[float]] = {}

    def first_signs(self, model: str) -> tuple[float, ...]:
        return tuple(self._first_signs.get(model, ()))

    def usual(self, model: str, action: str) -> float | None:
        """The 95th percentile (nearest rank); None until five were seen."""
        seen = sorted(self._done.get((model, action), ()))
        return seen[ceil(0.95 * len(seen)) - 1] if len(seen) >= _ENOUGH else None

    def saw_first_sign(self, model: str, seconds: float) -> None:
        self._first_signs.setdefault(model, _latest()).append(seconds)

    def saw_done(self, model: str, action: str, seconds: float) -> None:
        self._done.setdefault((model, action), _latest()).append(seconds)


def _latest() -> deque[float]:
    return deque(maxlen=_KEPT)
