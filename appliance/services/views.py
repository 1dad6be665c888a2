"""The world as the API shows it: pure functions from state to view."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never
from urllib.parse import urlsplit

from appliance.conductor.decision import Wait
from appliance.conductor.goals import Goal
from appliance.conductor.machine import MachineState, model_of, stuck
from appliance.conductor.position import step_state
from appliance.conductor.proofs import Certificate
from appliance.conductor.runs import Attempt, RunStatus
from appliance.model.hosted import Hosted
from appliance.model.ids import MachineName
from appliance.model.orders import BootOrder, ClusterOrder, ForgetOrder, PowerOrder, TokenOrder
from appliance.model.phase import Condition
from appliance.model.place import Place
from appliance.model.views import (
    CertificateView,
    DeferredView,
    EventView,
    EvidenceView,
    GoalView,
    HostedView,
    MachineView,
    OutlookView,
    PhaseView,
    PlanView,
    ProgressView,
    RoleView,
    RunState,
    RunSummaryView,
    RunView,
    StepView,
    TroubleView,
)
from appliance.model.words import RETIREMENT, SITE_PURPOSE, STAGES
from appliance.plan import Plan, Purpose, Step
from appliance.services.agents import Session
from appliance.services.hardware_views import disk_view, links_of
from appliance.services.identity_views import describe_identity
from appliance.store.identity_records import IdentityRecord
from appliance.store.records import (
    AddressLeased,
    ApplianceNoted,
    BootSeen,
    ClusterNoted,
    Entry,
    FactsReceived,
    FirstBootSeen,
    GoalAsked,
    GoalEnded,
    GoalRecord,
    GoalSet,
    HelloSeen,
    HoldPlaced,
    HoldReleased,
    IdentityRead,
    InstallerSeen,
    MachineAnswers,
    MachineRetried,
    MachineSetAside,
    MachineSilent,
    MachineStrayed,
    Noted,
    OrderAnswered,
    OrderSent,
    PlanStored,
    PowerCommanded,
    Record,
    RequestHonoured,
    RunEnded,
    RunPaused,
    RunRecord,
    RunResumed,
    RunStarted,
    SegmentNoted,
    StepIntent,
    StepResult,
    WebhookGaveUp,
    machine_of,
    run_of,
)
from appliance.store.set_records import SetDropped, SetKept, SetRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What the site program says of a machine's place and BMC, and what keeps it that is not of its own. `run` as in
    `MachineView`."""

    place: Place | None = None
    bmc_url: str = ""
    run: str = ""
    conditions: tuple[Condition, ...] = ()


_NOWHERE = Around()


def step_view(
    step: Step,
    attempt: Attempt | None,
    wait: Wait | None = None,
    usual: float | None = None,
    run: RunState = RunState.RUNNING,
) -> StepView:
    return StepView(
        id=step.id,
        machine=step.machine,
        score=step.score,
        summary=step.summary,
        kind=step.kind.value,
        budget=step.budget,
        needs=step.needs,
        state=step_state(attempt, run),
        fence=attempt.fence if attempt else 0,
        started=attempt.started if attempt else None,
        ended=attempt.ended if attempt else None,
        waiting=wait.why if wait else "",
        deadline=_deadline(step, attempt, wait),
        usual=usual,
    )


def _purpose(purpose: Purpose) -> str:
    if purpose.errand is None:
        return SITE_PURPOSE
    return RETIREMENT if purpose.machine is None else f"{purpose.errand.value} {purpose.machine}"


def _deadline(step: Step, attempt: Attempt | None, wait: Wait | None) -> float | None:
    """The budget ends every wait; it begins anew when a restarted daemon takes the attempt up."""
    if wait is None or attempt is None:
        return None
    end = attempt.started + step.budget
    return end if wait.until is None else min(wait.until, end)


def plan_view(plan: Plan, outlook: OutlookView | None = None) -> PlanView:
    return PlanView(
        digest=plan.digest,
        site=plan.site,
        steps=tuple(step_view(step, None) for step in plan.steps),
        deferred=tuple(DeferredView(score=d.score, reason=d.reason) for d in plan.deferred),
        purpose=_purpose(plan.purpose),
        roles=tuple(RoleView(machine=r.machine, role=r.role, spare=r.spare, why=r.why) for r in plan.roles),
        missing=plan.missing,
        outlook=outlook,
    )


def goal_view(goal: Goal) -> GoalView:
    problem = goal.end.problem if goal.end is not None else None
    plan = goal.asked if goal.end is None else goal.end.plan
    return GoalView(
        id=goal.id,
        purpose=_purpose(goal.purpose),
        state=goal.state,
        consent=goal.consent,
        by=goal.by,
        since=goal.since,
        ended=goal.ended,
        runs=goal.runs,
        plan=plan or "",
        why=goal.why,
        trouble=None
        if problem is None
        else TroubleView(
            code=problem.code, message=problem.message, evidence=problem.evidence, next_action=problem.next_action
        ),
    )


def run_view(
    run: RunStatus, waiting: Callable[[MachineName], Wait | None], outlook: OutlookView | None = None
) -> RunView:
    return RunView(
        id=run.id,
        plan=run.digest,
        state=run.state,
        started=run.started,
        ended=run.ended,
        steps=tuple(_run_step(run, step, waiting) for step in run.plan.steps),
        paused=run.paused.reason if run.paused else "",
        paused_by=run.paused.by if run.paused else "",
        by=run.by,
        goal=run.goal or "",
        canary=run.rollout.canary,
        at_once=run.rollout.at_once,
        rollout=run.rollout.why,
        set_aside={str(name): reason for name, reason in run.aside.items()},
        outlook=outlook,
    )


def run_summary(run: RunStatus) -> RunSummaryView:
    return RunSummaryView(
        id=run.id,
        plan=run.digest,
        state=run.state,
        started=run.started,
        ended=run.ended,
        paused=run.paused.reason if run.paused else "",
        paused_by=run.paused.by if run.paused else "",
        by=run.by,
        goal=run.goal or "",
        machines=len(run.left),
        settled=len(run.settled),
        failed=sum(not end.well for end in run.settled.values()),
    )


def _run_step(run: RunStatus, step: Step, waiting: Callable[[MachineName], Wait | None]) -> StepView:
    attempt = run.attempts.get(step.id)
    running = attempt is not None and attempt.ended is None and run.state is RunState.RUNNING
    return step_view(step, attempt, waiting(step.machine) if running else None, run=run.state)


def machine_view(
    state: MachineState,
    run: RunStatus | None,
    session: Session | None,
    wait: Wait | None,
    usual: float | None = None,
    now: float = 0.0,
    around: Around = _NOWHERE,
) -> MachineView:
    """`run` is the one that the machine's present attempt belongs to."""
    return replace(
        machine_card(state, run, now, around, wait, usual),
        progress=_progress(state, session),
        stages=_stages(state),
        phases=tuple(PhaseView(phase=phase, since=since) for phase, since in state.phases),
        evidence=tuple(EvidenceView(what=e.what, time=e.time, detail=e.detail) for e in state.evidence),
        certificates=tuple(_certificate(one) for one in state.certificates),
        disks=tuple(map(disk_view, state.facts.disks)) if state.facts else (),
        links=tuple(links_of(state.facts)) if state.facts else (),
        applications=tuple(map(_hosted, state.host.applications)) if state.host is not None else (),
    )


def _hosted(one: Hosted) -> HostedView:
    return HostedView(name=one.app.name, version=one.app.package.version, since=one.since)


def machine_card(
    state: MachineState,
    run: RunStatus | None,
    now: float,
    around: Around,
    wait: Wait | None = None,
    usual: float | None = None,
) -> MachineView:
    """What filters and counts look at, without disks and history, which are most of the work."""
    late = stuck(state, now)
    facts, identity = state.facts, state.identity
    step = run.index.by_id[state.attempt.step] if run and state.attempt else None
    steps = run.index.by_machine.get(step.machine, ()) if run and step else ()
    return MachineView(
        name=state.name,
        phase=state.phase,
        since=state.since,
        serial=facts.serial if facts else identity.serial if identity else "",
        uuid=str(identity.uuid or "") if identity else "",
        address=str(state.reached_at or ""),
        product=model_of(state),
        conditions=(*state.conditions, *around.conditions, *((late,) if late is not None else ())),
        step=step_view(step, state.attempt, wait, usual) if step else None,
        role=state.role,
        spare_of=state.spare_of,
        place=around.place,
        run=around.run,
        bmc=urlsplit(around.bmc_url).hostname or "",
        macs=macs_of(state),
        cores=facts.cores if facts else None,
        memory_bytes=facts.memory_bytes if facts else None,
        step_number=steps.index(step) + 1 if step else 0,
        step_count=len(steps),
    )


def macs_of(state: MachineState) -> tuple[str, ...]:
    """Of the machine's own NICs: the agent sees all of them, a BMC often only some."""
    seen = [nic.mac for nic in state.facts.nics] if state.facts else []
    named = state.identity.macs if state.identity else ()
    return tuple(dict.fromkeys(str(mac) for mac in (*seen, *named)))


def _certificate(certificate: Certificate) -> CertificateView:
    disk = certificate.disk
    return CertificateView(
        serial=disk.serial,
        wwn=disk.wwn,
        size_bytes=disk.size_bytes,
        time=certificate.at,
        run=certificate.run,
        findings=dict(certificate.findings),
    )


def _stages(state: MachineState) -> dict[str, float | None]:
    start = state.power_on
    return {name: round(state.stages[name] - start, 2) if start and name in state.stages else None for name in STAGES}


def _progress(state: MachineState, session: Session | None) -> ProgressView | None:
    """Of the task that the machine's agent works on now."""
    report = session.report if session else None
    if report is None or session is None or state.attempt is None or report.id != state.attempt.task:
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
    if isinstance(record, IdentityRecord):
        return describe_identity(record)
    match record:
        case AddressLeased(address=address):
            return f"address {address} leased"
        case BootSeen(stage=stage, detail=detail):
            return f"{stage.value}: {detail}"
        case HelloSeen(detail=detail):
            return f"agent hello: {detail}"
        case FactsReceived(facts=facts):
            return f"hardware known: serial {facts.serial}, {len(facts.disks)} disks, {len(facts.nics)} NICs"
        case InstallerSeen(stage=stage, detail=detail):
            return f"installer, {stage.value}: {detail}"
        case FirstBootSeen() as report:
            return f"installed system reports: {report.hostname} at {report.address}, nonce {report.nonce[:8]}"
        case IdentityRead(identity=identity):
            return f"the BMC controls serial {identity.serial}, UUID {identity.uuid}"
        case PowerCommanded(command=command):
            return f"power command {command}"
        case HoldPlaced(reason=reason, by=by):
            return f"held{_by(by)}: {reason}"
        case HoldReleased(by=by):
            return f"released{_by(by)}"
        case MachineAnswers():
            return "answers again"
        case MachineSilent(text=text) | MachineStrayed(text=text):
            return text
        case RequestHonoured(location=location):
            return f"a request was carried out: {location}"
        case Noted(text=text) | SegmentNoted(text=text) | ApplianceNoted(text=text) | ClusterNoted(text=text):
            return text
        case GoalSet() | GoalAsked() | GoalEnded():
            return _of_a_goal(record)
        case SetKept() | SetDropped() | WebhookGaveUp():
            return _of_the_appliance(record)
        case plan_or_run:
            return _of_a_run(plan_or_run)


def _of_the_appliance(record: SetRecord | WebhookGaveUp) -> str:
    match record:
        case WebhookGaveUp(hook=hook, first=first, last=last, events=events):
            return f"webhook {hook} gave up {events} events, from {first} to {last}: its receiver did not take them"
        case SetKept(described=described, by=by):
            return f"the artifact set {described.name} ({described.provenance}) is here, whole{_by(by)}"
        case SetDropped(name=name, by=by):
            return f"the artifact set {name} was removed{_by(by)}"


def _of_a_goal(record: GoalRecord) -> str:
    match record:
        case GoalSet(goal=goal, purpose=purpose, consent=consent, by=by):
            disks = f", and disks {', '.join(consent.disks)}" if consent.disks else ""
            despite = f"; despite {', '.join(check.value for check in consent.despite)}" if consent.despite else ""
            destroys = f"{consent.destroys.value}{disks}{despite}"
            return f"goal {goal}{_by(by)}: {_purpose(purpose)}; may destroy without asking: {destroys}"
        case GoalAsked(goal=goal, plan=plan, why=why):
            found = f" ({why})" if why else ""
            return f"goal {goal} waits for approval of plan {plan[:12]}{found}: innervate apply --digest {plan}"
        case GoalEnded(goal=goal, state=state, problem=problem, by=by):
            why = f": {problem.message}" if problem is not None else ""
            return f"goal {goal} {state.value}{_by(by)}{why}"
        case _:
            assert_never(record)


def _of_a_run(record: PlanStored | RunRecord) -> str:
    match record:
        case PlanStored(plan=plan):
            return f"plan {plan.digest[:12]} for {plan.site}: {len(plan.steps)} steps"
        case RunStarted() as started:
            return _started(started)
        case RunPaused(run=run, reason=reason, by=by):
            return f"run {run} paused{_by(by)}: {reason}"
        case RunResumed(run=run, by=by):
            return f"run {run} goes on{_by(by)}"
        case RunEnded(run=run, state=state, by=by):
            return f"run {run} {state.value}{_by(by)}"
        case MachineSetAside(run=run, reason=reason, by=by):
            return f"set aside in run {run}{_by(by)}: {reason}"
        case MachineRetried(run=run, by=by):
            return f"tried again in run {run}{_by(by)}"
        case StepIntent() as intent:
            resumed = f", resumes fence {intent.resumes}" if intent.resumes is not None else ""
            return f"{intent.step} begins ({intent.kind.value}, fence {intent.fence}{resumed})"
        case StepResult() as result:
            return _result(result)
        case OrderSent() as sent:
            return _order(sent)
        case OrderAnswered() as answered:
            return _answer(answered)
        case _:
            assert_never(record)


def _started(started: RunStarted) -> str:
    rollout = started.rollout
    canary = f"; first {', '.join(rollout.canary)}" if rollout.canary else ""
    why = f"; {rollout.why}" if rollout.why else ""
    return f"run {started.run} of plan {started.plan[:12]} started{_by(started.by)}{canary}{why}"


def _by(name: str) -> str:
    return f" by {name}" if name else ""


def _order(sent: OrderSent) -> str:
    match sent.order:
        case PowerOrder(command=command):
            return f"power command {command.value}"
        case BootOrder(target=target):
            return f"boot once from {target.value}"
        case TokenOrder():
            return "put a one-time token into the BMC's drive"
        case ForgetOrder(trace=trace):
            return f"forget its {trace.value}"
        case ClusterOrder():
            return "begin this step's work on the cluster"
        case _:
            assert_never(sent.order)


def _answer(answered: OrderAnswered) -> str:
    """Some BMCs take a boot override and do not show it: the DHCP packet decides, this explains its absence."""
    if answered.problem is None:
        return "accepted" + (f"; a look afterwards shows: {answered.shown}" if answered.shown else "")
    if answered.lost:
        return f"no answer: {answered.problem.message}; the machine itself shows whether it was done"
    return f"refused: {answered.problem.message}"


def _result(result: StepResult) -> str:
    if result.problem is None:
        details = ", ".join(f"{name} {value}" for name, value in result.evidence.items())
        return f"{result.step} done (fence {result.fence})" + (f": {details}" if details else "")
    again = f"again in {result.retry_after:.0f} s" if result.retry_after is not None else ""
    said = "; ".join(part for part in (result.problem.message, result.problem.evidence, again) if part)
    return f"{result.step} failed (fence {result.fence}): {said}"
