"""Going on from one plan to the next: what is wanted, what was consented to, and what follows from both. Pure.

A goal is approved once. Whatever is planned for it later destroys nothing that its consent does not cover: such a plan
is asked for, and nothing of it is done before its digest is approved.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from appliance.model.goal import Consent
from appliance.model.ids import GoalId, MachineName, PlanDigest, RunId
from appliance.model.step import StepKind
from appliance.model.views import RunState
from appliance.model.words import Destroys, GoalState
from appliance.plan import DiskRef, Plan, Purpose, RunInstaller, Step, Wipe, WriteImage
from appliance.roles.disk import BLANK
from appliance.store.records import GoalAsked, GoalEnded, GoalSet, RunStarted

if TYPE_CHECKING:
    from appliance.conductor.machine import MachineState
    from appliance.conductor.runs import RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """`asked` is the plan that waits for approval, `why` what the doctor found against it; `runs` in the order in which
    they began."""

    id: GoalId
    purpose: Purpose
    consent: Consent
    machines: tuple[MachineName, ...]
    by: str
    since: float
    runs: tuple[RunId, ...] = ()
    asked: PlanDigest | None = None
    end: GoalEnded | None = None
    ended: float | None = None
    why: str = ""

    @property
    def state(self) -> GoalState:
        if self.end is not None:
            return self.end.state
        return GoalState.WORKING if self.asked is None else GoalState.ASKING


def folded(goals: Mapping[GoalId, Goal], record: GoalSet | GoalAsked | GoalEnded, now: float) -> Goal:
    """The goal as it is after the record."""
    match record:
        case GoalSet(goal=name) if name in goals:
            return replace(goals[name], consent=record.consent, machines=record.machines, by=record.by)
        case GoalSet(goal=name, purpose=purpose, consent=consent, machines=machines, by=by):
            return Goal(id=name, purpose=purpose, consent=consent, machines=machines, by=by, since=now)
        case GoalAsked(goal=name, plan=plan, why=why):
            return replace(goals[name], asked=plan, why=why)
        case GoalEnded(goal=name):
            return replace(goals[name], asked=None, why="", end=record, ended=now)
        case _:
            assert_never(record)


def started(goal: Goal, record: RunStarted) -> Goal:
    return replace(goal, runs=(*goal.runs, record.run), asked=None, why="")


def joined(goals: Iterable[Goal], plan: Plan) -> Goal | None:
    """Of the open `goals` the one that an approved plan's run belongs to."""
    return next((goal for goal in goals if goal.purpose == plan.purpose), None)


def end_with(goal: Goal, run: "RunStatus") -> GoalEnded | None:
    """None where what had to wait can be planned now: the run of the latest plan went well, and put something off."""
    if run.state is RunState.DONE:
        return None if run.plan.deferred else GoalEnded(goal=goal.id, state=GoalState.REACHED, plan=run.digest)
    state = GoalState.CANCELLED if run.state is RunState.CANCELLED else GoalState.FAILED
    return GoalEnded(goal=goal.id, state=state, plan=run.digest)


def proposed(
    goal: Goal, plan: Plan, applied: Iterable[PlanDigest], machine: "Callable[[MachineName], MachineState]"
) -> GoalAsked | GoalEnded | None:
    """What becomes of the plan that was made now; None where it is carried out. `applied` are the goal's former plans:
    one that comes again changes nothing."""
    if plan.digest in set(applied) or not (plan.steps or _gives_roles(plan, machine)):
        return GoalEnded(goal=goal.id, state=GoalState.REACHED, plan=plan.digest)
    return None if covers(goal, plan) else GoalAsked(goal=goal.id, plan=plan.digest)


def _gives_roles(plan: Plan, machine: "Callable[[MachineName], MachineState]") -> bool:
    """A machine that is installed already takes over a role without a step: the run makes it so."""
    has = {one.machine: (machine(one.machine).role, machine(one.machine).spare_of) for one in plan.roles}
    return any(has[one.machine] != (("", one.role) if one.spare else (one.role, "")) for one in plan.roles)


def covers(goal: Goal, plan: Plan) -> bool:
    lost = [step for step in plan.steps if step.kind is StepKind.DESTRUCTIVE]
    return all(step.machine in goal.machines and _is_covered(goal.consent, step) for step in lost)


def _is_covered(consent: Consent, step: Step) -> bool:
    match consent.destroys:
        case Destroys.ANYTHING:
            return True
        case Destroys.BLANK | Destroys.NOTHING as most:
            disk = _disk_of(step)
            if disk is None:
                return False
            named = not {disk.serial, disk.wwn}.isdisjoint(filter(None, consent.disks))
            return named or (most is Destroys.BLANK and disk.contents == BLANK)
        case _:
            assert_never(consent.destroys)


def _disk_of(step: Step) -> DiskRef | None:
    return step.do.disk if isinstance(step.do, WriteImage | RunInstaller | Wipe) else None
