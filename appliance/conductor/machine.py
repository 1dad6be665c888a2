"""What is known of one machine after each record that concerns it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import assert_never

from appliance.conductor.runs import Attempt
from appliance.inventory.model import Installed, MachineRecord
from appliance.model.bmc import SystemIdentity
from appliance.model.hardware import HardwareFacts
from appliance.model.ids import MachineName, Nonce
from appliance.model.phase import Condition, ConditionKind, Phase
from appliance.plan import (
    Action,
    BootAgent,
    BootDisk,
    ConfirmShell,
    Enrol,
    ImageRef,
    Inspect,
    SetPower,
    Step,
    WriteImage,
    WriteSeed,
)
from appliance.store.records import (
    AddressLeased,
    BootSeen,
    FactsReceived,
    FirstBootSeen,
    HelloSeen,
    HoldPlaced,
    HoldReleased,
    IdentityRead,
    Noted,
    Observation,
    PowerCommanded,
    Problem,
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


def model_of(state: MachineState) -> str:
    return f"{state.identity.manufacturer} {state.identity.product}" if state.identity is not None else ""


def powered(state: MachineState, now: float) -> MachineState:
    return replace(state, power_on=now, stages={}, hello=None, first_boot=None)


def observed(state: MachineState, record: Observation, now: float) -> MachineState:
    match record:
        case PowerCommanded(boots=True):
            return powered(state, now)
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


def started(state: MachineState, action: Action, intent: StepIntent, now: float) -> MachineState:
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


def finished(state: MachineState, step: Step, result: StepResult, now: float) -> MachineState:
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


def failed(state: MachineState, step: Step, problem: Problem, now: float) -> MachineState:
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
