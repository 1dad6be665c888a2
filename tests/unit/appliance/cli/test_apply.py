from dataclasses import replace

import pytest

from appliance.cli.apply import confirm, follow_run, provision
from appliance.cli.exits import Exit
from appliance.cli.progress import PlainDisplay
from appliance.errors import RefusedError
from appliance.model.views import MachinesView, PlanView, RunState, RunView, StepState

EMPTY = MachinesView(machines=())


class Planner:
    """Hands out these plans, the last one for ever; a run with a step of `broken` fails."""

    def __init__(self, *plans: PlanView, broken: str = "") -> None:
        self.plans = list(plans)
        self.broken = broken
        self.applied: list[str] = []
        self.looks = 0

    def make_plan(self) -> PlanView:
        return self.plans.pop(0) if len(self.plans) > 1 else self.plans[0]

    def apply(self, digest: str) -> RunView:
        self.applied.append(digest)
        return RunView(id="r", plan=digest, state=RunState.RUNNING, started=0, ended=None, steps=())

    def run(self, run: str) -> RunView:
        self.looks += 1
        state = RunState.DONE if self.looks > 2 else RunState.RUNNING
        return RunView(id=run, plan="", state=state, started=0, ended=None, steps=())

    def machines(self) -> MachinesView:
        return EMPTY


def ended(plan: PlanView, state: StepState = StepState.DONE) -> RunView:
    steps = tuple(replace(step, state=state) for step in plan.steps)
    verdict = RunState.DONE if state is StepState.DONE else RunState.FAILED
    return RunView(id="r", plan=plan.digest, state=verdict, started=0, ended=1, steps=steps)


def test_plans_again_until_nothing_is_deferred(plan: PlanView) -> None:
    last = replace(plan, digest="c" * 64, deferred=())
    planner, shown = Planner(plan, last), list[PlanView]()
    outcome = provision(planner, shown.append, lambda run: ended(plan))
    assert planner.applied == [plan.digest, last.digest]
    assert shown == [plan, last]
    assert outcome.exit is Exit.OK


def test_stops_when_nothing_changes(plan: PlanView) -> None:
    planner = Planner(plan)
    outcome = provision(planner, lambda _: None, lambda run: ended(plan))
    assert planner.applied == [plan.digest]
    assert (outcome.deferred, outcome.exit) == (plan.deferred, Exit.PARTIAL)


def test_stops_at_a_failed_run(plan: PlanView) -> None:
    planner = Planner(plan, replace(plan, digest="c" * 64))
    outcome = provision(planner, lambda _: None, lambda run: ended(plan, StepState.FAILED))
    assert planner.applied == [plan.digest]
    assert outcome.exit is Exit.FAILURE


@pytest.mark.parametrize(("deferred", "status"), [(False, Exit.OK), (True, Exit.FAILURE)])
def test_nothing_to_do(plan: PlanView, deferred: bool, status: Exit) -> None:
    idle = replace(plan, steps=(), deferred=plan.deferred if deferred else ())
    planner = Planner(idle)
    assert provision(planner, lambda _: None, lambda run: run).exit is status
    assert planner.applied == []


def test_a_refusal_applies_nothing(plan: PlanView) -> None:
    planner = Planner(plan)
    with pytest.raises(RefusedError):
        provision(planner, lambda shown: confirm(shown, lambda _: ""), lambda run: run)
    assert planner.applied == []


@pytest.mark.parametrize("answer", ["", "y", "yes", "LAB", "lab2"])
def test_only_the_name_confirms(plan: PlanView, answer: str) -> None:
    with pytest.raises(RefusedError):
        confirm(plan, lambda _: answer)
    confirm(plan, lambda _: " lab\n")


def test_end_of_input_is_a_no(plan: PlanView) -> None:
    def ask(_: str) -> str:
        raise EOFError

    with pytest.raises(RefusedError):
        confirm(plan, ask)


def test_follows_to_the_end(plan: PlanView) -> None:
    planner, pauses = Planner(plan), list[None]()
    run = follow_run(planner, planner.apply("x"), PlainDisplay(), lambda: 0.0, lambda: pauses.append(None))
    assert run.state is RunState.DONE
    assert len(pauses) == 3
