"""What sightings say of a command, and how long to wait for them."""

import pytest

from appliance.bmc.evidence import BudgetRule, Finding, Rung, Sighting, Verdict, budget, judge
from appliance.model.bmc import PowerCommand, PowerState

ON, OFF, CHANGING = PowerState.ON, PowerState.OFF, PowerState.CHANGING
YES, OPEN, NO = Verdict.CONFIRMED, Verdict.UNCONFIRMED, Verdict.CONTRADICTED


def said(power: PowerState, at: float = 11.0) -> Sighting:
    return Sighting(rung=Rung.BMC, power=power, at=at)


def heard(at: float = 11.0, *, fresh: bool = True, rung: Rung = Rung.DHCP) -> Sighting:
    return Sighting(rung=rung, power=ON, at=at, fresh=fresh)


TABLE = [
    (PowerCommand.FORCE_OFF, [], OPEN, None),
    (PowerCommand.FORCE_OFF, [said(OFF)], YES, Rung.BMC),
    (PowerCommand.FORCE_OFF, [said(ON)], NO, Rung.BMC),
    (PowerCommand.FORCE_OFF, [said(CHANGING)], OPEN, None),
    (PowerCommand.FORCE_OFF, [said(OFF, 9.0)], OPEN, None),
    (PowerCommand.FORCE_OFF, [heard(11.0), said(OFF, 12.0)], YES, Rung.BMC),
    (PowerCommand.FORCE_OFF, [said(OFF, 12.0), heard(13.0)], NO, Rung.DHCP),
    (PowerCommand.GRACEFUL_OFF, [said(ON, 11.0), said(OFF, 40.0)], YES, Rung.BMC),
    (PowerCommand.ON, [], OPEN, None),
    (PowerCommand.ON, [said(ON)], OPEN, Rung.BMC),
    (PowerCommand.ON, [said(OFF)], NO, Rung.BMC),
    (PowerCommand.ON, [said(OFF), heard(fresh=False)], YES, Rung.DHCP),
    (PowerCommand.ON, [heard(9.0)], OPEN, None),
    (PowerCommand.ON, [heard(), heard(12.0, rung=Rung.AGENT)], YES, Rung.AGENT),
    (PowerCommand.CYCLE, [said(ON)], OPEN, Rung.BMC),
    (PowerCommand.CYCLE, [said(ON), heard(fresh=False)], OPEN, Rung.BMC),
    (PowerCommand.CYCLE, [said(ON), heard()], YES, Rung.DHCP),
    (PowerCommand.FORCE_RESTART, [said(OFF)], NO, Rung.BMC),
    (PowerCommand.NMI, [said(ON), heard()], OPEN, None),
]


@pytest.mark.parametrize(("command", "sightings", "verdict", "rung"), TABLE)
def test_judge(command: PowerCommand, sightings: list[Sighting], verdict: Verdict, rung: Rung | None) -> None:
    assert judge(command, 10.0, sightings) == Finding(verdict=verdict, rung=rung)
    assert judge(command, 10.0, sightings[::-1]) == Finding(verdict=verdict, rung=rung)


RULE = BudgetRule(floor=30.0, ceiling=900.0, first=300.0)


@pytest.mark.parametrize(
    ("history", "seconds"),
    [
        ([], 300.0),
        ([10.0] * 7, 300.0),
        ([10.0] * 8, 30.0),
        ([100.0] * 8, 150.0),
        ([100.0] * 19 + [400.0], 150.0),
        ([100.0] * 18 + [400.0, 500.0], 600.0),
        ([5000.0] * 8, 900.0),
        ([5000.0] * 200 + [100.0] * 200, 150.0),
    ],
)
def test_budget(history: list[float], seconds: float) -> None:
    assert budget(history, RULE) == seconds
