"""What the REST API says, as values: the daemon renders them, every front-end parses them.

Times are seconds since the epoch, durations and stages seconds, sizes bytes.
"""

from dataclasses import dataclass, field
from enum import Enum

from appliance.model.cluster_views import MemberView
from appliance.model.doctor import Check
from appliance.model.goal import Consent
from appliance.model.phase import Condition, Phase
from appliance.model.place import Place
from appliance.model.words import Errand as Errand
from appliance.model.words import GoalState as GoalState
from appliance.model.words import PowerAction as PowerAction
from appliance.model.words import RunState as RunState


class EventOrder(Enum):
    OLDEST = "oldest"
    NEWEST = "newest"


class StepState(Enum):
    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """`waiting` says in one sentence what the step waits for, empty when it does not wait; `deadline` is when it will
    do something else (seconds since the epoch), `usual` how long 95 of 100 steps like it took on this model."""

    id: str
    machine: str
    score: str
    summary: str
    kind: str
    budget: float
    needs: tuple[str, ...] = ()
    state: StepState = StepState.PENDING
    fence: int = 0
    started: float | None = None
    ended: float | None = None
    waiting: str = ""
    deadline: float | None = None
    usual: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressView:
    """`rate` in bytes per second, `eta` in seconds; both None until known."""

    done: int
    total: int
    rate: float | None = None
    eta: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceView:
    what: str
    time: float
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseView:
    phase: Phase
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateView:
    """A disk that was wiped, and what was read back to prove it; `findings` are the agent's, by name."""

    serial: str
    wwn: str
    size_bytes: int
    time: float
    run: str
    findings: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedView:
    """An application on a container host, in the version that was seen to be well `since` then."""

    name: str
    version: str
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskView:
    """`contents` is what was on it when it was looked at: "blank", "gpt:<disk guid>", "ext4:<uuid>", ..."""

    name: str
    serial: str
    wwn: str
    size_bytes: int
    model: str
    rotational: bool
    contents: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkView:
    """A NIC, and the switch and port at its other end where LLDP told them; `speed_mbps` None where there is no link or
    the driver does not say. `nic` is "" for a neighbour that was heard while nobody knows by which of several NICs."""

    nic: str
    mac: str = ""
    up: bool = True
    speed_mbps: int | None = None
    switch: str = ""
    port: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityView:
    """On which rung (L0 to L3) of the identity ladder a machine stands, why, and what would raise it.

    `secrets`: it may have its own; `wanted` is the rung from which on. `code`: the six digits that its console shows
    until `code_until` (seconds since the epoch), to be compared by a person; empty where there are none.
    """

    rung: str
    why: str
    higher: str = ""
    secrets: bool = False
    wanted: str = ""
    code: str = ""
    code_until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineView:
    """`stages` maps dhcp, tftp, script, hello, written, first_boot, ssh to seconds from power-on (None: not seen).

    `bmc` is the address of its BMC. `macs`, `cores`, `memory_bytes`, `disks` and `links` are empty or None until the
    hardware is known. `run` is the run that still has something to do with it, "" for none. `step` is the
    `step_number`th (from 1) of the `step_count` steps that its run has for this machine. `member`: of a cluster.
    `applications` are those of a container host.
    """

    name: str
    phase: Phase
    since: float
    serial: str = ""
    uuid: str = ""
    address: str = ""
    product: str = ""
    conditions: tuple[Condition, ...] = ()
    step: StepView | None = None
    progress: ProgressView | None = None
    stages: dict[str, float | None] = field(default_factory=dict)
    phases: tuple[PhaseView, ...] = ()
    evidence: tuple[EvidenceView, ...] = ()
    role: str = ""
    spare_of: str = ""
    certificates: tuple[CertificateView, ...] = ()
    place: Place | None = None
    run: str = ""
    bmc: str = ""
    macs: tuple[str, ...] = ()
    cores: int | None = None
    memory_bytes: int | None = None
    disks: tuple[DiskView, ...] = ()
    links: tuple[LinkView, ...] = ()
    step_number: int = 0
    step_count: int = 0
    identity: IdentityView | None = None
    member: MemberView | None = None
    applications: tuple[HostedView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainLine:
    """One link of the chain of causes: what is so, since when, what shows it, and what happens next by itself or has
    to be done. `kind`: phase, step, wait, condition, run, role, member, next."""

    kind: str
    text: str
    since: float | None = None
    evidence: str = ""
    next_action: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainView:
    """Why a machine is where it is: `verdict` in one sentence, then the chain that leads to it."""

    machine: str
    verdict: str
    lines: tuple[ExplainLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentView:
    """A trouble of the boot network that goes on. `subject` is the server or network that it is about, or ""."""

    kind: str
    subject: str
    text: str
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MachinesView:
    """In the order of their names. `next` is the cursor of the next page, "" when this is the last. `last` is the event
    up to which it is true: what happens later is in the events after it."""

    machines: tuple[MachineView, ...]
    segment: tuple[SegmentView, ...] = ()
    next: str = ""
    last: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryView:
    """How many machines there are, by the one word that screens show and by phase; what none has counts 0."""

    total: int
    states: dict[str, int]
    phases: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeferredView:
    score: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleView:
    """A machine's role, or with `spare` the role that it stands by for, or "" for neither; `why` is one sentence."""

    machine: str
    role: str
    spare: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlookView:
    """How long `steps` that are not done take together. Each counts with the time in which 95 of 100 like it were done;
    of these `borrowed` were timed on other models only. `untimed` steps were never timed here: they count nothing in
    `seconds`, and their whole budget in `allowed`. `until` is when a run that goes on is done, after `seconds`."""

    seconds: float
    allowed: float
    steps: int
    untimed: int = 0
    borrowed: int = 0
    until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """`digest` names the plan: whoever approves it approves exactly these steps. `purpose` is "provision the site" or
    the errand and its machine. `missing` says of each role that cannot be filled what it lacks. `outlook` is None
    where there is no step."""

    digest: str
    site: str
    steps: tuple[StepView, ...]
    deferred: tuple[DeferredView, ...]
    purpose: str = ""
    roles: tuple[RoleView, ...] = ()
    missing: tuple[str, ...] = ()
    outlook: OutlookView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """`paused` is why no machine begins a step now, empty while they may; `canary` goes first, then at most `at_once`
    machines are under way (0: no limit). `set_aside` are machines that were taken out, with the reason. `by`
    approved the plan, `paused_by` paused the run, "" where the appliance did. `goal` is what it is one step
    of, "" for none. `outlook` is of what is left, None where nothing is."""

    id: str
    plan: str
    state: RunState
    started: float
    ended: float | None
    steps: tuple[StepView, ...]
    paused: str = ""
    canary: tuple[str, ...] = ()
    at_once: int = 0
    rollout: str = ""
    set_aside: dict[str, str] = field(default_factory=dict)
    by: str = ""
    paused_by: str = ""
    goal: str = ""
    outlook: OutlookView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummaryView:
    """`machines` counts those of the plan, `settled` those with nothing more to do, `failed` those that ended badly."""

    id: str
    plan: str
    state: RunState
    started: float
    ended: float | None
    paused: str = ""
    machines: int = 0
    settled: int = 0
    failed: int = 0
    by: str = ""
    paused_by: str = ""
    goal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsView:
    """Latest first. `next` is the cursor of the next page, "" when this is the last."""

    runs: tuple[RunSummaryView, ...]
    next: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TroubleView:
    """Why something came to nothing, in the words of the error."""

    code: str
    message: str
    evidence: str = ""
    next_action: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalView:
    """What is wanted over several plans, each made by the daemon when the run before it is done. `runs` in the order in
    which they began. `plan` is the digest of the plan that waits for approval, or of the last that was made, or "".
    `why` it waits, where the plan is covered by the consent: what the doctor found."""

    id: str
    purpose: str
    state: GoalState
    consent: Consent
    since: float
    by: str = ""
    ended: float | None = None
    runs: tuple[str, ...] = ()
    plan: str = ""
    trouble: TroubleView | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalsView:
    """Latest first."""

    goals: tuple[GoalView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    seq: int
    time: float
    machine: str
    run: str
    kind: str
    text: str
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsView:
    """In order of `seq`, or the latest first where those were asked for. `last` is what to ask after next time: it
    may be behind events that were not wanted."""

    events: tuple[EventView, ...]
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellView:
    """How to reach a machine by SSH; `host_keys` are OpenSSH public key lines."""

    machine: str
    user: str
    address: str
    port: int
    host_keys: tuple[str, ...]
    identity_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthView:
    """`fingerprint` is the SHA-256 of the API's certificate, hex, "" where it has no TCP listener; `urls` are those of
    that listener, as people type them into a browser."""

    version: str
    ready: bool
    started: float
    rss_bytes: int
    site: str
    fingerprint: str = ""
    urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemView:
    """RFC 9457 problem details: `type` is its page, `/docs/errors/CODE`. `trace_id` is in the daemon's log, too."""

    type: str
    title: str
    status: int
    detail: str = ""
    code: str = ""
    evidence: str = ""
    next_action: str = ""
    trace_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotView:
    """A copy of the record log on the daemon's own disk, up to its entry `records`."""

    file: str
    site: str
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyRequest:
    """Without `then` this plan is approved and no other; with it the daemon goes on when the plan's run is done.
    `despite`: it begins although these checks of the doctor find failures."""

    digest: str
    then: Consent | None = None
    despite: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerRequest:
    action: PowerAction


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrandRequest:
    errand: Errand


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRequest:
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMachineRequest:
    """A machine of a run, to be tried again or to be set aside; `reason` for the latter."""

    machine: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmRequest:
    """`code`: the six digits on the machine's own console."""

    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRequest:
    reason: str
