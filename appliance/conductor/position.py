"""Where runs stand and what may happen next: pure functions of the world and the time."""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass

from appliance.conductor.rollout import worse_than_canary
from appliance.conductor.runs import Attempt, RunStatus
from appliance.conductor.world import World
from appliance.model.ids import Fence, MachineName, RunId, StepId
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    run: RunId
    reason: str


Move = Start | End | Pause


def moves(
    world: World, busy: frozenset[str], now: float, changed: frozenset[MachineName] | None = None
) -> Iterator[Move]:
    """`busy` are the machines that a handler works on: one handler per machine at a time, over all runs.

    `changed` are the machines that may have another move than when this was asked last; None: all.
    """
    taken = set(busy)
    for run in world.running if changed is None else world.running_on(changed):
        if state := run.verdict:
            yield End(run=run.id, state=state)
        elif run.paused is None:
            if reason := _reason_to_pause(run, changed):
                yield Pause(run=run.id, reason=reason)
            else:
                yield from _starts(run, world, taken, now, changed)


def _reason_to_pause(run: RunStatus, changed: frozenset[MachineName] | None) -> str:
    """Only what has settled can give one."""
    if changed is not None and run.settled.keys().isdisjoint(changed):
        return ""
    return worse_than_canary(run)


def _starts(
    run: RunStatus, world: World, taken: set[str], now: float, changed: frozenset[MachineName] | None
) -> Iterator[Start]:
    room = _room(run, taken) if run.waiting else 0
    for name in (*_concerned(run, changed), *_next_in_line(run, room)):
        enters = name in run.waiting
        if name in taken or (enters and not _is_admitted(run, name, room)) or world.machine(name).hold is not None:
            continue
        if (start := _start(run, name, now)) is not None:
            taken.add(name)
            room -= enters
            yield start


def _concerned(run: RunStatus, changed: frozenset[MachineName] | None) -> Iterable[MachineName]:
    """What one machine has done may be what another waits for."""
    if changed is None:
        return run.left
    mine = run.left.keys() & changed
    near = {other for name in mine for other in run.index.neighbours.get(name, ())}
    return sorted(mine | (near & run.left.keys()))


def _room(run: RunStatus, taken: set[str]) -> int:
    """How many more machines may enter now. Those that were let in enter when their intent is durable."""
    idle = _idle(run)
    if any(name not in run.settled and name not in idle for name in run.rollout.canary):
        return 0
    limit = run.rollout.at_once or len(run.left)
    return max(0, limit - (run.under_way - len(idle)) - len(run.waiting.keys() & taken))


def _idle(run: RunStatus) -> Set[MachineName]:
    """Those inside that can do nothing before others have come in: they keep nobody out, or all would wait for ever."""
    idle = set[MachineName]()
    inside = [name for name in run.entered if name not in run.settled] if run.index.neighbours else []
    while more := {name for name in inside if name not in idle and _waits_for(run, name, run.waiting.keys() | idle)}:
        idle |= more
    return idle


def _waits_for(run: RunStatus, name: MachineName, others: Set[MachineName]) -> bool:
    """Whether each step that is left needs one of theirs, be it by way of the machine's own."""
    behind = set[StepId]()
    for step in run.open_steps_of(name):
        if step.id in run.lost or run.is_done(step.id):
            continue
        unmet = [need for need in step.needs if not run.is_done(need)]
        if not any(need in behind or run.index.by_id[need].machine in others for need in unmet):
            return False
        behind.add(step.id)
    return bool(behind)


def _is_admitted(run: RunStatus, name: MachineName, room: int) -> bool:
    return room > 0 or name in run.rollout.canary


def _next_in_line(run: RunStatus, room: int) -> tuple[MachineName, ...]:
    return tuple(run.waiting) if room > 0 else ()


def straight_on(world: World, run: RunId, done: Step, now: float) -> Start | None:
    """What the machine does next as soon as `done` is recorded as done, if nothing else is missing."""
    return _start(world.runs[run], done.machine, now, done.id) if may_begin(world, done.machine, run) else None


def _start(run: RunStatus, name: MachineName, now: float, done: StepId | None = None) -> Start | None:
    """The first step of the machine that may begin; `done` is as good as done."""
    for step in run.open_steps_of(name):
        attempt = run.attempts.get(step.id)
        ready = step.id not in run.lost and all(need == done or run.is_done(need) for need in step.needs)
        if step.id != done and ready and _may_start(attempt, now):
            resumes = attempt.fence if attempt and attempt.ended is None else None
            return Start(run=run.id, step=step, fence=Fence(attempt.fence + 1 if attempt else 1), resumes=resumes)
    return None


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


def retries(world: World) -> Iterator[tuple[float, MachineName]]:
    """When which machines may try again."""
    for run in world.running:
        for attempt in run.attempts.values():
            if (due := retry_at(attempt)) is not None:
                yield due, run.index.by_id[attempt.step].machine


def may_go_on(world: World, machine: MachineName, run: RunId) -> bool:
    """Whether a handler that is at work there may stay: nobody holds the machine or took it out, and the run runs."""
    status = world.runs[run]
    return status.state is RunState.RUNNING and machine not in status.aside and world.machine(machine).hold is None


def may_begin(world: World, machine: MachineName, run: RunId) -> bool:
    return world.runs[run].paused is None and may_go_on(world, machine, run)


def step_state(attempt: Attempt | None, run: RunState = RunState.RUNNING) -> StepState:
    if attempt is None:
        return StepState.PENDING
    if attempt.ended is None or retry_at(attempt) is not None:
        return StepState.RUNNING if run is RunState.RUNNING else StepState.CANCELLED
    return StepState.DONE if attempt.done else StepState.FAILED
