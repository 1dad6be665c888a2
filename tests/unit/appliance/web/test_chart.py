"""Bars over time: where they begin, how long they are, who is drawn first, and what is left out."""

from dataclasses import replace
from itertools import pairwise

import pytest

from appliance.model.phase import Phase
from appliance.model.views import MachineView, RunState, RunView, StepState, StepView
from appliance.web.chart import MOST_ROWS, NAME_WIDTH, WIDTH, gantt, stage_times

STEP = StepView(id="a", machine="m", score="s", summary="x", kind="read", budget=1.0, state=StepState.DONE)
RUN = RunView(id="r", plan="p", state=RunState.DONE, started=100.0, ended=200.0, steps=())
SPAN = WIDTH - NAME_WIDTH


def test_bars_are_to_scale() -> None:
    steps = (replace(STEP, started=100.0, ended=150.0), replace(STEP, id="b", started=150.0, ended=200.0))
    (row,) = gantt(replace(RUN, steps=steps), now=900.0).rows
    assert [(bar.x, bar.width, bar.seconds) for bar in row.bars] == [
        (NAME_WIDTH, SPAN / 2, 50.0),
        (NAME_WIDTH + SPAN / 2, SPAN / 2, 50.0),
    ]


def test_what_runs_reaches_to_now_and_what_waits_has_no_bar() -> None:
    running = replace(STEP, state=StepState.RUNNING, started=150.0)
    waiting = replace(STEP, id="b", machine="n", state=StepState.PENDING)
    drawn = gantt(replace(RUN, state=RunState.RUNNING, ended=None, steps=(running, waiting)), now=300.0)
    assert [[bar.seconds for bar in row.bars] for row in drawn.rows] == [[150.0], []]


def test_who_failed_or_works_comes_first_and_the_rest_is_counted() -> None:
    many = [replace(STEP, id=f"a{at}", machine=f"m{at:03}", started=100.0, ended=101.0) for at in range(MOST_ROWS + 5)]
    many[70 % len(many)] = replace(many[-1], state=StepState.FAILED)
    many[3] = replace(many[3], state=StepState.RUNNING, ended=None)
    drawn = gantt(replace(RUN, steps=tuple(many)), now=300.0)
    assert [row.machine for row in drawn.rows][:2] == [many[-1].machine, "m003"]
    assert (len(drawn.rows), drawn.more) == (MOST_ROWS, len({step.machine for step in many}) - MOST_ROWS)


@pytest.mark.parametrize(("span", "every"), [(0.2, 1), (8, 1), (9, 2), (100, 15), (3600, 600), (30 * 86400, 86400)])
def test_ticks_are_few_and_round(span: float, every: int) -> None:
    ticks = gantt(replace(RUN, ended=100.0 + span), now=0.0).ticks
    assert ticks[0].seconds == 0
    assert {after.seconds - before.seconds for before, after in pairwise(ticks)} <= {every}


def test_time_per_stage_counts_from_the_stage_before() -> None:
    machines = [
        MachineView(name=str(at), phase=Phase.ACTIVE, since=0.0, stages={"dhcp": at, "tftp": None, "hello": at + 10.0})
        for at in (2.0, 4.0, 9.0)
    ]
    assert [(s.stage, s.median, s.longest, s.machines) for s in stage_times(machines)] == [
        ("dhcp", 4.0, 9.0, 3),
        ("hello", 10.0, 10.0, 3),
    ]
    assert stage_times([]) == ()
