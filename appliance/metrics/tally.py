"""What is counted while it happens. From any thread; a count is one look-up and one addition under a lock."""

from bisect import bisect_left
from threading import Lock

from appliance.metrics.model import Family, Metric, MetricKind, Spread


class Tally:
    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: dict[Metric, dict[tuple[str, ...], float]] = {}
        self._spreads: dict[Metric, dict[tuple[str, ...], _Spreading]] = {}

    def add(self, metric: Metric, *labels: str, by: float = 1) -> None:
        with self._lock:
            counts = self._counts.setdefault(metric, {})
            counts[labels] = counts.get(labels, 0) + by

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        with self._lock:
            spreads = self._spreads.setdefault(metric, {})
            if labels not in spreads:
                spreads[labels] = _Spreading(metric)
            spreads[labels].put(max(0.0, value))

    def families(self) -> tuple[Family, ...]:
        """Of what was counted since the start."""
        with self._lock:
            counted = [Family(metric=metric, samples=dict(counts)) for metric, counts in self._counts.items()]
            spread = [
                Family(metric=metric, samples={labels: one.spread() for labels, one in spreads.items()})
                for metric, spreads in self._spreads.items()
            ]
        return (*counted, *spread)


class _Spreading:
    def __init__(self, metric: Metric) -> None:
        assert metric.kind is MetricKind.HISTOGRAM  # noqa: S101  a slip of ours
        self._bounds = metric.bounds
        self._counts = [0] * (len(metric.bounds) + 1)
        self._total = 0.0

    def put(self, value: float) -> None:
        """A value that is a bucket's bound belongs to that bucket."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def spread(self) -> Spread:
        return Spread(counts=tuple(self._counts), total=self._total)
