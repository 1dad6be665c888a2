"""Where a run stands: its attempts, and which of its machines entered, settled, or wait for their turn.

Written by `World` alone; everybody else reads.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from appliance.model.amend import amended
from appliance.model.ids import Fence, GoalId, MachineName, Nonce, PlanDigest, RunId, StepId
from appliance.model.orders import Order
from appliance.model.phase import Condition
from appliance.model.rollout import Rollout
from appliance.model.views import RunState
from appliance.plan import Plan, PlanIndex, Step
from appliance.store.records import Problem, RunStarted, StepResult


def task_id(run: RunId, step: StepId) -> str:
    """What agents know a step by. They remember how tasks ended: the same step of another run is another task."""
    return f"{run}.{step}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SentOrder:
    """Without `answered` the daemon died in between: whether it was done shows in the machine."""

    number: int
    order: Order
    at: float
    answered: bool = False
    shown: str = ""
    problem: Problem | None = None
    lost: bool = False

    @property
    def refused(self) -> Problem | None:
        """Why it was not done, where that is known."""
        return None if self.lost else self.problem


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try at a step. `ended` is None while nobody saw its end.

    An attempt that resumes another has its nonce and its orders; `resumed_from` is when the first of them began.
    `tries` counts the attempts of this step that came to nothing.
    """

    step: StepId
    run: RunId
    fence: Fence
    nonce: Nonce
    started: float
    ended: float | None = None
    result: StepResult | None = None
    orders: tuple[SentOrder, ...] = ()
    resumed_from: float | None = None
    tries: int = 0

    @property
    def done(self) -> bool:
        return self.result is not None and self.result.problem is None

    @property
    def failed(self) -> bool:
        """For good: not to be tried again by itself."""
        return self.result is not None and self.result.problem is not None and self.result.retry_after is None

    @property
    def task(self) -> str:
        return task_id(self.run, self.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A machine of which nothing more is to be done in the run; `seconds` since it entered."""

    at: float
    well: bool
    seconds: float


@dataclass(slots=True, kw_only=True)
class RunStatus:
    """`attempts` holds the latest attempt of each step that was ever started in this run.

    `lost` are steps that can no longer be done: failed, set aside, or behind such a one. `left` counts, for each
    machine, the steps that are neither done nor lost; a machine with none left has settled.
    """

    id: RunId
    plan: Plan
    digest: PlanDigest
    index: PlanIndex
    started: float
    by: str = ""
    goal: GoalId | None = None
    rollout: Rollout = field(default_factory=Rollout)
    ended: float | None = None
    state: RunState = RunState.RUNNING
    paused: Condition | None = None
    resumed: float = 0.0
    attempts: dict[StepId, Attempt] = field(default_factory=dict)
    aside: dict[MachineName, str] = field(default_factory=dict)
    lost: set[StepId] = field(default_factory=set)
    left: dict[MachineName, int] = field(default_factory=dict)
    first_open: dict[MachineName, int] = field(default_factory=dict)
    waiting: dict[MachineName, None] = field(default_factory=dict)
    entered: dict[MachineName, float] = field(default_factory=dict)
    settled: dict[MachineName, Settled] = field(default_factory=dict)
    trace: str = ""

    @classmethod
    def begun(cls, started: RunStarted, plan: Plan, index: PlanIndex, now: float) -> "RunStatus":
        status = cls(
            id=started.run,
            plan=plan,
            digest=started.plan,
            index=index,
            started=now,
            by=started.by,
            goal=started.goal,
            rollout=started.rollout,
        )
        status.trace = started.trace
        status.left = {name: len(steps) for name, steps in index.by_machine.items()}
        status.waiting = dict.fromkeys((*started.rollout.canary, *index.by_machine))
        return status

    @property
    def under_way(self) -> int:
        """Machines that entered and have not settled."""
        return len(self.entered) - len(self.settled)

    @property
    def verdict(self) -> RunState | None:
        """None while something can still be done."""
        if len(self.settled) < len(self.left):
            return None
        return RunState.FAILED if self.lost else RunState.DONE

    def steps_of(self, machine: MachineName) -> tuple[Step, ...]:
        return self.index.by_machine.get(machine, ())

    def open_steps_of(self, machine: MachineName) -> tuple[Step, ...]:
        """From the first that is neither done nor lost."""
        return self.steps_of(machine)[self.first_open.get(machine, 0) :]

    def keep(self, attempt: Attempt) -> None:
        self.attempts[attempt.step] = attempt

    def enter(self, machine: MachineName, now: float) -> None:
        self.entered.setdefault(machine, now)
        self.waiting.pop(machine, None)

    def finish(self, step: Step, now: float) -> None:
        self._count_down(step.machine, now)

    def lose(self, step: Step, now: float) -> None:
        """The step and all behind it. What was done stays done."""
        for one in (step, *self.index.behind(step.id)):
            attempt = self.attempts.get(one.id)
            if one.id not in self.lost and not (attempt is not None and attempt.done):
                self.lost.add(one.id)
                self._count_down(one.machine, now)

    def set_aside(self, machine: MachineName, reason: str, now: float) -> None:
        self.aside[machine] = reason
        for step in self.steps_of(machine):
            self.lose(step, now)

    def retry(self, machine: MachineName, now: float) -> None:
        """Forgets how the machine's failed steps ended, and finds anew what is lost for other reasons."""
        self.aside.pop(machine, None)
        for step in self.steps_of(machine):
            if (attempt := self.attempts.get(step.id)) is not None and attempt.failed:
                self.attempts[step.id] = _unfailed(attempt)
        self._recount(now)

    def _recount(self, now: float) -> None:
        settled = self.settled
        self.first_open = {}
        self.lost, self.settled = set(), {}
        self.left = {
            name: sum(not self.is_done(step.id) for step in steps) for name, steps in self.index.by_machine.items()
        }
        for name, count in self.left.items():
            if not count:
                self.settled[name] = settled.get(name) or Settled(at=now, well=True, seconds=0.0)
        for step in self._failed_steps():
            self.lose(step, now)
        self.settled = {name: settled.get(name, end) for name, end in self.settled.items()}

    def _failed_steps(self) -> Iterator[Step]:
        for step in self.plan.steps:
            attempt = self.attempts.get(step.id)
            if (attempt is not None and attempt.failed) or step.machine in self.aside:
                yield step

    def is_done(self, step: StepId) -> bool:
        attempt = self.attempts.get(step)
        return attempt is not None and attempt.done

    def _count_down(self, machine: MachineName, now: float) -> None:
        self.left[machine] -= 1
        self._advance(machine)
        if self.left[machine] == 0:
            well = not any(step.id in self.lost for step in self.steps_of(machine))
            entered = self.entered.setdefault(machine, now)
            self.waiting.pop(machine, None)
            self.settled[machine] = Settled(at=now, well=well, seconds=now - entered)

    def _advance(self, machine: MachineName) -> None:
        steps, first = self.steps_of(machine), self.first_open.get(machine, 0)
        while first < len(steps) and (steps[first].id in self.lost or self.is_done(steps[first].id)):
            first += 1
        self.first_open[machine] = first


def _unfailed(attempt: Attempt) -> Attempt:
    """As if the appliance had wanted to try again at once."""
    assert attempt.result is not None  # noqa: S101  it failed
    return amended(attempt, result=replace(attempt.result, retry_after=0.0), tries=0)


def open_steps(runs: Iterable[RunStatus]) -> Iterator[tuple[RunStatus, Step]]:
    """Of all their machines those that are neither done nor lost."""
    for run in runs:
        for machine in run.left:
            for step in run.open_steps_of(machine):
                if step.id not in run.lost and not run.is_done(step.id):
                    yield run, step
