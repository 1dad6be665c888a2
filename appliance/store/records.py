"""What the appliance remembers: one append-only sequence of records, from which everything else is folded.

Facts (what was observed), intents (what people and plans want) and the conductor's journal share the sequence, so
that their order is never in doubt. A record is never edited. `appliance.conductor.world` folds them.
"""

from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address
from typing import Annotated, Literal

from pydantic import Field

from appliance.model.bmc import SystemIdentity
from appliance.model.hardware import Firmware, HardwareFacts
from appliance.model.ids import Fence, MachineName, Nonce, PlanDigest, RunId, StepId
from appliance.model.views import RunState
from appliance.plan import Plan, StepKind


class BootStage(Enum):
    """The rungs of a boot that leave evidence of their own.

    `SYSTEM` is an operating system that looks for an address, as one does when it starts; `LEASE` one that got or
    renewed one: it runs, and nobody knows since when.
    """

    DHCP = "dhcp"
    TFTP = "tftp"
    SCRIPT = "script"
    SYSTEM = "system"
    LEASE = "lease"


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
    run: RunId
    plan: PlanDigest
    record: Literal["run-started"] = "run-started"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    run: RunId
    state: RunState
    record: Literal["run-ended"] = "run-ended"


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
class PowerCommanded:
    """`boots` marks the commands after which the machine starts from its firmware."""

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
    record: Literal["hold-placed"] = "hold-placed"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldReleased:
    machine: MachineName
    record: Literal["hold-released"] = "hold-released"


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


Record = (
    PlanStored
    | RunStarted
    | RunEnded
    | StepIntent
    | StepResult
    | PowerCommanded
    | IdentityRead
    | AddressLeased
    | BootSeen
    | HelloSeen
    | FactsReceived
    | FirstBootSeen
    | HoldPlaced
    | HoldReleased
    | Noted
    | SegmentNoted
)


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
        case PlanStored() | RunStarted() | RunEnded() | SegmentNoted():
            return None
        case _:
            return record.machine


def run_of(record: Record) -> RunId | None:
    match record:
        case RunStarted() | RunEnded() | StepIntent() | StepResult():
            return record.run
        case _:
            return None
