"""A strict reader of OpenMetrics 1.0, by its ABNF and its rules for each type; it knows nothing of our writer."""

import math
import re
from dataclasses import dataclass, field

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_DESCRIPTOR = re.compile(rf"# (TYPE|UNIT|HELP) ({_NAME}) (.*)")
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
_ESCAPE = re.compile(r'\\[\\"n]')
_PLAIN = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?([eE][+-]?\d+)?|Inf)|NaN")
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "info": ("_info",), "histogram": ("_bucket", "_count", "_sum")}


@dataclass
class Read:
    kind: str = ""
    unit: str = ""
    help: str = ""
    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)

    def of(self, suffix: str = "", **labels: str) -> float:
        return self.samples[suffix, tuple(sorted(labels.items()))]


def read(text: str) -> dict[str, Read]:
    """Families by name. AssertionError for whatever the standard forbids."""
    assert text.endswith("# EOF\n")
    families: dict[str, Read] = {}
    current = ""
    for line in text.removesuffix("# EOF\n").splitlines():
        if (descriptor := _DESCRIPTOR.fullmatch(line)) is not None:
            word, name, rest = descriptor.groups()
            assert name == current or name not in families, f"{name} is interleaved"
            current = name
            family = families.setdefault(name, Read())
            assert not family.samples, "a descriptor behind samples"
            setattr(family, {"TYPE": "kind", "UNIT": "unit", "HELP": "help"}[word], rest)
            continue
        _sample(line, current, families[current])
    for name, family in families.items():
        _check(name, family)
    return families


def _sample(line: str, name: str, family: Read) -> None:
    sample = _SAMPLE.fullmatch(line)
    assert sample is not None, line
    full, labels, number = sample.groups()
    assert full.startswith(name), f"{full} in the family {name}"
    assert full.removeprefix(name) in _SUFFIXES[family.kind], line
    assert _NUMBER.fullmatch(number), line
    key = full.removeprefix(name), tuple(sorted(_labels(labels or "")))
    assert key not in family.samples, f"{line} twice"
    family.samples[key] = float(number)


def _labels(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(text):
        label = _LABEL.match(text, at)
        assert label is not None, text
        found.append((label[1], _ESCAPE.sub(lambda one: _PLAIN[one[0]], label[2])))
        at = label.end()
    assert len({name for name, _ in found}) == len(found)
    return found


def _check(name: str, family: Read) -> None:
    assert family.kind in _SUFFIXES, f"{name} has no type"
    assert family.help, f"{name} has no help"
    assert family.samples, f"{name} has no samples"
    assert not family.unit or name.endswith(f"_{family.unit}")
    for (suffix, labels), value in family.samples.items():
        if family.kind in ("counter", "histogram"):
            assert value >= 0, f"{name}{suffix}"
            assert not math.isnan(value)
        if family.kind == "info":
            assert value == 1
        assert ("le" in dict(labels)) == (suffix == "_bucket")
    if family.kind == "histogram":
        _check_histogram(name, family)


def _check_histogram(name: str, family: Read) -> None:
    series: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    for (suffix, labels), value in family.samples.items():
        if suffix == "_bucket":
            rest = tuple(label for label in labels if label[0] != "le")
            series.setdefault(rest, []).append((float(dict(labels)["le"]), value))
    for rest, buckets in series.items():
        assert buckets == sorted(buckets), f"{name}: buckets out of order"
        assert [count for _, count in buckets] == sorted(count for _, count in buckets), f"{name}: not cumulative"
        assert buckets[-1] == (math.inf, family.samples["_count", rest])
        assert ("_sum", rest) in family.samples
