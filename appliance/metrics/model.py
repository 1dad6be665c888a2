"""Metrics as values, and their text in OpenMetrics 1.0. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from math import inf, isinf
from typing import assert_never

MEDIA_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_UNITS = ("seconds", "bytes", "ratio")


class MetricKind(Enum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """`name` is that of the family; `bounds` are the upper ends of a histogram's buckets, without infinity."""

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()

    @property
    def sample(self) -> str:
        """The name that people query; a histogram has three that begin like this."""
        match self.kind:
            case MetricKind.COUNTER:
                return f"{self.name}_total"
            case MetricKind.INFO:
                return f"{self.name}_info"
            case MetricKind.GAUGE | MetricKind.HISTOGRAM:
                return self.name
            case _:
                assert_never(self.kind)

    @property
    def unit(self) -> str:
        return next((unit for unit in _UNITS if self.name.endswith(f"_{unit}")), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How many observations fell into each bucket, the last being that without a bound, and their sum."""

    counts: tuple[int, ...]
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """`samples` by the values of the metric's labels."""

    metric: Metric
    samples: Mapping[tuple[str, ...], float | Spread]


def by_label(metric: Metric, values: Mapping[str, float]) -> Family:
    """Of a metric with one label."""
    return Family(metric=metric, samples={(label,): value for label, value in values.items()})


def exposition(families: Iterable[Family]) -> str:
    """A family without samples is left out: what is not known is not zero."""
    lines = (line for family in families if family.samples for line in _lines(family))
    return "\n".join((*lines, "# EOF", ""))


def _lines(family: Family) -> Iterator[str]:
    metric = family.metric
    yield f"# TYPE {metric.name} {metric.kind.value}"
    if metric.unit:
        yield f"# UNIT {metric.name} {metric.unit}"
    yield f"# HELP {metric.name} {_escaped(metric.help)}"
    for values, value in sorted(family.samples.items()):
        labels = tuple(zip(metric.labels, values, strict=True))
        if isinstance(value, Spread):
            yield from _spread(metric, labels, value)
        else:
            yield f"{metric.sample}{_labels(labels)} {_number(value)}"


def _spread(metric: Metric, labels: tuple[tuple[str, str], ...], spread: Spread) -> Iterator[str]:
    below = 0
    for bound, count in zip((*metric.bounds, inf), spread.counts, strict=True):
        below += count
        yield f"{metric.name}_bucket{_labels((*labels, ('le', _bound(bound))))} {below}"
    yield f"{metric.name}_count{_labels(labels)} {below}"
    yield f"{metric.name}_sum{_labels(labels)} {_number(spread.total)}"


def _labels(labels: tuple[tuple[str, str], ...]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}" if labels else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _bound(value: float) -> str:
    return "+Inf" if isinf(value) else repr(float(value))


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1 << 53 else repr(float(value))
