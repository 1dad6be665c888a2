"""What the appliance remembers: one append-only sequence of records, from which everything else is folded.

Facts (what was observed), intents (what people and plans want) and the conductor's journal share the sequence, so
that their order is never in doubt. A record is never edited. `appliance.conductor.world` folds them.
"""

from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address
from typing import Annotated, Literal, get_args

from pydantic import Field

from appliance.model.bmc import SystemIdentity
from appliance.model.cluster import ClusterName
from appliance.model.goal import Consent
from appliance.model.hardware import Firmware, HardwareFacts
from appliance.model.ids import Fence, GoalId, MachineName, Nonce, PlanDigest, RunId, StepId
from appliance.model.orders import Order
from appliance.model.reflex import Stray
from appliance.model.rollout import Rollout
from appliance.model.step import StepKind
from appliance.model.views import RunState
from appliance.model.words import GoalState
from appliance.plan import Plan, Purpose
from appliance.store.identity_records import IdentityRecord
from appliance.store.set_records import SetDropped, SetKept, SetRecord


class BootStage(Enum):
    """The rungs of a boot that leave evidence of their own.

    `RIVAL` is firmware that took the address of another DHCP server. `SYSTEM` is an operating system that looks for an
    address, as one does when it starts; `LEASE` one that got or renewed one: it runs, and nobody knows since when.
    `LOCAL` is firmware that asked the boot server and was sent to its own disk.
    """

    DHCP = "dhcp"
    RIVAL = "rival"
    TFTP = "tftp"
    SCRIPT = "script"
    SYSTEM = "system"
    LEASE = "lease"
    LOCAL = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    code: str
    message: str
    evidence: str = ""
    next_action: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStored:
    plan: Plan
    record: Literal["plan-stored"] = "plan-stored"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """`by`: who approved the plan, a person or a reflex that the site program states. Records of what people do name
    them in the same way, "" where nobody was noted. `goal` where the plan is one of several on a way."""

    run: RunId
    plan: PlanDigest
    rollout: Rollout = field(default_factory=Rollout)
    by: str = "operator"
    goal: GoalId | None = None
    trace: str = ""
    record: Literal["run-started"] = "run-started"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPaused:
    """No machine begins a step; steps under way go on to their end."""

    run: RunId
    reason: str
    by: str = ""
    record: Literal["run-paused"] = "run-paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResumed:
    run: RunId
    by: str = ""
    record: Literal["run-resumed"] = "run-resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """`by` where a person ended it."""

    run: RunId
    state: RunState
    by: str = ""
    record: Literal["run-ended"] = "run-ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSetAside:
    """Quarantine within a run: the machine is left as it is, the others go on."""

    run: RunId
    machine: MachineName
    reason: str
    by: str = ""
    record: Literal["machine-set-aside"] = "machine-set-aside"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRetried:
    """What failed on the machine in this run may be tried again, also after it was set aside."""

    run: RunId
    machine: MachineName
    by: str = ""
    record: Literal["machine-retried"] = "machine-retried"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalSet:
    """What is wanted, and which of the plans that follow are consented to. A goal that is open gets another consent.

    `machines` are all that the site had then: nobody consented for one that came into the site program later.
    """

    goal: GoalId
    purpose: Purpose
    consent: Consent
    machines: tuple[MachineName, ...]
    by: str = ""
    record: Literal["goal-set"] = "goal-set"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalAsked:
    """The goal's next plan destroys what nobody consented to, or `why` says what stands in its way: it waits for the
    approval of its digest."""

    goal: GoalId
    plan: PlanDigest
    why: str = ""
    record: Literal["goal-asked"] = "goal-asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalEnded:
    """`plan` is the last that was made, None where `problem` says why there is none, and `machine` for which one;
    `by` where a person ended it."""

    goal: GoalId
    state: GoalState
    plan: PlanDigest | None = None
    problem: Problem | None = None
    machine: MachineName | None = None
    by: str = ""
    record: Literal["goal-ended"] = "goal-ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepIntent:
    """Durable before anything is done. `resumes` is the fence of an attempt whose end nobody saw."""

    run: RunId
    step: StepId
    machine: MachineName
    kind: StepKind
    fence: Fence
    nonce: Nonce
    resumes: Fence | None = None
    record: Literal["step-intent"] = "step-intent"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """`problem` is None when the step is done; with `retry_after` (seconds) the step will be tried again."""

    run: RunId
    step: StepId
    machine: MachineName
    fence: Fence
    evidence: dict[str, str] = field(default_factory=dict)
    problem: Problem | None = None
    retry_after: float | None = None
    record: Literal["step-result"] = "step-result"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSent:
    """Durable before the order leaves. Its idempotency key is (run, step, number): `number` counts the orders of one
    attempt from 1, and goes on where another attempt resumes it."""

    run: RunId
    step: StepId
    machine: MachineName
    fence: Fence
    number: int
    order: Order
    record: Literal["order-sent"] = "order-sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAnswered:
    """`shown` is what a read-back showed. With `lost` nobody knows whether it was done: the machine itself shows it."""

    run: RunId
    step: StepId
    machine: MachineName
    number: int
    shown: str = ""
    problem: Problem | None = None
    lost: bool = False
    record: Literal["order-answered"] = "order-answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerCommanded:
    """A power command from outside of any run; `boots` marks those after which a machine starts from its firmware."""

    machine: MachineName
    command: str
    boots: bool
    record: Literal["power-commanded"] = "power-commanded"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityRead:
    machine: MachineName
    identity: SystemIdentity
    record: Literal["identity-read"] = "identity-read"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressLeased:
    machine: MachineName
    address: IPv4Address
    record: Literal["address-leased"] = "address-leased"


@dataclass(frozen=True, slots=True, kw_only=True)
class BootSeen:
    machine: MachineName
    stage: BootStage
    detail: str
    record: Literal["boot-seen"] = "boot-seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class HelloSeen:
    machine: MachineName
    nonce: Nonce
    boot_id: str
    firmware: Firmware
    detail: str
    record: Literal["hello-seen"] = "hello-seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsReceived:
    """`raw_sha256` names the agent's own document, kept beside the database."""

    machine: MachineName
    nonce: Nonce
    facts: HardwareFacts
    raw_sha256: str
    record: Literal["facts-received"] = "facts-received"


class InstallerStage(Enum):
    """What an installer says of itself: it fetched its answers, was let at the disk, works, gave up, or is done."""

    ANSWERS = "answers"
    DISK = "disk"
    WORD = "word"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallerSeen:
    machine: MachineName
    nonce: Nonce
    stage: InstallerStage
    detail: str
    record: Literal["installer-seen"] = "installer-seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstBootSeen:
    machine: MachineName
    nonce: Nonce
    boot_id: str
    hostname: str
    serial: str
    address: IPv4Address
    host_keys: tuple[str, ...]
    record: Literal["first-boot-seen"] = "first-boot-seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldPlaced:
    machine: MachineName
    reason: str
    by: str = ""
    record: Literal["hold-placed"] = "hold-placed"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldReleased:
    machine: MachineName
    by: str = ""
    record: Literal["hold-released"] = "hold-released"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSilent:
    """An active machine does not answer any more."""

    machine: MachineName
    text: str
    record: Literal["machine-silent"] = "machine-silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineAnswers:
    machine: MachineName
    record: Literal["machine-answers"] = "machine-answers"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineStrayed:
    machine: MachineName
    stray: Stray
    text: str
    record: Literal["machine-strayed"] = "machine-strayed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Worth a line in the timeline, changes nothing."""

    machine: MachineName
    kind: str
    text: str
    record: Literal["noted"] = "noted"


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentNoted:
    """Of the boot network, not of one machine: a rival DHCP server, a pool that runs full."""

    kind: str
    text: str
    record: Literal["segment-noted"] = "segment-noted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplianceNoted:
    """Of the appliance itself: a version was tried, and `kept` or not."""

    text: str
    kept: bool
    record: Literal["appliance-noted"] = "appliance-noted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNoted:
    """Of a cluster as a whole. `refused`: somebody asked of it what was not his."""

    cluster: ClusterName
    text: str
    refused: bool
    record: Literal["cluster-noted"] = "cluster-noted"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookGaveUp:
    """So many events from `first` to `last` (entry numbers), too old to be tried on, will never reach the hook."""

    hook: str
    first: int
    last: int
    events: int
    record: Literal["webhook-gave-up"] = "webhook-gave-up"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHonoured:
    """In the same commit as what a request did: a daemon that died before it answered does not do it again.

    `key` names the request, `print` what it asked for; `location` shows what came of it, `status` is what to answer.
    """

    key: str
    print: str
    location: str
    status: int
    record: Literal["request-honoured"] = "request-honoured"


RunRecord = (
    RunStarted
    | RunPaused
    | RunResumed
    | RunEnded
    | MachineSetAside
    | MachineRetried
    | StepIntent
    | StepResult
    | OrderSent
    | OrderAnswered
)

GoalRecord = GoalSet | GoalAsked | GoalEnded

Observation = (
    PowerCommanded
    | IdentityRead
    | AddressLeased
    | BootSeen
    | HelloSeen
    | IdentityRecord
    | FactsReceived
    | InstallerSeen
    | FirstBootSeen
    | HoldPlaced
    | HoldReleased
    | MachineSilent
    | MachineAnswers
    | MachineStrayed
    | Noted
)
"""Concerns one machine, whether or not a run works on it."""

OfTheSite = SegmentNoted | WebhookGaveUp | ApplianceNoted | ClusterNoted
"""Worth a line in the timeline; concerns no machine and changes nothing."""

Record = PlanStored | GoalRecord | RunRecord | Observation | OfTheSite | SetRecord | RequestHonoured

RECORD_KINDS: tuple[str, ...] = tuple(sorted(kind.__dataclass_fields__["record"].default for kind in get_args(Record)))
"""What the log tells entries apart by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The form in which a record is stored: JSON told apart by its `record` field."""

    record: Annotated[Record, Field(discriminator="record")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`seq` rises by one, `time` is in seconds since the epoch."""

    seq: int
    time: float
    record: Record


def machine_of(record: Record) -> MachineName | None:
    match record:
        case PlanStored() | RunStarted() | RunPaused() | RunResumed() | RunEnded():
            return None
        case SegmentNoted() | WebhookGaveUp() | ApplianceNoted() | ClusterNoted() | RequestHonoured():
            return None
        case SetKept() | SetDropped():
            return None
        case GoalSet() | GoalAsked():
            return None
        case _:
            return record.machine


def run_of(record: Record) -> RunId | None:
    return record.run if isinstance(record, RunRecord) else None
