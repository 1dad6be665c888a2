"""How long what is left of a run takes: from the log's past, step by step, and how often it is worked out anew."""

from dataclasses import replace

import pytest

from appliance.conductor.past import Timed
from appliance.conductor.runs import Attempt, RunStatus
from appliance.conductor.world import World
from appliance.model.ids import Fence, MachineName, Nonce, RunId, StepId
from appliance.model.phase import Condition, ConditionKind
from appliance.model.rollout import Rollout
from appliance.model.views import OutlookView, RunState
from appliance.plan import BootAgent, Inspect, Plan, PlanIndex, Step
from appliance.services.outlook import Outlooks, plan_outlook, run_outlook
from appliance.store.records import RunStarted, StepResult

NODE = MachineName("node-0")
BOOT, LOOK = StepId("boot"), StepId("look")
PLAN = Plan(
    site="lab",
    steps=(
        Step(id=BOOT, machine=NODE, score="s", summary="boot", do=BootAgent(), budget=600),
        Step(id=LOOK, machine=NODE, score="s", summary="look", do=Inspect(), budget=60, needs=(BOOT,)),
    ),
)
RUN = RunId("r")
HOLD = Condition(kind=ConditionKind.HOLD, since=0.0, reason="look")


class Known(World):
    """`took` are seconds by kind of step; `strange` kinds were timed on other models only."""

    def __init__(self, took: dict[str, float], strange: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self._took, self._strange = took, strange

    def timed(self, model: str, action: str) -> Timed | None:
        if action not in self._took:
            return None
        return Timed(seconds=self._took[action], own=action not in self._strange)


def run(*attempts: Attempt) -> RunStatus:
    started = RunStarted(run=RUN, plan=PLAN.digest, rollout=Rollout())
    status = RunStatus.begun(started, PLAN, PlanIndex.of(PLAN), 0.0)
    for attempt in attempts:
        status.keep(attempt)
        if attempt.done:
            status.finish(status.index.by_id[attempt.step], 0.0)
    return status


def attempt(step: StepId, started: float, resumed_from: float | None = None) -> Attempt:
    return Attempt(step=step, run=RUN, fence=Fence(1), nonce=Nonce("n"), started=started, resumed_from=resumed_from)


def done(step: StepId) -> Attempt:
    result = StepResult(run=RUN, step=step, machine=NODE, fence=Fence(1))
    return replace(attempt(step, 0.0), ended=5.0, result=result)


BOTH = {"boot-agent": 50.0, "inspect": 5.0}


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        (Known(BOTH), (55.0, 55.0, 0, 0)),
        (Known(BOTH, frozenset({"inspect"})), (55.0, 55.0, 0, 1)),
        (Known({"inspect": 5.0}), (5.0, 605.0, 1, 0)),
        (Known({}), (0.0, 660.0, 2, 0)),
    ],
    ids=["timed", "one-on-other-models", "one-never", "none"],
)
def test_a_plan(world: World, expected: tuple[float, float, int, int]) -> None:
    seconds, allowed, untimed, borrowed = expected
    wanted = OutlookView(seconds=seconds, allowed=allowed, steps=2, untimed=untimed, borrowed=borrowed)
    assert plan_outlook(PLAN, world, Rollout()) == wanted
    assert plan_outlook(replace(PLAN, steps=()), world, Rollout()) is None


@pytest.mark.parametrize(
    ("attempts", "took", "left", "allowed", "steps"),
    [
        ((), BOTH, 55.0, 55.0, 2),
        ((attempt(BOOT, 90.0),), BOTH, 45.0, 45.0, 2),
        ((attempt(BOOT, 90.0, resumed_from=70.0),), BOTH, 25.0, 25.0, 2),
        ((attempt(BOOT, 20.0),), BOTH, 5.0, 5.0, 2),
        ((attempt(BOOT, 90.0),), {"inspect": 5.0}, 5.0, 595.0, 2),
        ((done(BOOT),), BOTH, 5.0, 5.0, 1),
        ((done(BOOT), done(LOOK)), BOTH, None, None, 0),
    ],
    ids=["not-begun", "under-way", "resumed", "late", "under-way-and-never-timed", "first-done", "all-done"],
)
def test_what_is_left_of_a_run(
    attempts: tuple[Attempt, ...], took: dict[str, float], left: float | None, allowed: float | None, steps: int
) -> None:
    seen = run_outlook(run(*attempts), Known(took), 100.0)
    assert (seen and (seen.seconds, seen.allowed, seen.steps, seen.until)) == (
        None if left is None else (left, allowed, steps, 100.0 + left)
    )


def test_what_can_no_longer_be_done_is_not_waited_for() -> None:
    status = run()
    status.set_aside(NODE, "fan", 0.0)
    assert run_outlook(status, Known(BOTH), 100.0) is None


def test_it_is_worked_out_anew_once_in_a_while() -> None:
    status, outlooks = run(), Outlooks(Known(BOTH))
    first = outlooks.of(status, 100.0)
    assert first is not None
    assert outlooks.of(status, 100.0015) is first
    assert outlooks.of(status, 100.0025) is not first
    late = outlooks.of(status, 200.0)
    assert outlooks.of(status, 199.0) is not late, "the clock was set back"
    status.paused = HOLD
    paused = outlooks.of(status, 199.0)
    assert paused is not None
    assert (paused.seconds, paused.until) == (55.0, None)
    status.state = RunState.CANCELLED
    assert outlooks.of(status, 199.0) is None
