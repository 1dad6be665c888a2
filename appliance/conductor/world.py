"""All that is known, folded from the record log.

Rules
* `World.fold` is the only thing that changes the world, and it depends on nothing but the entry: replaying the log
  gives the same world, so a restart and a crash are one path.
* A machine's phase follows from the intents and results of its steps; nothing sets it by hand.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import assert_never

from appliance.inventory.model import Installed, MachineRecord
from appliance.model.bmc import SystemIdentity
from appliance.model.hardware import HardwareFacts
from appliance.model.ids import Fence, MachineName, Nonce, PlanDigest, RunId, StepId
from appliance.model.phase import Condition, ConditionKind, Phase
from appliance.model.views import RunState
from appliance.plan import (
    Action,
    BootAgent,
    BootDisk,
    ConfirmShell,
    Enrol,
    ImageRef,
    Inspect,
    Plan,
    SetPower,
    Step,
    WriteImage,
    WriteSeed,
)
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
    Problem,
    RunEnded,
    RunStarted,
    SegmentNoted,
    StepIntent,
    StepResult,
)

_EVIDENCE_KEPT = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    what: str
    time: float
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at a step. `ended` is None while nobody saw its end."""

    step: StepId
    run: RunId
    fence: Fence
    nonce: Nonce
    started: float
    ended: float | None = None
    result: StepResult | None = None

    @property
    def done(self) -> bool:
        return self.result is not None and self.result.problem is None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineState:
    """`stages` are times since the epoch, first seen since the last power-on.

    A ramdisk that boots now gets `boot_nonce`; `seed_nonce` is what the installed system will report with.
    """

    name: MachineName
    phase: Phase = Phase.UNKNOWN
    since: float = 0.0
    phases: tuple[tuple[Phase, float], ...] = ()
    hold: Condition | None = None
    failed: Condition | None = None
    identity: SystemIdentity | None = None
    facts: HardwareFacts | None = None
    facts_nonce: Nonce | None = None
    address: IPv4Address | None = None
    power_on: float | None = None
    stages: Mapping[str, float] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    attempt: Attempt | None = None
    hello: HelloSeen | None = None
    hello_at: float = 0.0
    boot_nonce: Nonce | None = None
    seed_nonce: Nonce | None = None
    boots_disk: bool = False
    first_boot: FirstBootSeen | None = None
    installed: Installed | None = None

    @property
    def conditions(self) -> tuple[Condition, ...]:
        return tuple(condition for condition in (self.hold, self.failed) if condition is not None)

    @property
    def record(self) -> MachineRecord:
        return MachineRecord(
            name=self.name,
            phase=self.phase,
            since=self.since,
            conditions=self.conditions,
            identity=self.identity,
            facts=self.facts,
            installed=self.installed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """`attempts` holds the latest attempt of each step that was ever started in this run."""

    id: RunId
    plan: Plan
    started: float
    ended: float | None = None
    state: RunState = RunState.RUNNING
    attempts: Mapping[StepId, Attempt] = field(default_factory=dict)


def task_id(run: RunId, step: StepId) -> str:
    """What agents know a step by. They remember how tasks ended: the same step of another run is another task."""
    return f"{run}.{step}"


class World:
    """Read it from anywhere on the conductor's loop; only `fold` writes."""

    def __init__(self) -> None:
        self.machines: dict[MachineName, MachineState] = {}
        self.plans: dict[PlanDigest, Plan] = {}
        self.runs: dict[RunId, RunStatus] = {}
        self.last_seq = 0
        self._first_signs: dict[str, tuple[float, ...]] = {}

    def first_signs(self, machine: MachineName) -> tuple[float, ...]:
        """How long machines of this one's model took from power-on to their first packet, in seconds, latest last."""
        return self._first_signs.get(_model(self.machine(machine)), ())

    def machine(self, name: MachineName) -> MachineState:
        return self.machines.get(name) or MachineState(name=name)

    @property
    def running(self) -> tuple[RunStatus, ...]:
        return tuple(run for run in self.runs.values() if run.state is RunState.RUNNING)

    def fold_all(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.fold(entry)

    def fold(self, entry: Entry) -> None:
        self.last_seq = entry.seq
        match entry.record:
            case PlanStored(plan=plan):
                self.plans[plan.digest] = plan
            case RunStarted(run=run, plan=digest):
                self.runs[run] = RunStatus(id=run, plan=self.plans[digest], started=entry.time)
            case RunEnded(run=run, state=state):
                self.runs[run] = replace(self.runs[run], state=state, ended=entry.time)
            case StepIntent() as intent:
                self._begin(intent, entry.time)
            case StepResult() as result:
                self._end(result, entry.time)
            case SegmentNoted():
                pass
            case record:
                before = self.machine(record.machine)
                machine = _observe(before, record, entry.time)
                if before.power_on is not None and not before.stages and machine.stages:
                    signs = self._first_signs.get(_model(before), ())
                    self._first_signs[_model(before)] = (*signs[-199:], entry.time - before.power_on)
                self.machines[machine.name] = machine

    def _begin(self, intent: StepIntent, now: float) -> None:
        attempt = Attempt(step=intent.step, run=intent.run, fence=intent.fence, nonce=intent.nonce, started=now)
        run = self._keep(attempt)
        state = replace(self.machine(intent.machine), attempt=attempt, failed=None)
        self.machines[state.name] = _started(state, run.plan.step(intent.step).do, intent, now)

    def _end(self, result: StepResult, now: float) -> None:
        begun = self.runs[result.run].attempts.get(result.step)
        if begun is None or begun.fence != result.fence:
            return
        run = self._keep(replace(begun, ended=now, result=result))
        step = run.plan.step(result.step)
        state = replace(self.machine(result.machine), attempt=None)
        if result.problem is None:
            state = _finished(state, step, result, now)
        elif result.retry_after is None:
            state = _failed(state, step, result.problem, now)
        self.machines[state.name] = state

    def _keep(self, attempt: Attempt) -> RunStatus:
        run = self.runs[attempt.run]
        run = replace(run, attempts={**run.attempts, attempt.step: attempt})
        self.runs[run.id] = run
        return run


def _model(state: MachineState) -> str:
    return f"{state.identity.manufacturer} {state.identity.product}" if state.identity is not None else ""


Observation = (
    PowerCommanded
    | IdentityRead
    | AddressLeased
    | BootSeen
    | HelloSeen
    | FactsReceived
    | FirstBootSeen
    | HoldPlaced
    | HoldReleased
    | Noted
)


def _observe(state: MachineState, record: Observation, now: float) -> MachineState:
    match record:
        case PowerCommanded(boots=True):
            return replace(state, power_on=now, stages={}, hello=None, first_boot=None)
        case PowerCommanded() | Noted():
            return state
        case IdentityRead(identity=identity):
            return replace(state, identity=identity)
        case AddressLeased(address=address):
            return replace(state, address=address)
        case BootSeen(stage=stage, detail=detail):
            return _stage(state, stage.value, detail, now)
        case HelloSeen() as hello:
            return replace(_stage(state, "hello", hello.detail, now), hello=hello, hello_at=now)
        case FactsReceived(facts=facts, nonce=nonce):
            return _proof(replace(state, facts=facts, facts_nonce=nonce), "facts", _describe(facts), now)
        case FirstBootSeen() as report:
            detail = f"{report.hostname} {report.address} nonce {report.nonce[:8]}"
            return replace(_stage(state, "first_boot", detail, now), first_boot=report, hello=None)
        case HoldPlaced(reason=reason):
            return replace(state, hold=Condition(kind=ConditionKind.HOLD, since=now, reason=reason))
        case HoldReleased():
            return replace(state, hold=None)
        case _:
            assert_never(record)


def _started(state: MachineState, action: Action, intent: StepIntent, now: float) -> MachineState:
    match action:
        case Enrol():
            return state if state.phase is Phase.AVAILABLE else _enter(state, Phase.ENROLLING, now)
        case BootAgent():
            fresh = replace(state, boots_disk=False, boot_nonce=intent.nonce)
            return fresh if state.phase is Phase.AVAILABLE else _enter(fresh, Phase.ENROLLING, now)
        case Inspect():
            return replace(_enter(state, Phase.INSPECTING, now), boot_nonce=intent.nonce)
        case WriteImage():
            return replace(_enter(state, Phase.DEPLOYING, now), boot_nonce=intent.nonce, installed=None)
        case WriteSeed():
            state = _enter(state, Phase.DEPLOYING, now)
            return replace(state, boot_nonce=intent.nonce, seed_nonce=intent.nonce)
        case BootDisk():
            return replace(_enter(state, Phase.BOOTING, now), boots_disk=True)
        case ConfirmShell():
            return state if state.phase is Phase.ACTIVE else _enter(state, Phase.CONFIGURING, now)
        case SetPower():
            return state
        case _:
            assert_never(action)


def _finished(state: MachineState, step: Step, result: StepResult, now: float) -> MachineState:
    detail = ", ".join(f"{key} {value}" for key, value in result.evidence.items())
    match step.do:
        case Enrol():
            return _proof(state, "bmc", detail, now)
        case Inspect():
            return _enter(state, Phase.AVAILABLE, now)
        case WriteImage():
            return _stage(state, "written", detail, now)
        case BootDisk(image=image):
            return replace(_enter(state, Phase.CONFIGURING, now), installed=_installed(state, image))
        case ConfirmShell():
            return _confirmed(_stage(state, "ssh", detail, now), step, now)
        case BootAgent() | WriteSeed() | SetPower():
            return state
        case _:
            assert_never(step.do)


def _installed(state: MachineState, image: ImageRef) -> Installed | None:
    report = state.first_boot
    if report is None:
        return None
    return Installed(image=image, hostname=report.hostname, address=report.address, host_keys=report.host_keys)


def _confirmed(state: MachineState, step: Step, now: float) -> MachineState:
    if state.installed is None:
        return state
    smoke = state.installed.smoke_passed or step.score == "smoke-test"
    installed = replace(state.installed, confirmed=True, smoke_passed=smoke)
    return replace(_enter(state, Phase.ACTIVE, now), installed=installed)


def _failed(state: MachineState, step: Step, problem: Problem, now: float) -> MachineState:
    failed = Condition(
        kind=ConditionKind.FAILED,
        since=now,
        reason=problem.message,
        step=step.summary,
        evidence=problem.evidence,
        next_action=problem.next_action,
    )
    return replace(state, failed=failed)


def _enter(state: MachineState, phase: Phase, now: float) -> MachineState:
    if phase is state.phase:
        return state
    return replace(state, phase=phase, since=now, phases=(*state.phases, (phase, now))[-_EVIDENCE_KEPT:])


def _stage(state: MachineState, stage: str, detail: str, now: float) -> MachineState:
    """The first time counts: a stage is when the machine got there, not when it was last there."""
    stages = state.stages if stage in state.stages else {**state.stages, stage: now}
    return _proof(replace(state, stages=stages), stage, detail, now)


def _proof(state: MachineState, what: str, detail: str, now: float) -> MachineState:
    proof = Evidence(what=what, time=now, detail=detail)
    return replace(state, evidence=(*state.evidence, proof)[-_EVIDENCE_KEPT:])


def _describe(facts: HardwareFacts) -> str:
    disks = ", ".join(disk.serial or disk.wwn for disk in facts.disks)
    return f"serial {facts.serial}, {facts.cores} cores, {facts.memory_bytes >> 20} MiB, disks {disks}"
