from dataclasses import replace

import pytest

from appliance.cli.exits import Exit, of_outcome
from appliance.cli.progress import PlainDisplay
from appliance.errors import RefusedError
from appliance.frontend.provision import carry_out, confirm, follow_run, provision
from appliance.model.phase import Phase
from appliance.model.views import MachinesView, MachineView, PlanView, RoleView, RunState, RunView, StepState

EMPTY = MachinesView(machines=())


class Planner:
    """Hands out these plans, the last one for ever; a run with a step of `broken` fails."""

    def __init__(self, *plans: PlanView, broken: str = "") -> None:
        self.plans = list(plans)
        self.broken = broken
        self.applied: list[str] = []
        self.looks = 0
        self.present = EMPTY

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
        return self.present


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
    assert of_outcome(outcome) is Exit.OK


def test_an_errand_goes_the_same_way(plan: PlanView) -> None:
    last = replace(plan, digest="c" * 64, deferred=())
    errand, site = Planner(plan, last), Planner(replace(plan, digest="d" * 64))
    outcome = carry_out(site, errand.make_plan, lambda _: None, lambda run: ended(plan))
    assert site.applied == [plan.digest, last.digest]
    assert of_outcome(outcome) is Exit.OK


@pytest.mark.parametrize("steps", [True, False])
def test_what_cannot_be_reached_is_no_success(plan: PlanView, steps: bool) -> None:
    last = replace(plan, deferred=(), missing=("worker: 1 of 2 missing",), steps=plan.steps if steps else ())
    outcome = provision(Planner(last), lambda _: None, lambda run: ended(plan))
    assert (outcome.missing, of_outcome(outcome)) == (last.missing, Exit.PARTIAL)


def test_stops_when_nothing_changes(plan: PlanView) -> None:
    planner = Planner(plan)
    outcome = provision(planner, lambda _: None, lambda run: ended(plan))
    assert planner.applied == [plan.digest]
    assert (outcome.deferred, of_outcome(outcome)) == (plan.deferred, Exit.PARTIAL)


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.CANCELLED])
def test_stops_at_a_run_that_was_not_done(plan: PlanView, state: RunState) -> None:
    planner = Planner(plan, replace(plan, digest="c" * 64))
    unwell = replace(ended(plan, StepState(state.value)), state=state)
    outcome = provision(planner, lambda _: None, lambda run: unwell)
    assert planner.applied == [plan.digest]
    assert of_outcome(outcome) is Exit.FAILURE


@pytest.mark.parametrize(("deferred", "status"), [(False, Exit.OK), (True, Exit.FAILURE)])
def test_nothing_to_do(plan: PlanView, deferred: bool, status: Exit) -> None:
    idle = replace(plan, steps=(), deferred=plan.deferred if deferred else ())
    planner = Planner(idle)
    assert of_outcome(provision(planner, lambda _: None, lambda run: run)) is status
    assert planner.applied == []


@pytest.mark.parametrize(
    ("machine", "applied"),
    [
        (MachineView(name="node-0", phase=Phase.ACTIVE, since=0), True),
        (MachineView(name="node-0", phase=Phase.ACTIVE, since=0, role="worker"), True),
        (MachineView(name="node-0", phase=Phase.ACTIVE, since=0, spare_of="worker"), False),
    ],
)
def test_a_role_is_given_without_a_step(plan: PlanView, machine: MachineView, applied: bool) -> None:
    role = RoleView(machine="node-0", role="worker", spare=True, why="the site program names it")
    planner = Planner(replace(plan, steps=(), deferred=(), roles=(role,)))
    planner.present = MachinesView(machines=(machine,))
    assert of_outcome(provision(planner, lambda _: None, lambda run: ended(plan))) is Exit.OK
    assert bool(planner.applied) is applied


def test_a_refusal_applies_nothing(plan: PlanView) -> None:
    planner = Planner(plan)
    with pytest.raises(RefusedError):
        provision(planner, lambda shown: confirm("site", shown.site, lambda _: ""), lambda run: run)
    assert planner.applied == []


@pytest.mark.parametrize("answer", ["", "y", "yes", "LAB", "lab2"])
def test_only_the_name_confirms(answer: str) -> None:
    with pytest.raises(RefusedError):
        confirm("site", "lab", lambda _: answer)
    confirm("site", "lab", lambda _: " lab\n")


def test_end_of_input_is_a_no() -> None:
    def ask(_: str) -> str:
        raise EOFError

    with pytest.raises(RefusedError):
        confirm("site", "lab", ask)


def test_follows_to_the_end(plan: PlanView) -> None:
    planner, pauses = Planner(plan), list[None]()
    run = follow_run(planner, planner.apply("x"), PlainDisplay(), lambda: 0.0, lambda: pauses.append(None))
    assert run.state is RunState.DONE
    assert len(pauses) == 2, "not when it is over"
