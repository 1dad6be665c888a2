"""What dnsperf prints, and what must not pass for a figure."""

import pytest

from tests.bench.cases.dns import parse_dnsperf
from tests.bench.errors import BenchError

OUTPUT = """
Statistics:

  Queries sent:         20220
  Queries completed:    20214 (99.97%)
  Queries lost:         6 (0.03%)

  Response codes:       NOERROR 18395 (91.00%), NXDOMAIN 1819 (9.00%)
  Average packet size:  request 34, response 50
  Run time (s):         1.999437
  Queries per second:   10109.845921

  Average Latency (s):  0.018641 (min 0.000051, max 0.034126)
  Latency StdDev (s):   0.002345
"""


def test_figures() -> None:
    assert parse_dnsperf(OUTPUT) == {
        "completed": 20214,
        "lost": 6,
        "rate": 10109.845921,
        "latency": 0.018641,
        "noerror": 18395,
        "nxdomain": 1819,
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        OUTPUT.replace("NOERROR 18395 (91.00%)", "SERVFAIL 18395 (91.00%)"),
        OUTPUT.replace("completed:    20214", "completed:    0"),
        OUTPUT.replace("Queries per second", "Something else"),
    ],
)
def test_failures_are_no_figures(text: str) -> None:
    with pytest.raises(BenchError):
        parse_dnsperf(text)
