"""From a site program to running machines: plan, approve, apply, follow, and watch the daemon go on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from appliance.errors import AbsentError, RefusedError
from appliance.model.doctor import Check
from appliance.model.goal import ASK, Consent
from appliance.model.text import clean
from appliance.model.views import DeferredView, GoalState, GoalView, MachinesView, PlanView, RunState, RunView

if TYPE_CHECKING:
    from appliance.client import Client

_ABSENCE = 60.0


class Watcher(Protocol):
    """`now` in seconds since the epoch; `run` is the one that is followed."""

    def update(self, machines: MachinesView, now: float, run: RunView) -> None: ...


class Planner(Protocol):
    """The part of `Client` that provisioning needs."""

    def make_plan(self) -> PlanView: ...

    def plan(self, digest: str) -> PlanView: ...

    def apply(self, digest: str, then: Consent | None = None, despite: tuple[Check, ...] = ()) -> RunView: ...

    def run(self, run: str) -> RunView: ...

    def goal(self, goal: str) -> GoalView: ...

    def machines(self) -> MachinesView: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`deferred` is what could not be planned until the end, `missing` what the last plan could not reach at all."""

    runs: tuple[RunView, ...]
    deferred: tuple[DeferredView, ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who stands before the front-end. `approve` raises to stop it, and returns which checks' failures stop nothing;
    `told` hears of a plan that the daemon carries out because `then` covers it; `follow` returns when the run is over;
    `pause` lets some time pass between two looks."""

    approve: Callable[[PlanView], tuple[Check, ...]]
    told: Callable[[PlanView], None]
    follow: Callable[[RunView], RunView]
    pause: Callable[[], None]
    now: Callable[[], float]
    then: Consent = ASK


def provision(planner: Planner, person: Person) -> Outcome:
    """All that the site program wants."""
    return carry_out(planner, planner.make_plan, person)


def carry_out(planner: Planner, make_plan: Callable[[], PlanView], person: Person) -> Outcome:
    """Until nothing is deferred, nothing changes any more, or a run ended otherwise than done: the daemon makes the
    plans after the first. Raises what it met when one could not be made."""
    plan = make_plan()
    if not is_worth(plan, planner.machines()):
        return Outcome(runs=(), deferred=plan.deferred, missing=plan.missing)
    despite = person.approve(plan)
    runs = [person.follow(planner.apply(plan.digest, replace(person.then, despite=despite), despite))]
    while (goal := following(planner, runs[-1], person)) is not None:
        plan = planner.plan(goal.plan or runs[-1].plan)
        if goal.state is GoalState.ASKING:
            despite = person.approve(plan)
            runs.append(person.follow(planner.apply(plan.digest, None, despite)))
        elif goal.state is GoalState.WORKING:
            run = planner.run(goal.runs[-1])
            plan = planner.plan(run.plan)
            person.told(plan)
            runs.append(person.follow(run))
        else:
            _raise_trouble(goal)
            break
    return Outcome(runs=tuple(runs), deferred=plan.deferred, missing=plan.missing)


def following(planner: Planner, run: RunView, person: Person) -> GoalView | None:
    """What came after the run: another run, a plan that waits for approval, or the goal's end; None for a run of no
    goal. A daemon that restarts meanwhile goes on."""
    heard = person.now()
    while run.goal:
        try:
            goal, heard = planner.goal(run.goal), person.now()
        except AbsentError:
            if person.now() - heard > _ABSENCE:
                raise
        else:
            if not is_thinking(goal, run.id):
                return goal
        person.pause()
    return None


def is_thinking(goal: GoalView, run: str) -> bool:
    """Nothing came after the run yet: it goes on, or the next plan is made."""
    return goal.state is GoalState.WORKING and goal.runs[-1:] == (run,)


def _raise_trouble(goal: GoalView) -> None:
    from appliance.exchange import error_of

    if (trouble := goal.trouble) is not None:
        raise error_of(trouble.code, trouble.message, trouble.evidence, trouble.next_action)


def is_worth(plan: PlanView, machines: MachinesView) -> bool:
    """Whether to carry the plan out would change anything."""
    return bool(plan.steps) or _gives_roles(plan, machines)


def _gives_roles(plan: PlanView, machines: MachinesView) -> bool:
    """A machine that is installed already can take over a role without a step: the run makes it so."""
    has = {machine.name: (machine.role, machine.spare_of) for machine in machines.machines}
    return any(has.get(one.machine) != (("", one.role) if one.spare else (one.role, "")) for one in plan.roles)


def apply_exactly(client: "Client", digest: str, person: Person) -> Outcome:
    """One plan that was read before; what it defers needs another approval."""
    plan = client.plan(digest)
    run = person.follow(client.apply(digest, None, person.approve(plan)))
    return Outcome(runs=(run,), deferred=plan.deferred, missing=plan.missing)


def follow_run(
    planner: Planner, run: RunView, shown: Watcher, now: Callable[[], float], pause: Callable[[], None]
) -> RunView:
    """Until the run ends; `pause` lets some time pass between two looks.

    A daemon that restarts goes on with the run, so its absence ends nothing until `_ABSENCE` seconds have passed.
    """
    heard = now()
    while run.state is RunState.RUNNING:
        try:
            shown.update(planner.machines(), now(), run)
            run, heard = planner.run(run.id), now()
        except AbsentError:
            if now() - heard > _ABSENCE:
                raise
        if run.state is RunState.RUNNING:
            pause()
    shown.update(planner.machines(), now(), run)
    return run


def confirm(kind: str, name: str, ask: Callable[[str], str]) -> None:
    """Raises `RefusedError` unless the name of the site or machine was typed: nothing else counts as a yes."""
    try:
        answer = ask(f"Type the {kind}'s name ({clean(name, 63)}) to apply, anything else to leave: ")
    except EOFError:
        answer = ""
    if not is_name(answer, name):
        raise RefusedError("not applied: the plan was not confirmed", next_action="nothing of it was done")


def is_name(answer: str, name: str) -> bool:
    """A name is typed as it is written: nothing is a yes where there is no name."""
    return bool(name) and answer.strip() == name
