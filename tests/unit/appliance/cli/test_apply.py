from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from appliance.cli.exits import Exit, of_outcome
from appliance.cli.progress import PlainDisplay
from appliance.errors import AbsentError, PlanError, RefusedError
from appliance.frontend.provision import Person, carry_out, confirm, follow_run, following, provision
from appliance.model.doctor import Check
from appliance.model.goal import ASK, EVERYTHING, Consent
from appliance.model.phase import Phase
from appliance.model.views import (
    GoalState,
    GoalView,
    MachinesView,
    MachineView,
    PlanView,
    RoleView,
    RunState,
    RunView,
    StepState,
    TroubleView,
)

EMPTY = MachinesView(machines=())


class Planner:
    """Hands out these plans, the last one for ever. What a plan defers is a goal, which asks for the next plan; with
    `covered` it carries that out by itself. `trouble` is why there is none."""

    def __init__(self, *plans: PlanView, covered: bool = False, trouble: TroubleView | None = None) -> None:
        self.plans = list(plans)
        self.covered = covered
        self.trouble = trouble
        self.applied: list[str] = []
        self.consents: list[Consent | None] = []
        self.despites: list[tuple[Check, ...]] = []
        self.begun: list[RunView] = []
        self.known: dict[str, PlanView] = {}
        self.looks = self.thinks = 0
        self.present = EMPTY

    def make_plan(self) -> PlanView:
        plan = self.plans.pop(0) if len(self.plans) > 1 else self.plans[0]
        self.known[plan.digest] = plan
        return plan

    def plan(self, digest: str) -> PlanView:
        return self.known[digest]

    def apply(self, digest: str, then: Consent | None = None, despite: tuple[Check, ...] = ()) -> RunView:
        self.applied.append(digest)
        self.despites.append(despite)
        self.consents.append(then)
        return self.begin(digest)

    def begin(self, digest: str) -> RunView:
        goal = "g" if digest in self.known and (self.begun or self.known[digest].deferred) else ""
        name = f"r{len(self.begun)}"
        run = RunView(id=name, plan=digest, state=RunState.RUNNING, started=0, ended=None, steps=(), goal=goal)
        self.begun.append(run)
        return run

    def run(self, run: str) -> RunView:
        self.looks += 1
        state = RunState.DONE if self.looks > 2 else RunState.RUNNING
        known = next((one for one in self.begun if one.id == run), self.begun[-1])
        return replace(known, state=state)

    def goal(self, goal: str) -> GoalView:
        """The daemon thinks for a moment."""
        last, self.thinks = self.begun[-1], self.thinks + 1
        view = GoalView(
            id=goal, purpose="", state=GoalState.WORKING, consent=ASK, since=0, runs=tuple(r.id for r in self.begun)
        )
        if self.thinks % 2:
            return view
        plan = self.known[last.plan]
        if not self.broken and self.trouble is None and plan.deferred:
            plan = self.make_plan()
            if plan.digest != last.plan and self.covered:
                return replace(view, runs=(*view.runs, self.begin(plan.digest).id))
            if plan.digest != last.plan:
                return replace(view, state=GoalState.ASKING, plan=plan.digest)
        state = GoalState.FAILED if self.broken or self.trouble else GoalState.REACHED
        return replace(view, state=state, plan=plan.digest, trouble=self.trouble, ended=1)

    broken = False

    def machines(self) -> MachinesView:
        return self.present


@dataclass
class Somebody:
    """A `Person`, and what he was asked and told."""

    follow: Callable[[RunView], RunView]
    approve: Callable[[PlanView], None] | None = None
    then: Consent = ASK
    accepts: tuple[Check, ...] = ()
    asked: list[PlanView] = field(default_factory=list)
    told: list[PlanView] = field(default_factory=list)

    def person(self) -> Person:
        return Person(
            approve=self._approve,
            told=self.told.append,
            follow=self.follow,
            pause=lambda: None,
            now=lambda: 0.0,
            then=self.then,
        )

    def _approve(self, plan: PlanView) -> tuple[Check, ...]:
        (self.approve or self.asked.append)(plan)
        return self.accepts


def ended(plan: PlanView, state: StepState = StepState.DONE) -> Callable[[RunView], RunView]:
    steps = tuple(replace(step, state=state) for step in plan.steps)
    verdict = RunState.DONE if state is StepState.DONE else RunState.FAILED
    return lambda run: replace(run, state=verdict, ended=1, steps=steps)


def test_goes_on_until_nothing_is_deferred(plan: PlanView) -> None:
    last = replace(plan, digest="c" * 64, deferred=())
    planner, somebody = Planner(plan, last), Somebody(ended(plan))
    outcome = provision(planner, somebody.person())
    assert planner.applied == [plan.digest, last.digest]
    assert planner.consents == [ASK, None], "an approval by digest changes no consent"
    assert planner.despites == [(), ()]
    assert (somebody.asked, somebody.told) == ([plan, last], [])
    assert of_outcome(outcome) is Exit.OK


def test_what_was_consented_to_is_only_told(plan: PlanView) -> None:
    last = replace(plan, digest="c" * 64, deferred=())
    planner, somebody = Planner(plan, last, covered=True), Somebody(ended(plan), then=EVERYTHING)
    outcome = provision(planner, somebody.person())
    assert (planner.applied, planner.consents) == ([plan.digest], [EVERYTHING])
    assert (somebody.asked, somebody.told) == ([plan], [last])
    assert ([run.plan for run in outcome.runs], of_outcome(outcome)) == ([plan.digest, last.digest], Exit.OK)


def test_why_there_is_no_next_plan_is_raised(plan: PlanView) -> None:
    trouble = TroubleView(code="plan", message="no disk fits", evidence="sda: not blank", next_action="save it")
    with pytest.raises(PlanError, match="no disk fits") as caught:
        provision(Planner(plan, trouble=trouble), Somebody(ended(plan)).person())
    assert (caught.value.evidence, caught.value.next_action) == ("sda: not blank", "save it")


def test_a_daemon_that_restarts_goes_on(plan: PlanView) -> None:
    last = replace(plan, digest="c" * 64, deferred=())
    planner, away, clock = Planner(plan, last), [True] * 3, iter(range(0, 10_000, 10))
    at_home = planner.goal

    def goal(name: str) -> GoalView:
        if away:
            away.pop()
            raise AbsentError("no daemon answers", next_action="start it")
        return at_home(name)

    planner.goal = goal  # type: ignore[method-assign]
    person = replace(Somebody(ended(plan)).person(), now=lambda: float(next(clock)))
    assert of_outcome(provision(planner, person)) is Exit.OK
    away.extend([True] * 20)
    with pytest.raises(AbsentError):
        following(planner, planner.begun[0], person)


def test_an_errand_goes_the_same_way(plan: PlanView) -> None:
    last = replace(plan, digest="c" * 64, deferred=())
    planner = Planner(plan, last)
    outcome = carry_out(planner, planner.make_plan, Somebody(ended(plan)).person())
    assert planner.applied == [plan.digest, last.digest]
    assert of_outcome(outcome) is Exit.OK


@pytest.mark.parametrize("steps", [True, False])
def test_what_cannot_be_reached_is_no_success(plan: PlanView, steps: bool) -> None:
    last = replace(plan, deferred=(), missing=("worker: 1 of 2 missing",), steps=plan.steps if steps else ())
    outcome = provision(Planner(last), Somebody(ended(plan)).person())
    assert (outcome.missing, of_outcome(outcome)) == (last.missing, Exit.PARTIAL)


def test_stops_when_nothing_changes(plan: PlanView) -> None:
    planner = Planner(plan)
    outcome = provision(planner, Somebody(ended(plan)).person())
    assert planner.applied == [plan.digest]
    assert (outcome.deferred, of_outcome(outcome)) == (plan.deferred, Exit.PARTIAL)


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.CANCELLED])
def test_stops_at_a_run_that_was_not_done(plan: PlanView, state: RunState) -> None:
    planner = Planner(plan, replace(plan, digest="c" * 64))
    planner.broken = True
    unwell = ended(plan, StepState(state.value))
    outcome = provision(planner, Somebody(lambda run: replace(unwell(run), state=state)).person())
    assert planner.applied == [plan.digest]
    assert of_outcome(outcome) is Exit.FAILURE


@pytest.mark.parametrize(("deferred", "status"), [(False, Exit.OK), (True, Exit.FAILURE)])
def test_nothing_to_do(plan: PlanView, deferred: bool, status: Exit) -> None:
    idle = replace(plan, steps=(), deferred=plan.deferred if deferred else ())
    planner = Planner(idle)
    assert of_outcome(provision(planner, Somebody(lambda run: run).person())) is status
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
    assert of_outcome(provision(planner, Somebody(ended(plan)).person())) is Exit.OK
    assert bool(planner.applied) is applied


def test_a_refusal_applies_nothing(plan: PlanView) -> None:
    planner = Planner(plan)
    refuses = Somebody(lambda run: run, approve=lambda shown: confirm("site", shown.site, lambda _: "")).person()
    with pytest.raises(RefusedError):
        provision(planner, refuses)
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


def test_what_was_accepted_is_said_to_the_daemon(plan: PlanView) -> None:
    last = replace(plan, digest="c" * 64, deferred=())
    planner, somebody = Planner(plan, last), Somebody(ended(plan), accepts=(Check.DHCP,))
    provision(planner, somebody.person())
    assert planner.despites == [(Check.DHCP,)] * 2
    assert planner.consents == [replace(ASK, despite=(Check.DHCP,)), None]
