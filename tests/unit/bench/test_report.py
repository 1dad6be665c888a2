"""Medians, paired ratios and goals from runs whose figures are known."""

import json

import pytest

from tests.bench.case import Comparison, Goal, Outcome, Run, Size
from tests.bench.report import as_json, as_text, medians, verdict


def _runs(contender: str, *rates: float | None) -> list[Run]:
    """None is a run that failed."""
    return [
        Run(
            round=number,
            case="load",
            contender=contender,
            ours=contender == "us",
            metrics={} if rate is None else {"rate": rate},
            error="it died" if rate is None else "",
        )
        for number, rate in enumerate(rates, 1)
    ]


def _goal(comparison: Comparison, bound: float, peer: str = "") -> Goal:
    return Goal(id="g", case="load", metric="rate", ours="us", peer=peer, comparison=comparison, bound=bound)


def _outcome(*runs: Run, goal: Goal) -> Outcome:
    return Outcome(name="n", size=Size.FULL, runs=runs, goals=(goal,))


def test_ratio_is_paired_by_round_not_one_of_medians() -> None:
    goal = _goal(">=", 2.5, "them")
    found = verdict(_outcome(*_runs("us", 30, 10, 100), *_runs("them", 10, 10, 25), goal=goal), goal)
    assert found.rounds == [3.0, 1.0, 4.0]
    assert (found.value, found.met) == (3.0, True)


@pytest.mark.parametrize(
    ("comparison", "bound", "value", "met"),
    [(">=", 1, 1, True), (">=", 2, 1, False), ("<=", 3, 3, True), ("<=", 2, 3, False), ("<", 3, 3, False)],
)
def test_absolute_goal_takes_the_worst_round(comparison: Comparison, bound: float, value: float, met: bool) -> None:
    goal = _goal(comparison, bound)
    found = verdict(_outcome(*_runs("us", 2, 1, 3), goal=goal), goal)
    assert (found.value, found.met) == (value, met)


@pytest.mark.parametrize(("ours", "theirs"), [((30, None), (10, 10)), ((30, 30), (None, 10)), ((None,), (None,))])
def test_goal_is_not_met_while_a_run_that_it_needs_failed(
    ours: tuple[float | None, ...], theirs: tuple[float | None, ...]
) -> None:
    goal = _goal(">=", 1, "them")
    assert not verdict(_outcome(*_runs("us", *ours), *_runs("them", *theirs), goal=goal), goal).met


def test_failure_of_an_unconcerned_peer_spoils_no_goal() -> None:
    goal = _goal(">=", 1, "them")
    runs = (*_runs("us", 30), *_runs("them", 10), *_runs("others", None))
    assert verdict(_outcome(*runs, goal=goal), goal).met


def test_medians_leave_failed_rounds_out() -> None:
    outcome = _outcome(*_runs("us", 1, None, 5, 2), goal=_goal(">=", 1))
    assert medians(outcome, "load", "us") == {"rate": 2}
    assert medians(outcome, "load", "nobody") == {}


def test_json_keeps_every_run() -> None:
    goal = _goal(">=", 2.5, "them")
    document = json.loads(json.dumps(as_json(_outcome(*_runs("us", 30, 20), *_runs("them", 10, None), goal=goal))))
    assert [[run["contender"] for run in one] for one in document["rounds"]] == [["us", "them"], ["us", "them"]]
    assert document["rounds"][1][1] == {"case": "load", "contender": "them", "metrics": {}, "error": "it died"}
    assert document["ours"] == {"us": {"load": {"rate": 25}}}
    assert document["peers"] == {"them": {"load": {"rate": 10}}}
    assert document["goals"]["g"]["value"] == 3.0
    assert document["goals"]["g"]["met"] is False


def test_table_shows_single_runs_goals_and_failures() -> None:
    text = as_text(_outcome(*_runs("us", 1234.5, 20), *_runs("them", 10, None), goal=_goal(">=", 2.5, "them")))
    assert "1234 20" in text.splitlines()[1]
    assert "10 failed" in text.splitlines()[2]
    assert "no       load rate: us / them" in text
    assert "failed in round 2: load them: it died" in text
