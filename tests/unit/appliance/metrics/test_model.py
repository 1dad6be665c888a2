from math import inf

import pytest

from appliance.metrics.model import Family, Metric, MetricKind, Spread, exposition
from appliance.metrics.tally import Tally
from tests.openmetrics import read

COUNTED = Metric(name="x_packets", kind=MetricKind.COUNTER, help='What "became" of\nthem.', labels=("type", "dir"))
TIMES = Metric(name="x_lag_seconds", kind=MetricKind.HISTOGRAM, help="Lag.", labels=("step",), bounds=(0.5, 1.0, 10.0))
FREE = Metric(name="x_free_ratio", kind=MetricKind.GAUGE, help="Free.")
BUILD = Metric(name="x_build", kind=MetricKind.INFO, help="Build.", labels=("version",))


def test_a_whole_text() -> None:
    families = [
        Family(metric=COUNTED, samples={("offer", "out"): 3, ("ack", "out"): 1 << 52}),
        Family(metric=TIMES, samples={("write",): Spread(counts=(1, 0, 2, 1), total=25.25)}),
        Family(metric=FREE, samples={(): 0.125}),
        Family(metric=BUILD, samples={("0.1.0",): 1}),
        Family(metric=Metric(name="x_none", kind=MetricKind.GAUGE, help="Unknown."), samples={}),
    ]
    assert exposition(families) == (
        "# TYPE x_packets counter\n"
        '# HELP x_packets What \\"became\\" of\\nthem.\n'
        'x_packets_total{type="ack",dir="out"} 4503599627370496\n'
        'x_packets_total{type="offer",dir="out"} 3\n'
        "# TYPE x_lag_seconds histogram\n"
        "# UNIT x_lag_seconds seconds\n"
        "# HELP x_lag_seconds Lag.\n"
        'x_lag_seconds_bucket{step="write",le="0.5"} 1\n'
        'x_lag_seconds_bucket{step="write",le="1.0"} 1\n'
        'x_lag_seconds_bucket{step="write",le="10.0"} 3\n'
        'x_lag_seconds_bucket{step="write",le="+Inf"} 4\n'
        'x_lag_seconds_count{step="write"} 4\n'
        'x_lag_seconds_sum{step="write"} 25.25\n'
        "# TYPE x_free_ratio gauge\n"
        "# UNIT x_free_ratio ratio\n"
        "# HELP x_free_ratio Free.\n"
        "x_free_ratio 0.125\n"
        "# TYPE x_build info\n"
        "# HELP x_build Build.\n"
        'x_build_info{version="0.1.0"} 1\n'
        "# EOF\n"
    )
    assert read(exposition(families))["x_lag_seconds"].of("_bucket", step="write", le="1.0") == 1


@pytest.mark.parametrize("text", ['"', "\\", "\n", 'a\\"b\n', "\\n", "ä", '",dir="x'])
def test_labels_of_any_text(text: str) -> None:
    family = Family(metric=COUNTED, samples={(text, ""): 1})
    assert read(exposition([family]))["x_packets"].of("_total", type=text, dir="") == 1


def test_nothing_is_known() -> None:
    assert exposition([]) == "# EOF\n"
    assert exposition(Tally().families()) == "# EOF\n"


def test_a_tally() -> None:
    tally = Tally()
    tally.add(COUNTED, "offer", "out")
    tally.add(COUNTED, "offer", "out", by=4)
    for seconds in (-1.0, 0.5, 0.6, 10.0, 11.0, inf):
        tally.observe(TIMES, seconds, "write")
    found = {family.metric: family.samples for family in tally.families()}
    assert found[COUNTED] == {("offer", "out"): 5}
    assert found[TIMES] == {("write",): Spread(counts=(2, 1, 1, 2), total=inf)}


@pytest.mark.parametrize(
    "text",
    [
        "x 1\n",
        "# EOF",
        "# TYPE x gauge\n# HELP x X.\nx 1\nx 2\n# EOF\n",
        "# TYPE x counter\n# HELP x X.\nx 1\n# EOF\n",
        "# TYPE x gauge\n# HELP x X.\n# EOF\n",
        '# TYPE x gauge\n# HELP x X.\nx{a="b} 1\n# EOF\n',
        '# TYPE x histogram\n# HELP x X.\nx_bucket{le="1.0"} 2\nx_bucket{le="+Inf"} 1\nx_count 1\nx_sum 1\n# EOF\n',
    ],
)
def test_the_reader_is_strict(text: str) -> None:
    with pytest.raises((AssertionError, KeyError)):
        read(text)
