"""All that is known, folded from the record log.

Rules
* `World.fold` is the only thing that changes the world, and it depends on nothing but the entry: replaying the log
  gives the same world, so a restart and a crash are one path.
* A machine's phase follows from the intents and results of its steps; nothing sets it by hand.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import assert_never

from appliance.conductor import membership
from appliance.conductor.cluster_past import ClusterPast
from appliance.conductor.deployed import Applications, deployed
from appliance.conductor.goals import Goal, folded
from appliance.conductor.goals import started as run_of_goal
from appliance.conductor.machine import MachineState, failed, finished, given, model_of, observed, powered, started
from appliance.conductor.past import Past, Timed
from appliance.conductor.runs import Attempt, RunStatus, SentOrder
from appliance.inventory.identity import Identities
from appliance.model.amend import amended
from appliance.model.cluster import ClusterAction, ClusterName, ConfirmCluster
from appliance.model.ids import GoalId, MachineName, PlanDigest, RunId
from appliance.model.orders import BootOrder, ForgetOrder, PowerOrder
from appliance.model.phase import Condition, ConditionKind
from appliance.model.views import RunState
from appliance.plan import (
    Action,
    Plan,
    PlanIndex,
    Step,
)
from appliance.store.records import (
    ApplianceNoted,
    ClusterNoted,
    Entry,
    FactsReceived,
    GoalAsked,
    GoalEnded,
    GoalRecord,
    GoalSet,
    IdentityRead,
    MachineRetried,
    MachineSetAside,
    Observation,
    OrderAnswered,
    OrderSent,
    PlanStored,
    Record,
    RequestHonoured,
    RunEnded,
    RunPaused,
    RunResumed,
    RunStarted,
    SegmentNoted,
    StepIntent,
    StepResult,
    WebhookGaveUp,
    machine_of,
)
from appliance.store.set_records import SetDropped, SetKept
from images.artifact_set import ArtifactSet

_HONOURED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSet:
    """`size` in bytes, `since` in seconds since the epoch."""

    described: ArtifactSet
    size: int
    since: float


class World:
    """Read it from anywhere on the conductor's loop; only `fold` writes."""

    def __init__(self) -> None:
        self.machines: dict[MachineName, MachineState] = {}
        self.plans: dict[PlanDigest, Plan] = {}
        self.runs: dict[RunId, RunStatus] = {}
        self.goals: dict[GoalId, Goal] = {}
        self.unplanned: dict[MachineName, Condition] = {}
        self.running_ids: frozenset[RunId] = frozenset()
        self.identities = Identities()
        self.last_seq = 0
        self.honoured: dict[str, RequestHonoured] = {}
        self.sets: dict[str, HeldSet] = {}
        self.cluster_pasts: dict[ClusterName, ClusterPast] = {}
        self.applications: Applications = {}
        self._runs_of: dict[MachineName, set[RunId]] = {}
        self._indices: dict[PlanDigest, PlanIndex] = {}
        self._running: dict[RunId, RunStatus] = {}
        self._open: dict[GoalId, Goal] = {}
        self._past = Past()

    def first_signs(self, machine: MachineName) -> tuple[float, ...]:
        """How long machines of this one's model took from power-on to their first packet, in seconds, latest last."""
        return self._past.first_signs(model_of(self.machine(machine)))

    def usual(self, machine: MachineName, do: Action) -> float | None:
        """Seconds in which 95 of 100 steps like this ended on this model; None until a few were seen."""
        return self._past.usual(model_of(self.machine(machine)), do.action)

    def timed(self, model: str, action: str) -> Timed | None:
        """What steps like this took here, however few; None where there was none."""
        return self._past.timed(model, action)

    def machine(self, name: MachineName) -> MachineState:
        return self.machines.get(name) or MachineState(name=name)

    def cluster_past(self, cluster: ClusterName) -> ClusterPast:
        return self.cluster_pasts.get(cluster) or ClusterPast()

    @property
    def running(self) -> tuple[RunStatus, ...]:
        return tuple(self._running.values())

    @property
    def open_goals(self) -> tuple[Goal, ...]:
        return tuple(self._open.values())

    def is_at_rest(self, goal: Goal) -> bool:
        """It is open, and none of its runs goes on."""
        return goal.id in self._open and self.running_ids.isdisjoint(goal.runs)

    def running_on(self, machines: Iterable[MachineName]) -> tuple[RunStatus, ...]:
        """Those that have steps for any of these machines, or for none at all, in the order in which they began."""
        ids = {run for name in machines for run in self._runs_of.get(name, ())}
        return tuple(run for run in self._running.values() if run.id in ids or not run.left)

    def concerns(self, record: Record) -> frozenset[MachineName]:
        """The machines whose next move may be another one after this record."""
        match record:
            case RunStarted() | RunResumed() | RunEnded():
                run = self.runs.get(record.run)
                return frozenset(run.left) if run is not None else frozenset()
            case MachineSetAside() | MachineRetried():
                run = self.runs.get(record.run)
                others = run.index.neighbours.get(record.machine, ()) if run is not None else ()
                return frozenset({record.machine, *others})
            case _:
                machine = machine_of(record)
                return frozenset() if machine is None else frozenset({machine})

    def fold_all(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.fold(entry)

    def fold(self, entry: Entry) -> None:
        self.last_seq = entry.seq
        match entry.record:
            case PlanStored(plan=plan):
                self.plans[plan.digest] = plan
                self.unplanned.clear()
            case RunStarted() as started:
                self._start(started, entry.time)
            case RunPaused() | RunResumed() | RunEnded() | MachineSetAside() | MachineRetried():
                self._steer(entry.record, entry.time)
            case GoalSet() | GoalAsked() | GoalEnded():
                self._keep_goal(folded(self.goals, entry.record, entry.time))
                self._note_unplanned(entry.record, entry.time)
            case StepIntent() as intent:
                self._begin(intent, entry.time)
            case StepResult() as result:
                self._end(result, entry.time)
            case OrderSent() as sent:
                self._send(sent, entry.time)
            case OrderAnswered() as answered:
                self._answer(answered)
            case SegmentNoted() | WebhookGaveUp() | ApplianceNoted():
                pass
            case ClusterNoted(cluster=cluster) as noted:
                self.cluster_pasts[cluster] = self.cluster_past(cluster).noted(noted, entry.time)
            case RequestHonoured() as honoured:
                self._honour(honoured)
            case SetKept(described=described, size=size):
                self.sets[described.name] = HeldSet(described=described, size=size, since=entry.time)
            case SetDropped(name=name):
                self.sets.pop(name, None)
            case record:
                self._observe(record, entry.time)

    def _note_unplanned(self, record: GoalRecord, now: float) -> None:
        """For which machine the last plan could not be made, until the next one is, or its hardware is read again."""
        if isinstance(record, GoalEnded) and record.machine is not None and (problem := record.problem) is not None:
            self.unplanned[record.machine] = Condition(
                kind=ConditionKind.FAILED,
                since=now,
                reason=problem.message,
                step="plan what comes next",
                evidence=problem.evidence,
                next_action=problem.next_action,
                code=problem.code,
            )

    def _keep_goal(self, goal: Goal) -> None:
        self.goals[goal.id] = goal
        self._open[goal.id] = goal
        if goal.end is not None:
            del self._open[goal.id]

    def _honour(self, honoured: RequestHonoured) -> None:
        """The latest, in the order in which they came: who asks again asks soon."""
        self.honoured[honoured.key] = honoured
        while len(self.honoured) > _HONOURED:
            del self.honoured[next(iter(self.honoured))]

    def _observe(self, record: Observation, now: float) -> None:
        before = self.machine(record.machine)
        machine = observed(before, record, now)
        if before.power_on is not None and not before.stages and machine.stages:
            self._past.saw_first_sign(model_of(before), now - before.power_on)
        if isinstance(record, FactsReceived):
            self.unplanned.pop(record.machine, None)
        if isinstance(record, IdentityRead):
            self.identities = self.identities.put(record.machine, record.identity)
        self.machines[machine.name] = machine

    def _start(self, started: RunStarted, now: float) -> None:
        self.unplanned.clear()
        plan = self.plans[started.plan]
        index = self._indices.get(started.plan) or PlanIndex.of(plan)
        self._indices[started.plan] = index
        run = RunStatus.begun(started, plan, index, now)
        self.runs[run.id] = self._running[run.id] = run
        self.running_ids = frozenset(self._running)
        if started.goal is not None:
            self._keep_goal(run_of_goal(self.goals[started.goal], started))
        for name in run.left:
            self._runs_of.setdefault(name, set()).add(run.id)
        for choice in plan.roles:
            self.machines[choice.machine] = given(self.machine(choice.machine), choice, plan.purpose.errand, now)

    def _steer(self, record: RunPaused | RunResumed | RunEnded | MachineSetAside | MachineRetried, now: float) -> None:
        run = self.runs[record.run]
        match record:
            case RunPaused(reason=reason, by=by):
                run.paused = Condition(kind=ConditionKind.HOLD, since=now, reason=reason, by=by)
            case RunResumed():
                run.paused, run.resumed = None, now
            case RunEnded(state=state):
                run.state, run.ended, run.paused = state, now, None
                self._running.pop(run.id, None)
                self.running_ids = frozenset(self._running)
                for name in run.left:
                    self._runs_of.get(name, set()).discard(run.id)
                self._let_go(run, run.left)
            case MachineSetAside(machine=machine, reason=reason):
                run.set_aside(machine, reason, now)
                self._let_go(run, (machine,))
            case MachineRetried(machine=machine):
                run.retry(machine, now)
            case _:
                assert_never(record)

    def _let_go(self, run: RunStatus, machines: Iterable[MachineName]) -> None:
        """What the run still had under way there has no end; nobody waits for one."""
        for name in machines:
            state = self.machine(name)
            if state.attempt is not None and state.attempt.run == run.id:
                self.machines[name] = amended(state, attempt=None)

    def _begin(self, intent: StepIntent, now: float) -> None:
        """Nothing begins that was written behind the end of its run, or behind the word that took its machine out."""
        run = self.runs[intent.run]
        if run.state is not RunState.RUNNING or intent.machine in run.aside:
            return
        attempt = _attempt(intent, run.attempts.get(intent.step), now)
        run.keep(attempt)
        run.enter(intent.machine, now)
        step = run.index.by_id[intent.step]
        state = amended(self.machine(intent.machine), attempt=attempt, failed=None)
        self.machines[state.name] = started(state, step.do, intent, run.plan.purpose.errand, now)

    def _end(self, result: StepResult, now: float) -> None:
        run = self.runs[result.run]
        begun = run.attempts.get(result.step)
        if begun is None or begun.fence != result.fence or begun.ended is not None:
            return
        attempt, step = amended(begun, ended=now, result=result), run.index.by_id[result.step]
        run.keep(attempt)
        state = amended(self.machine(result.machine), attempt=None)
        if result.problem is None:
            run.finish(step, now)
            self._past.saw_done(model_of(state), step.do.action, now - (begun.resumed_from or begun.started))
            state = finished(state, step, result, now)
            if isinstance(step.do, ConfirmCluster):
                name = step.do.cluster.name
                self.cluster_pasts[name] = replace(self.cluster_past(name), confirmed=now)
        elif result.retry_after is None:
            run.lose(step, now)
            state = failed(state, step, result.problem, now)
        self.machines[state.name] = state
        if result.problem is None:
            self._part(step)
            self.applications = deployed(self.applications, step.do, now)

    def _part(self, step: Step) -> None:
        """A step about a cluster may be about other machines than the one that it is carried out on."""
        if not isinstance(step.do, ClusterAction):
            return
        for name, state in self.machines.items():
            if state.member is not None and membership.ends(step.do, step.machine, name, state.member):
                self.machines[name] = amended(state, member=None, left=state.member.cluster.name)

    def _send(self, sent: OrderSent, now: float) -> None:
        order = SentOrder(number=sent.number, order=sent.order, at=now)
        state = self.machine(sent.machine)
        match sent.order:
            case PowerOrder(command=command):
                state = powered(state, now) if command.boots else state
            case ForgetOrder(trace=trace):
                state = amended(state, forgotten=state.forgotten | {trace})
            case BootOrder():
                pass
        self._amend(sent, state, lambda orders: (*orders, order))

    def _answer(self, answered: OrderAnswered) -> None:
        def settle(orders: tuple[SentOrder, ...]) -> tuple[SentOrder, ...]:
            return tuple(_answered(one, answered) if one.number == answered.number else one for one in orders)

        self._amend(answered, self.machine(answered.machine), settle)

    def _amend(
        self,
        record: OrderSent | OrderAnswered,
        state: MachineState,
        amend: Callable[[tuple[SentOrder, ...]], tuple[SentOrder, ...]],
    ) -> None:
        run = self.runs[record.run]
        if (attempt := run.attempts.get(record.step)) is not None:
            attempt = amended(attempt, orders=amend(attempt.orders))
            run.keep(attempt)
            if state.attempt is not None and (state.attempt.run, state.attempt.step) == (record.run, record.step):
                state = amended(state, attempt=attempt)
        self.machines[state.name] = state


def _attempt(intent: StepIntent, before: Attempt | None, now: float) -> Attempt:
    resumed = before if intent.resumes is not None else None
    came_to_nothing = before is not None and before.ended is not None
    return Attempt(
        step=intent.step,
        run=intent.run,
        fence=intent.fence,
        nonce=intent.nonce,
        started=now,
        orders=resumed.orders if resumed else (),
        resumed_from=(resumed.resumed_from or resumed.started) if resumed else None,
        tries=(before.tries + came_to_nothing) if before else 0,
    )


def _answered(order: SentOrder, said: OrderAnswered) -> SentOrder:
    return replace(order, answered=True, shown=said.shown, problem=said.problem, lost=said.lost)
