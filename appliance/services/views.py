"""The world as the API shows it: pure functions from state to view."""

from collections.abc import Mapping
from typing import assert_never

from appliance.conductor.position import step_state
from appliance.conductor.world import Attempt, MachineState, RunStatus, task_id
from appliance.model.ids import MachineName
from appliance.model.views import (
    DeferredView,
    EventView,
    EvidenceView,
    MachineView,
    PhaseView,
    PlanView,
    ProgressView,
    RunView,
    StepView,
)
from appliance.plan import Plan, Step
from appliance.services.agents import Session
from appliance.store.records import (
    AddressLeased,
    BootSeen,
    Entry,
    FactsReceived,
    FirstBootSeen,
    HelloSeen,
    HoldPlaced,
    HoldReleased,
    IdentityRead,
    Noted,
    PlanStored,
    PowerCommanded,
    Record,
    RunEnded,
    RunStarted,
    SegmentNoted,
    StepIntent,
    StepResult,
    machine_of,
    run_of,
)

STAGES = ("dhcp", "tftp", "script", "hello", "written", "first_boot", "ssh")


def step_view(step: Step, attempt: Attempt | None, waiting: str = "") -> StepView:
    return StepView(
        id=step.id,
        machine=step.machine,
        score=step.score,
        summary=step.summary,
        kind=step.kind.value,
        budget=step.budget,
        needs=step.needs,
        state=step_state(attempt),
        fence=attempt.fence if attempt else 0,
        started=attempt.started if attempt else None,
        ended=attempt.ended if attempt else None,
        waiting=waiting,
    )


def plan_view(plan: Plan) -> PlanView:
    return PlanView(
        digest=plan.digest,
        site=plan.site,
        steps=tuple(step_view(step, None) for step in plan.steps),
        deferred=tuple(DeferredView(score=d.score, reason=d.reason) for d in plan.deferred),
    )


def run_view(run: RunStatus, waiting: Mapping[MachineName, str]) -> RunView:
    return RunView(
        id=run.id,
        plan=run.plan.digest,
        state=run.state,
        started=run.started,
        ended=run.ended,
        steps=tuple(_run_step(run, step, waiting) for step in run.plan.steps),
    )


def _run_step(run: RunStatus, step: Step, waiting: Mapping[MachineName, str]) -> StepView:
    attempt = run.attempts.get(step.id)
    running = attempt is not None and attempt.ended is None
    return step_view(step, attempt, waiting.get(step.machine, "") if running else "")


def machine_view(state: MachineState, run: RunStatus | None, session: Session | None, waiting: str) -> MachineView:
    """`run` is the one that the machine's present attempt belongs to."""
    serial = state.facts.serial if state.facts else state.identity.serial if state.identity else ""
    step = run.plan.step(state.attempt.step) if run and state.attempt else None
    return MachineView(
        name=state.name,
        phase=state.phase,
        since=state.since,
        serial=serial,
        uuid=str(state.identity.uuid or "") if state.identity else "",
        address=str(state.address or ""),
        product=f"{state.identity.manufacturer} {state.identity.product}" if state.identity else "",
        conditions=state.conditions,
        step=step_view(step, state.attempt, waiting) if step else None,
        progress=_progress(state, session),
        stages=_stages(state),
        phases=tuple(PhaseView(phase=phase, since=since) for phase, since in state.phases),
        evidence=tuple(EvidenceView(what=e.what, time=e.time, detail=e.detail) for e in state.evidence),
    )


def _stages(state: MachineState) -> dict[str, float | None]:
    start = state.power_on
    return {name: round(state.stages[name] - start, 2) if start and name in state.stages else None for name in STAGES}


def _progress(state: MachineState, session: Session | None) -> ProgressView | None:
    """Of the task that the machine's agent works on now."""
    report = session.report if session else None
    if (
        report is None
        or session is None
        or state.attempt is None
        or report.id != task_id(state.attempt.run, state.attempt.step)
    ):
        return None
    done, total = report.progress.done, report.progress.total
    if not total:
        return None
    (first_at, first), (last_at, last) = session.samples[0], session.samples[-1]
    rate = (last - first) / (last_at - first_at) if last_at > first_at else None
    return ProgressView(done=done, total=total, rate=rate, eta=(total - done) / rate if rate else None)


def event_view(entry: Entry) -> EventView:
    record = entry.record
    return EventView(
        seq=entry.seq,
        time=entry.time,
        machine=machine_of(record) or "",
        run=run_of(record) or "",
        kind=record.record,
        text=describe(record),
        fields=dict(record.evidence) if isinstance(record, StepResult) else {},
    )


def describe(record: Record) -> str:
    """One sentence for the timeline."""
    match record:
        case PlanStored(plan=plan):
            return f"plan {plan.digest[:12]} for {plan.site}: {len(plan.steps)} steps"
        case RunStarted(run=run, plan=digest):
            return f"run {run} of plan {digest[:12]} started"
        case RunEnded(run=run, state=state):
            return f"run {run} {state.value}"
        case StepIntent() as intent:
            resumed = f", resumes fence {intent.resumes}" if intent.resumes is not None else ""
            return f"{intent.step} begins ({intent.kind.value}, fence {intent.fence}{resumed})"
        case StepResult() as result:
            return _result(result)
        case PowerCommanded(command=command):
            return f"power command {command}"
        case IdentityRead(identity=identity):
            return f"the BMC controls serial {identity.serial}, UUID {identity.uuid}"
        case AddressLeased(address=address):
            return f"address {address} leased"
        case BootSeen(stage=stage, detail=detail):
            return f"{stage.value}: {detail}"
        case HelloSeen(detail=detail):
            return f"agent hello: {detail}"
        case FactsReceived(facts=facts):
            return f"hardware known: serial {facts.serial}, {len(facts.disks)} disks, {len(facts.nics)} NICs"
        case FirstBootSeen() as report:
            return f"installed system reports: {report.hostname} at {report.address}, nonce {report.nonce[:8]}"
        case HoldPlaced(reason=reason):
            return f"held: {reason}"
        case HoldReleased():
            return "released"
        case Noted(text=text) | SegmentNoted(text=text):
            return text
        case _:
            assert_never(record)


def _result(result: StepResult) -> str:
    if result.problem is None:
        details = ", ".join(f"{name} {value}" for name, value in result.evidence.items())
        return f"{result.step} done (fence {result.fence})" + (f": {details}" if details else "")
    again = f"again in {result.retry_after:.0f} s" if result.retry_after is not None else ""
    said = "; ".join(part for part in (result.problem.message, result.problem.evidence, again) if part)
    return f"{result.step} failed (fence {result.fence}): {said}"
