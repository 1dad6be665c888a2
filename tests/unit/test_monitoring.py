"""The documentation, the alerts and the dashboard name the metrics that there are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from appliance.metrics.catalogue import CATALOGUE
from appliance.metrics.model import MetricKind

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "guide/monitoring.md").read_text()
ALERTS = yaml.safe_load((DOCS / "monitoring/alerts.yml").read_text())
DASHBOARD = json.loads((DOCS / "monitoring/dashboard.json").read_text())
_USED = re.compile(r"innervate_[a-z_]+")
_SELECTOR = re.compile(r'(innervate_[a-z_]+)\{([a-z]+)[=~]+"')


def queried() -> Iterator[str]:
    for metric in CATALOGUE:
        if metric.kind is MetricKind.HISTOGRAM:
            yield from (f"{metric.name}_{part}" for part in ("bucket", "count", "sum"))
        else:
            yield metric.sample


def expressions() -> Iterator[str]:
    for group in ALERTS["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def test_the_table_is_the_catalogue() -> None:
    rows = re.findall(r"^\| `(innervate_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", GUIDE, re.MULTILINE)
    assert rows == [
        (
            metric.sample,
            metric.kind.value,
            ", ".join(f"`{label}`" for label in metric.labels) or "-",
            metric.help,
        )
        for metric in CATALOGUE
    ]


def test_names_follow_the_rules() -> None:
    names = [metric.name for metric in CATALOGUE]
    assert len(set(names)) == len(names)
    for metric in CATALOGUE:
        assert re.fullmatch(r"innervate_[a-z]+(_[a-z]+)*", metric.name)
        assert not metric.name.endswith(("_total", "_info", "_count", "_sum", "_bucket", "_ms", "_percent"))
        assert (metric.kind is MetricKind.HISTOGRAM) == bool(metric.bounds)
        assert list(metric.bounds) == sorted(set(metric.bounds))
        assert not {"machine", "node", "name", "run"} & set(metric.labels) or metric.name.endswith("timestamp_seconds")


@pytest.mark.parametrize("expression", tuple(expressions()))
def test_what_rules_and_panels_ask_for_exists(expression: str) -> None:
    names = _USED.findall(expression)
    assert names
    assert not set(names) - set(queried())
    labels = {name: metric.labels for metric in CATALOGUE for name in queried() if name.startswith(metric.name)}
    for name, label in _SELECTOR.findall(expression):
        assert label in labels[name], f"{name} has no label {label}"


def test_alerts_say_what_to_do() -> None:
    rules = [rule for group in ALERTS["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) > 5
    for rule in rules:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_every_metric_is_on_the_dashboard() -> None:
    asked = set(_USED.findall(" ".join(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])))
    assert not [metric.name for metric in CATALOGUE if not any(name.startswith(metric.name) for name in asked)]
