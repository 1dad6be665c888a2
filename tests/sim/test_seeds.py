"""Sites with all kinds of faults: no invariant is ever broken, and in the end every machine that can is active."""

from collections import Counter

import pytest

from appliance.sim.faults import MachineFault, SiteFault
from tests.sim.seeds import play, said


@pytest.mark.timeout(900)
def test_a_hundred_seeds() -> None:
    reports = play(range(100))
    assert not said(reports)
    drawn = Counter(fault for report in reports for fault in report.faults)
    kinds = {fault.name for fault in (*MachineFault, *SiteFault)} - {MachineFault.NONE.name}
    assert not kinds - set(drawn), "a fault that no seed draws proves nothing"


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_ten_thousand_seeds() -> None:
    for first in range(100, 10_100, 1000):
        assert not said(play(range(first, first + 1000)))
