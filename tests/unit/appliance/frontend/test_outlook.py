"""What front-ends say of how long a plan takes and when a run is done: tables."""

import pytest

from appliance.frontend import units
from appliance.frontend.outlook import of_plan, of_run
from appliance.model.views import DeferredView, OutlookView, PlanView, RunState, RunView

LATER = (DeferredView(score="s", reason="r"),)
NOON = 1_800_014_400.0


def seen(
    seconds: float, steps: int = 12, untimed: int = 0, borrowed: int = 0, until: float | None = None
) -> OutlookView:
    return OutlookView(seconds=seconds, allowed=2300.0, steps=steps, untimed=untimed, borrowed=borrowed, until=until)


@pytest.mark.parametrize(
    ("outlook", "deferred", "text"),
    [
        (None, (), ""),
        (seen(833), (), "Usually takes about 14m."),
        (seen(833, borrowed=1), (), "Usually takes about 14m; 1 step as other models took them."),
        (seen(833), LATER, "Usually takes about 14m; what is planned later comes on top."),
        (
            seen(500, untimed=3, borrowed=4),
            LATER,
            "Takes at least 9m: 3 of 12 steps were never timed here; with all their budgets it is 39m; "
            "4 steps as other models took them; what is planned later comes on top.",
        ),
        (
            seen(0, steps=1, untimed=1),
            (),
            "How long it takes is not known: 1 of 1 steps was never timed here; with all their budgets it is 39m.",
        ),
    ],
    ids=["no-step", "timed", "borrowed", "more-later", "partly", "never"],
)
def test_of_a_plan(outlook: OutlookView | None, deferred: tuple[DeferredView, ...], text: str) -> None:
    assert of_plan(PlanView(digest="d", site="lab", steps=(), deferred=deferred, outlook=outlook)) == text


@pytest.mark.parametrize(
    ("outlook", "text"),
    [
        (None, ""),
        (seen(290, until=NOON + 300), "about 5m left, usually done at 12:05:00Z"),
        (seen(290), "about 5m left, when it goes on"),
        (seen(0, until=NOON - 4), "about 10s left, usually done at 11:59:56Z"),
        (
            seen(290, untimed=3, borrowed=2, until=NOON + 290),
            "at least 5m left: 3 of 12 steps were never timed here; with all their budgets it is 39m; "
            "2 steps as other models took them",
        ),
        (
            seen(0, untimed=12, until=NOON),
            "how long it goes on is not known: 12 of 12 steps were never timed here; with all their budgets it is 39m",
        ),
    ],
    ids=["nothing-left", "timed", "paused", "late", "partly", "never"],
)
def test_of_a_run(outlook: OutlookView | None, text: str) -> None:
    run = RunView(id="r", plan="p", state=RunState.RUNNING, started=0, ended=None, steps=(), outlook=outlook)
    assert of_run(run, NOON) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "10s"),
        (0, "10s"),
        (31, "40s"),
        (55, "1m"),
        (95, "1m40s"),
        (121, "3m"),
        (833, "14m"),
        (3601, "1h01m"),
        (7201, "2h10m"),
    ],
)
def test_estimates_are_rounded_up(seconds: float, text: str) -> None:
    assert units.roughly(seconds) == text
