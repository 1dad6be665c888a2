"""A thousand machines: how long they take, and what they cost."""

import pytest

from appliance.sim.faults import Faults
from appliance.sim.run import Report
from tests.sim.seeds import said
from tests.sim.single import alone


def check_cost(report: Report) -> None:
    assert not said([report])
    assert report.cpu_seconds_per_machine <= 2.0
    assert report.max_rss_mb <= 500


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_thousand_machines() -> None:
    report = alone(1000, seed=1, faults=Faults.NONE)
    check_cost(report)
    assert report.active == 1000
    assert report.virtual_minutes <= 60


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_thousand_machines_with_all_faults() -> None:
    report = alone(1000, seed=1, faults=Faults.ALL)
    check_cost(report)
    assert report.active == 1000 - report.quarantined


def test_a_hundred_machines() -> None:
    report = alone(100, seed=1, faults=Faults.NONE)
    assert not said([report])
    assert (report.active, report.quarantined) == (100, 0)
    assert report.virtual_minutes <= 60
    assert report.cpu_seconds_per_machine <= 2.0
