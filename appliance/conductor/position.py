"""Where runs stand and what may happen next: pure functions of the world and the time."""

from collections.abc import Iterator
from dataclasses import dataclass

from appliance.conductor.world import Attempt, RunStatus, World
from appliance.model.ids import Fence, RunId
from appliance.model.views import RunState, StepState
from appliance.plan import Step

ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Begin this step under this fence. `resumes` is an attempt whose end nobody saw."""

    run: RunId
    step: Step
    fence: Fence
    resumes: Fence | None


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    run: RunId
    state: RunState


Move = Start | End


def moves(world: World, busy: frozenset[str], now: float) -> Iterator[Move]:
    """`busy` are the machines that a handler works on: one handler per machine at a time, over all runs."""
    taken = set(busy)
    for run in world.running:
        starts = [start for start in _starts(run, now) if _free(start, world, taken)]
        for start in starts:
            if start.step.machine not in taken:
                taken.add(start.step.machine)
                yield start
        if verdict := _verdict(run):
            yield End(run=run.id, state=verdict)


def _free(start: Start, world: World, taken: set[str]) -> bool:
    return start.step.machine not in taken and world.machine(start.step.machine).hold is None


def _starts(run: RunStatus, now: float) -> Iterator[Start]:
    for step in run.plan.steps:
        attempt = run.attempts.get(step.id)
        if not all(_is_done(run.attempts.get(need)) for need in step.needs) or not _may_start(attempt, now):
            continue
        fence = Fence(attempt.fence + 1 if attempt else 1)
        resumes = attempt.fence if attempt and attempt.ended is None else None
        yield Start(run=run.id, step=step, fence=fence, resumes=resumes)


def _is_done(attempt: Attempt | None) -> bool:
    return attempt is not None and attempt.done


def _may_start(attempt: Attempt | None, now: float) -> bool:
    """An attempt without an end belongs to a daemon that died (a live one's machine is busy): it may be resumed."""
    if attempt is None or attempt.ended is None:
        return True
    due = retry_at(attempt)
    return due is not None and due <= now


def retry_at(attempt: Attempt) -> float | None:
    """When an ended attempt may be followed by the next; None when it is final."""
    if attempt.ended is None or attempt.result is None or attempt.result.retry_after is None:
        return None
    return attempt.ended + attempt.result.retry_after


def next_retry(world: World, after: float) -> float | None:
    due = (at for run in world.running for a in run.attempts.values() if (at := retry_at(a)) is not None)
    return min((at for at in due if at > after), default=None)


def step_state(attempt: Attempt | None) -> StepState:
    if attempt is None:
        return StepState.PENDING
    if attempt.ended is None or retry_at(attempt) is not None:
        return StepState.RUNNING
    return StepState.DONE if attempt.done else StepState.FAILED


def _verdict(run: RunStatus) -> RunState | None:
    """A run is over when no step runs and none can ever start: what waits for a failed step never will."""
    states = {step.id: step_state(run.attempts.get(step.id)) for step in run.plan.steps}
    if all(state is StepState.DONE for state in states.values()):
        return RunState.DONE
    lost: set[str] = {step_id for step_id, state in states.items() if state is StepState.FAILED}
    while more := {step.id for step in run.plan.steps if step.id not in lost and lost.intersection(step.needs)}:
        lost |= more
    alive = [i for i, state in states.items() if state is not StepState.DONE and i not in lost]
    return None if alive else RunState.FAILED
