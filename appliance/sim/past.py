"""What the records on the appliance's disk say, read by the simulation's own eyes: nothing of the product's opinion."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from appliance.model.ids import Fence, MachineName, Nonce, PlanDigest, RunId, StepId
from appliance.plan import Plan, Step
from appliance.store.records import (
    Entry,
    HoldPlaced,
    HoldReleased,
    MachineRetried,
    MachineSetAside,
    PlanStored,
    RunEnded,
    RunPaused,
    RunResumed,
    RunStarted,
    StepIntent,
    StepResult,
)

Key = tuple[RunId, StepId]


@dataclass(slots=True, kw_only=True)
class Try:
    """The latest attempt at a step."""

    step: Step
    fence: Fence
    began: float
    ended: float | None = None
    result: StepResult | None = None
    retried: float | None = None

    @property
    def done(self) -> bool:
        return self.result is not None and self.result.problem is None

    @property
    def failed(self) -> bool:
        """For good, unless a person wants it tried again."""
        problem = self.result.problem if self.result is not None else None
        return problem is not None and self.retried is None and self._wait is None

    @property
    def due(self) -> float | None:
        """When the next attempt is to begin, if this one has ended."""
        if self.ended is None or self.retried is not None:
            return self.retried
        return self.ended + (self._wait or 0.0)

    @property
    def _wait(self) -> float | None:
        return self.result.retry_after if self.result is not None else None


@dataclass(slots=True, kw_only=True)
class Course:
    """One machine in one run: its steps in order, and the attempts at them."""

    steps: list[Step] = field(default_factory=list)
    tries: dict[StepId, Try] = field(default_factory=dict)
    latest: Try | None = None
    entered: float | None = None
    aside: bool = False

    @property
    def settled(self) -> bool:
        return (
            self.aside
            or (self.latest is not None and self.latest.failed)
            or all(step.id in self.tries and self.tries[step.id].done for step in self.steps)
        )


@dataclass(slots=True, kw_only=True)
class Run:
    id: RunId
    started: float
    courses: dict[MachineName, Course]
    over: bool = False
    paused: bool = False
    changed: float = 0.0


class Past:
    """Fed with every durable record once, in order."""

    def __init__(self) -> None:
        self._plans: dict[PlanDigest, Plan] = {}
        self.runs: dict[RunId, Run] = {}
        self.running: dict[RunId, Run] = {}
        self.held: set[MachineName] = set()
        self.ever_held: set[MachineName] = set()
        self.owners: dict[Nonce, MachineName] = {}
        self.intents: dict[MachineName, list[StepIntent]] = {}

    def learn(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._learn(entry)

    def _learn(self, entry: Entry) -> None:
        match entry.record:
            case PlanStored(plan=plan):
                self._plans[plan.digest] = plan
            case RunStarted(run=run, plan=digest):
                self.runs[run] = self.running[run] = _begun(run, self._plans[digest], entry.time)
            case RunEnded(run=run):
                self.runs[run].over = True
                self.running.pop(run, None)
            case StepIntent() as intent:
                self._begin(intent, entry.time)
            case StepResult() as result:
                self._end(result, entry.time)
            case HoldPlaced(machine=machine):
                self.held.add(machine)
                self.ever_held.add(machine)
            case HoldReleased(machine=machine):
                self.held.discard(machine)
            case RunPaused(run=run):
                self.runs[run].paused = True
            case RunResumed(run=run):
                self.runs[run].paused, self.runs[run].changed = False, entry.time
            case MachineSetAside(run=run, machine=machine):
                self.runs[run].courses[machine].aside = True
            case MachineRetried(run=run, machine=machine):
                self._retry(self.runs[run], machine, entry.time)
            case _:
                pass

    @staticmethod
    def _retry(run: Run, machine: MachineName, now: float) -> None:
        course = run.courses[machine]
        course.aside, run.changed = False, now
        if course.latest is not None and course.latest.failed:
            course.latest.retried = now

    def _begin(self, intent: StepIntent, now: float) -> None:
        run = self.runs[intent.run]
        course = run.courses[intent.machine]
        step = next(step for step in course.steps if step.id == intent.step)
        course.tries[step.id] = course.latest = Try(step=step, fence=intent.fence, began=now)
        course.entered = now if course.entered is None else course.entered
        run.changed = now
        self.owners[intent.nonce] = intent.machine
        self.intents.setdefault(intent.machine, []).append(intent)

    def _end(self, result: StepResult, now: float) -> None:
        run = self.runs[result.run]
        attempt = run.courses[result.machine].tries[result.step]
        attempt.ended, attempt.result = now, result
        run.changed = now

    def attempt(self, machine: MachineName, action: str) -> tuple[Run, Try, StepIntent] | None:
        """The latest attempt of this machine at a step of this kind."""
        for intent in reversed(self.intents.get(machine, [])):
            attempt = self.runs[intent.run].courses[machine].tries[intent.step]
            if attempt.step.do.action == action:
                return self.runs[intent.run], attempt, intent
        return None


def _begun(run: RunId, plan: Plan, now: float) -> Run:
    courses: dict[MachineName, Course] = {}
    for step in plan.steps:
        courses.setdefault(step.machine, Course()).steps.append(step)
    return Run(id=run, started=now, courses=courses, changed=now)
