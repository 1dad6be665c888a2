"""Why a machine is where it is, as a chain of causes. Pure."""

from collections.abc import Iterator

from appliance.conductor.decision import Wait
from appliance.conductor.machine import MachineState, stuck
from appliance.conductor.position import step_state
from appliance.conductor.runs import RunStatus
from appliance.model.cluster import Member, NodeRole
from appliance.model.phase import PHASES, Condition, Phase
from appliance.model.views import ExplainLine, ExplainView, StepState
from appliance.plan import Step


def explain(
    state: MachineState,
    runs: tuple[RunStatus, ...],
    wait: Wait | None,
    usual: float | None,
    now: float,
    around: tuple[Condition, ...] = (),
) -> ExplainView:
    """`runs` are those that go on and have steps for the machine; `usual` is of the step under way. `around`: what
    keeps it that is not of its own."""
    lines = tuple(_lines(state, runs, wait, usual, now, around))
    return ExplainView(machine=state.name, verdict=_verdict(state, runs, wait, around), lines=lines)


def _verdict(state: MachineState, runs: tuple[RunStatus, ...], wait: Wait | None, around: tuple[Condition, ...]) -> str:
    if state.hold is not None:
        return f"{state.name} is held: {state.hold.reason}"
    if state.failed is not None:
        return f"{state.name} failed at: {state.failed.step}: {state.failed.reason}"
    if around:
        return f"{state.name} is {state.phase.value} and {around[0].kind.value}: {around[0].reason}"
    if state.attempt is not None and wait is not None:
        return f"{state.name} is {state.phase.value}: {wait.why}"
    for run in runs:
        if run.paused is not None:
            return f"{state.name} waits: run {run.id} is paused: {run.paused.reason}"
        if state.name in run.waiting:
            return f"{state.name} waits for its turn in run {run.id}"
    return f"{state.name} is {state.phase.value}"


def _lines(
    state: MachineState,
    runs: tuple[RunStatus, ...],
    wait: Wait | None,
    usual: float | None,
    now: float,
    around: tuple[Condition, ...],
) -> Iterator[ExplainLine]:
    rule = PHASES[state.phase]
    yield ExplainLine(
        kind="phase",
        text=f"{state.phase.value}: {rule.entry}",
        since=state.since or None,
        evidence=state.evidence[-1].what + ": " + state.evidence[-1].detail if state.evidence else "",
        next_action=f"it ends with: {rule.evidence}" if rule.budget is not None else "",
    )
    if (late := stuck(state, now)) is not None:
        yield _condition(late)
    if state.role or state.spare_of:
        yield ExplainLine(kind="role", text=state.role or f"spare of {state.spare_of}")
    if state.member is not None:
        yield _member(state.member)
    yield from map(_condition, (*state.conditions, *around))
    for run in runs:
        yield from _of_run(state, run, wait, usual, now)
    if not runs and state.phase in (Phase.AVAILABLE, Phase.UNKNOWN):
        yield ExplainLine(kind="next", text="no run works on it", next_action="plan: innervate plan")


def _member(member: Member) -> ExplainLine:
    what = "control plane" if member.role is NodeRole.CONTROL_PLANE else "worker"
    version = f"{member.cluster.set.engine.value} {member.cluster.set.version}"
    return ExplainLine(
        kind="member",
        text=f"{what} of the cluster {member.cluster.name}",
        since=member.since,
        evidence=version,
        next_action=f"what the cluster says of it: innervate cluster show {member.cluster.name}",
    )


def _condition(condition: Condition) -> ExplainLine:
    return ExplainLine(
        kind="condition",
        text=f"{condition.kind.value}: {condition.reason}",
        since=condition.since,
        evidence=condition.evidence,
        next_action=condition.next_action,
    )


def _of_run(
    state: MachineState, run: RunStatus, wait: Wait | None, usual: float | None, now: float
) -> Iterator[ExplainLine]:
    if run.paused is not None:
        action = f"innervate resume {run.id}"
        yield ExplainLine(kind="run", text=f"paused: {run.paused.reason}", since=run.paused.since, next_action=action)
    if state.name in run.aside:
        yield ExplainLine(kind="run", text=f"set aside: {run.aside[state.name]}")
    if state.name in run.waiting:
        yield ExplainLine(kind="run", text=_turn(run), evidence=run.rollout.why)
    for step in run.steps_of(state.name):
        if (line := _of_step(state, run, step, wait, usual, now)) is not None:
            yield line


def _turn(run: RunStatus) -> str:
    open_canary = [name for name in run.rollout.canary if name not in run.settled]
    if open_canary:
        return f"waits until the canary has shown that it goes well: {', '.join(open_canary)}"
    return f"waits for its turn: {run.under_way} machines are under way, {len(run.waiting)} wait"


def _of_step(
    state: MachineState, run: RunStatus, step: Step, wait: Wait | None, usual: float | None, now: float
) -> ExplainLine | None:
    attempt = run.attempts.get(step.id)
    match step_state(attempt, run.state):
        case StepState.RUNNING:
            why = wait.why if wait is not None and state.attempt is not None else "to be taken up again"
            until = f"{max(0.0, wait.until - now):.0f} s more" if wait is not None and wait.until is not None else ""
            typical = f"usually {usual:.0f} s" if usual is not None else ""
            since = attempt.started if attempt is not None else None
            seen = "; ".join(part for part in (until, typical) if part)
            return ExplainLine(kind="wait", text=f"{step.summary}: {why}", since=since, evidence=seen)
        case StepState.PENDING:
            open_ = [need for need in step.needs if not run.is_done(need)]
            return ExplainLine(kind="step", text=f"{step.summary}: after {', '.join(open_)}") if open_ else None
        case StepState.DONE | StepState.FAILED | StepState.CANCELLED:
            return None
