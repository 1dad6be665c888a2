"""What is known of one machine after each record that concerns it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import assert_never

from appliance.conductor import attesting, hosting, installing, membership, slurm_membership
from appliance.conductor.coming import coming, emptying
from appliance.conductor.installing import Installing
from appliance.conductor.proofs import Certificate, Evidence
from appliance.conductor.runs import Attempt
from appliance.inventory.model import Installed, MachineRecord
from appliance.model.amend import amended
from appliance.model.application import AppAction
from appliance.model.bmc import SystemIdentity
from appliance.model.cluster import ClusterAction, ClusterName, Member
from appliance.model.hardware import HardwareFacts
from appliance.model.hosted import ContainerHost, HostAction
from appliance.model.identity import Bound, Placed, Rung, Standing
from appliance.model.ids import MachineName, Nonce
from appliance.model.links import MachineNetwork
from appliance.model.okd import OkdAction
from appliance.model.orders import Trace
from appliance.model.phase import PHASES, Condition, ConditionKind, Phase
from appliance.model.reflex import Stray
from appliance.model.slurm import SlurmAction, SlurmMember
from appliance.model.switch import BondPorts
from appliance.model.tpm import Tpm
from appliance.model.views import Errand
from appliance.plan import (
    Action,
    BootAgent,
    BootDisk,
    ConfirmShell,
    DiskRef,
    Drain,
    Enrol,
    Inspect,
    OsRef,
    Rescue,
    Retire,
    RoleChoice,
    RunInstaller,
    SetPower,
    Step,
    Wipe,
    WriteImage,
    WriteSeed,
)
from appliance.store.identity_records import (
    AgentBound,
    CodeRefused,
    IdentityConfirmed,
    IdentityDisputed,
    IdentityRecord,
    TokenPlaced,
    TpmDisputed,
    TpmLacking,
    TpmProven,
)
from appliance.store.records import (
    AddressLeased,
    BootSeen,
    BootStage,
    FactsReceived,
    FirstBootSeen,
    HelloSeen,
    HoldPlaced,
    HoldReleased,
    IdentityRead,
    InstallerSeen,
    InstallerStage,
    MachineAnswers,
    MachineSilent,
    MachineStrayed,
    Noted,
    Observation,
    PowerCommanded,
    Problem,
    StepIntent,
    StepResult,
)

_EVIDENCE_KEPT = 60
_RETURNS_KEPT = 10


@dataclass(frozen=True, kw_only=True)
class MachineState:
    """`stages` are times since the epoch, first seen since the last power-on.

    A ramdisk that boots now gets `boot_nonce`; `seed_nonce` is what the installed system will report with, and
    `seed_network` what it will have. `address` is what DHCP gave last.
    `returns`: when it came back to the network's boot server though it was to run from its disk, latest last.
    `left`: the cluster that it was taken out of, while it holds what it had there.
    `silent`, `strayed`: a reflex has seen that an active machine does not answer, or is not what was installed.
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
    seed_network: MachineNetwork | None = None
    boots_disk: bool = False
    installing: Installing | None = None
    first_boot: FirstBootSeen | None = None
    installed: Installed | None = None
    facts_current: bool = False
    role: str = ""
    spare_of: str = ""
    replaced: Condition | None = None
    drained: bool = False
    forgotten: frozenset[Trace] = frozenset()
    rescue_keys: tuple[str, ...] = ()
    silent: Condition | None = None
    strayed: Condition | None = None
    stray: Stray | None = None
    returns: tuple[float, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    placed: Placed | None = None
    bound: Bound | None = None
    disputed: Nonce | None = None
    member: Member | None = None
    left: ClusterName | None = None
    slurm: SlurmMember | None = None
    host: ContainerHost | None = None
    bonded: MachineNetwork | None = None
    tpm: Tpm = field(default_factory=Tpm)

    @property
    def standing(self) -> Standing:
        """What the node-facing services judge its agent by."""
        return Standing(
            bound=self.bound,
            placed=self.placed,
            powered=self.power_on or 0.0,
            disk=self.boots_disk,
            active=self.phase is Phase.ACTIVE and self.boots_disk,
            disputed=self.disputed,
            ek=self.tpm.ek,
        )

    @property
    def reached_at(self) -> IPv4Address | None:
        """Where what runs on it now answers: an installed system has an address of its own, its firmware and the
        ramdisk have that of DHCP."""
        if self.installed is None:
            return self.address
        if self.installed.is_static and self.hello is None and not self.rescue_keys:
            return self.installed.address
        return self.address or self.installed.address

    @property
    def conditions(self) -> tuple[Condition, ...]:
        measured = attesting.condition(self.tpm)
        return self._in_the_way if measured is None else (*self._in_the_way, measured)

    @property
    def _in_the_way(self) -> tuple[Condition, ...]:
        """Whoever has one of these gets no role."""
        found = (self.hold, self.failed, self.replaced, self.silent, self.strayed)
        return tuple(condition for condition in found if condition is not None)

    @property
    def installer(self) -> Installing | None:
        """The one that boots there now: never another than that of the step at work."""
        return self.installing if self.installing is not None and self.installing.nonce == self.boot_nonce else None

    @property
    def record(self) -> MachineRecord:
        return MachineRecord(
            name=self.name,
            phase=self.phase,
            since=self.since,
            conditions=self._in_the_way,
            identity=self.identity,
            facts=self.facts,
            facts_current=self.facts_current,
            installed=self.installed,
            role=self.role,
            spare_of=self.spare_of,
            replaced=self.replaced is not None,
            drained=self.drained,
            member=self.member,
            slurm=self.slurm,
            host=self.host,
            bonded=self.bonded,
        )


def model_of(state: MachineState) -> str:
    return f"{state.identity.manufacturer} {state.identity.product}" if state.identity is not None else ""


def stuck(state: MachineState, now: float) -> Condition | None:
    """Longer in its phase than the phase's budget, while something is to happen there."""
    budget = PHASES[state.phase].budget
    if budget is None or not state.since or now <= state.since + budget:
        return None
    reason = f"{state.phase.value} for {now - state.since:.0f} s, longer than the {budget:.0f} s that are meant for it"
    action = f"see why: innervate explain {state.name}"
    return Condition(kind=ConditionKind.STUCK, since=state.since + budget, reason=reason, next_action=action)


def powered(state: MachineState, now: float) -> MachineState:
    if state.phase is Phase.RESCUE and state.installed is not None:  # it boots its own disk, and has to prove itself
        unproven = replace(state.installed, confirmed=False)
        state = amended(_enter(state, Phase.CONFIGURING, now), installed=unproven)
    tpm = replace(state.tpm, lacks="") if state.tpm.lacks else state.tpm
    return amended(state, power_on=now, stages={}, hello=None, first_boot=None, rescue_keys=(), bound=None, tpm=tpm)


def observed(state: MachineState, record: Observation, now: float) -> MachineState:
    if isinstance(record, IdentityRecord):
        return _identified(state, record, now)
    match record:
        case PowerCommanded(boots=True):
            return powered(state, now)
        case PowerCommanded() | Noted():
            return state
        case IdentityRead(identity=identity):
            return amended(state, identity=identity)
        case AddressLeased(address=address):
            return amended(state, address=address)
        case BootSeen(stage=BootStage.LOCAL):
            return amended(state, returns=(*state.returns, now)[-_RETURNS_KEPT:])
        case MachineSilent(text=text):
            return amended(state, silent=Condition(kind=ConditionKind.UNREACHABLE, since=now, reason=text))
        case MachineAnswers():
            return amended(state, silent=None)
        case MachineStrayed(stray=stray, text=text):
            condition = Condition(kind=ConditionKind.DEGRADED, since=now, reason=text)
            return amended(state, strayed=condition, stray=stray, returns=())
        case BootSeen(stage=stage, detail=detail):
            return _stage(state, stage.value, detail, now)
        case HelloSeen() as hello:
            return amended(_stage(state, "hello", hello.detail, now), hello=hello, hello_at=now)
        case FactsReceived(facts=facts, nonce=nonce):
            known = amended(state, facts=facts, facts_nonce=nonce, facts_current=True)
            return _proof(known, "facts", _describe(facts), now)
        case InstallerSeen() as seen:
            return _installer_said(state, seen, now)
        case FirstBootSeen() as report:
            detail = f"{report.hostname} {report.address} nonce {report.nonce[:8]}"
            return amended(_stage(state, "first_boot", detail, now), first_boot=report, hello=None)
        case HoldPlaced(reason=reason, by=by):
            return amended(state, hold=Condition(kind=ConditionKind.HOLD, since=now, reason=reason, by=by))
        case HoldReleased():
            return amended(state, hold=None)
        case _:
            assert_never(record)


def _identified(state: MachineState, record: IdentityRecord, now: float) -> MachineState:
    match record:
        case TokenPlaced(nonce=nonce, number=number):
            return amended(state, placed=Placed(nonce=nonce, number=number, at=now))
        case AgentBound(nonce=nonce, key=key, boot_id=boot_id, rung=rung, token=token):
            bound = Bound(nonce=nonce, key=key, boot_id=boot_id, rung=rung, at=now, token=token)
            return state if state.boot_nonce is None else amended(state, bound=bound)  # its boot was over by then
        case IdentityConfirmed(key=key, by=by):
            if state.bound is None or state.bound.key != key or state.bound.rung is not Rung.L0:
                return state
            return amended(state, bound=replace(state.bound, rung=Rung.L3, by=by))
        case IdentityDisputed(why=why):
            tpm = attesting.doubted(state.tpm, state.bound, state.phase)
            return _over(amended(state, tpm=tpm), attesting.disputed(state.name, why, now))
        case TpmDisputed():
            return _over(state, attesting.another(record, now))
        case TpmProven(key=key):
            lifted = replace(state.bound, rung=Rung.L2) if state.bound and state.bound.key == key else state.bound
            return amended(state, bound=lifted, tpm=attesting.proven(state.tpm, record, now))
        case TpmLacking(why=why):
            return amended(state, tpm=replace(state.tpm, lacks=why))
        case CodeRefused():
            return state
        case _:
            assert_never(record)


def _over(state: MachineState, hold: Condition) -> MachineState:
    """Nobody speaks for it any more in this boot."""
    nonce = state.boot_nonce
    return amended(state, bound=None, placed=None, hello=None, boot_nonce=None, disputed=nonce, hold=hold)


def started(state: MachineState, action: Action, intent: StepIntent, errand: Errand | None, now: float) -> MachineState:
    if isinstance(action, ClusterAction):
        return amended(state, left=None) if membership.comes(action) else state
    if isinstance(action, SlurmAction | OkdAction | AppAction | HostAction | BondPorts):
        return state
    match action:
        case Enrol():
            wanted = amended(state, forgotten=frozenset())
            return wanted if state.phase is Phase.AVAILABLE else _enter(wanted, Phase.ENROLLING, now)
        case BootAgent():
            kept = state.forgotten if errand is Errand.DECOMMISSION else frozenset[Trace]()
            placed = state.placed if intent.resumes is not None else None
            fresh = amended(state, boots_disk=False, boot_nonce=intent.nonce, forgotten=kept, placed=placed)
            return _enter(fresh, coming(state.phase, errand), now)
        case Inspect():
            return amended(_enter(state, Phase.INSPECTING, now), boot_nonce=intent.nonce)
        case WriteImage():
            state = _freed(amended(state, installed=None, facts_current=False, drained=False))
            return amended(_enter(state, Phase.DEPLOYING, now), boot_nonce=intent.nonce)
        case WriteSeed(network=network):
            state = _enter(state, Phase.DEPLOYING, now)
            nonces = amended(state, boot_nonce=intent.nonce, seed_nonce=intent.nonce)
            return amended(nonces, seed_network=network)
        case RunInstaller() as do:
            return _installs(state, do, intent, now)
        case BootDisk():
            return amended(_enter(state, Phase.BOOTING, now), boots_disk=True)
        case ConfirmShell():
            return state if state.phase is Phase.ACTIVE else _enter(state, Phase.CONFIGURING, now)
        case Drain():
            return _enter(state, Phase.RELEASING, now)
        case Wipe():
            state = _freed(amended(state, installed=None, facts_current=False, boot_nonce=intent.nonce))
            return _enter(state, emptying(errand), now)
        case Rescue():
            return amended(state, boot_nonce=intent.nonce)
        case SetPower() | Retire():
            return state
        case _:
            assert_never(action)


def _installs(state: MachineState, do: RunInstaller, intent: StepIntent, now: float) -> MachineState:
    """A step that is taken up again finds the installer where it is, perhaps done: the disk then stays what boots."""
    assert state.attempt is not None  # noqa: S101  the intent made it
    installer = installing.begun(state.installing, do, state.attempt)
    state = amended(state, installed=None, facts_current=False, drained=False, installing=installer)
    nonces = amended(state, boot_nonce=intent.nonce, seed_nonce=intent.nonce, boots_disk=installer.done)
    return _enter(_freed(nonces), Phase.DEPLOYING, now)


def _freed(state: MachineState) -> MachineState:
    """What it was to a cluster is gone with its disk."""
    return amended(state, member=None, left=None, slurm=None, host=None, bonded=None)


def _installer_said(state: MachineState, seen: InstallerSeen, now: float) -> MachineState:
    """From the moment that its being done is known, the machine boots from its disk."""
    installer = state.installer
    if installer is None or installer.nonce != seen.nonce:
        return state
    installer = installing.heard(installer, seen, now)
    state = amended(state, installing=installer, boots_disk=state.boots_disk or installer.done)
    match seen.stage:
        case InstallerStage.ANSWERS:
            return _stage(state, "hello", seen.detail, now)
        case InstallerStage.WORD:
            return state
        case InstallerStage.DISK | InstallerStage.FAILED | InstallerStage.DONE:
            return _proof(state, f"installer {seen.stage.value}", seen.detail, now)
        case _:
            assert_never(seen.stage)


def finished(state: MachineState, step: Step, result: StepResult, now: float) -> MachineState:
    detail = ", ".join(f"{key} {value}" for key, value in result.evidence.items())
    if isinstance(step.do, ClusterAction | OkdAction):
        what, member = membership.done(step.do, state.member, now)
        state = _confirmed(state, step, now) if membership.proves(step.do) else state
        return _proof(amended(state, member=member), what, detail, now)
    if isinstance(step.do, SlurmAction):
        slurm = slurm_membership.done(step.do, state.slurm, now)
        return _proof(amended(state, slurm=slurm), step.do.action, detail, now)
    if isinstance(step.do, AppAction):
        return state
    if isinstance(step.do, HostAction):
        return _proof(amended(state, host=hosting.done(step.do, state.host, now)), step.do.action, detail, now)
    if isinstance(step.do, BondPorts):
        return _proof(amended(state, bonded=step.do.network), step.do.action, detail, now)
    match step.do:
        case Enrol():
            return _proof(state, "bmc", detail, now)
        case Inspect():
            return _enter(state, Phase.AVAILABLE, now)
        case WriteImage() | RunInstaller():
            return _stage(state, "written", detail, now)
        case BootDisk(image=image, disk=disk):
            return amended(_enter(state, Phase.CONFIGURING, now), installed=_installed(state, image, disk))
        case ConfirmShell():
            return _confirmed(_stage(state, "ssh", detail, now), step, now)
        case Drain():
            return _proof(amended(state, drained=True), "drained", detail, now)
        case Wipe(disk=disk):
            certificate = Certificate(disk=disk, at=now, run=result.run, findings=result.evidence)
            kept = (*state.certificates, certificate)[-_EVIDENCE_KEPT:]
            return _proof(amended(state, certificates=kept), "wiped", detail, now)
        case Rescue():
            return _rescued(_proof(state, "rescue", detail, now), result, now)
        case Retire():
            return _retired(_proof(state, "retired", detail, now), now)
        case BootAgent() | WriteSeed() | SetPower():
            return state
        case _:
            assert_never(step.do)


def _rescued(state: MachineState, result: StepResult, now: float) -> MachineState:
    """The next boot is from the disk again, if there is anything on it."""
    keys = tuple(result.evidence.get("host_key", "").splitlines())
    boots_disk = state.installed is not None
    return amended(_enter(state, Phase.RESCUE, now), rescue_keys=keys, boots_disk=boots_disk)


def _retired(state: MachineState, now: float) -> MachineState:
    """What was observed stays; what the machine could boot or be reached by is gone."""
    gone = amended(state, boot_nonce=None, seed_nonce=None, boots_disk=False, hello=None, address=None, installed=None)
    gone = amended(gone, placed=None, bound=None, tpm=Tpm(), member=None, slurm=None, host=None, bonded=None)
    return _enter(amended(gone, role="", spare_of="", silent=None, strayed=None), Phase.RETIRED, now)


def given(state: MachineState, choice: RoleChoice, errand: Errand | None, now: float) -> MachineState:
    """The role that an approved plan gives, or takes."""
    role, spare_of = ("", choice.role) if choice.spare else (choice.role, "")
    replaced = state.replaced
    if errand is Errand.REPLACE and state.role and not role:
        replaced = Condition(kind=ConditionKind.DEGRADED, since=now, reason=choice.why)
    return amended(state, role=role, spare_of=spare_of, replaced=replaced)


def _installed(state: MachineState, image: OsRef, disk: DiskRef) -> Installed | None:
    report = state.first_boot
    if report is None:
        return None
    return Installed(
        image=image,
        hostname=report.hostname,
        address=report.address,
        host_keys=report.host_keys,
        disk=disk,
        network=state.seed_network,
    )


def _confirmed(state: MachineState, step: Step, now: float) -> MachineState:
    if state.installed is None:
        return state
    smoke = state.installed.smoke_passed or step.score == "smoke-test"
    installed = replace(state.installed, confirmed=True, smoke_passed=smoke)
    well = amended(state, installed=installed, replaced=None, silent=None, strayed=None, stray=None, returns=())
    return _enter(well, Phase.ACTIVE, now)


def failed(state: MachineState, step: Step, problem: Problem, now: float) -> MachineState:
    failed = Condition(
        kind=ConditionKind.FAILED,
        since=now,
        reason=problem.message,
        step=step.summary,
        code=problem.code,
        evidence=problem.evidence,
        next_action=problem.next_action,
    )
    return amended(state, failed=failed)


def _enter(state: MachineState, phase: Phase, now: float) -> MachineState:
    if phase is state.phase:
        return state
    return amended(state, phase=phase, since=now, phases=(*state.phases, (phase, now))[-_EVIDENCE_KEPT:])


def _stage(state: MachineState, stage: str, detail: str, now: float) -> MachineState:
    """The first time counts: a stage is when the machine got there, not when it was last there."""
    stages = state.stages if stage in state.stages else {**state.stages, stage: now}
    return _proof(amended(state, stages=stages), stage, detail, now)


def _proof(state: MachineState, what: str, detail: str, now: float) -> MachineState:
    proof = Evidence(what=what, time=now, detail=detail)
    return amended(state, evidence=(*state.evidence, proof)[-_EVIDENCE_KEPT:])


def _describe(facts: HardwareFacts) -> str:
    disks = ", ".join(disk.serial or disk.wwn for disk in facts.disks)
    return f"serial {facts.serial}, {facts.cores} cores, {facts.memory_bytes >> 20} MiB, disks {disks}"
