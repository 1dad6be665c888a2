"""Plans: immutable graphs of steps with no choices left, shown, approved by digest, journaled, executed.

Rules
* A plan holds no secret and no handle: it can be printed, stored and compared as text.
* Each action names what it touches by what cannot move: a machine's name, a disk's serial and WWN, an image's hash.
* `digest` is the SHA-256 of the canonical JSON of the steps; approving a plan is approving its digest.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from heapq import heapify, heappop, heappush
from typing import Annotated, Literal

from pydantic import Field

from appliance.errors import PlanError
from appliance.model.bmc import PowerCommand
from appliance.model.cloud_init import CloudDocuments
from appliance.model.codec import to_json
from appliance.model.hardware import Disk
from appliance.model.ids import ImageName, MachineName, PlanDigest, StepId
from appliance.model.links import MachineNetwork
from appliance.model.okd import OkdSpec
from appliance.model.on_clusters import OnClusters
from appliance.model.seed_secret import SeedSecret
from appliance.model.step import STEPS, StepKind
from appliance.model.views import Errand
from images.agent.protocol import WipeLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRef:
    """An OS image in the artefact store: hashes are SHA-256, `raw_bytes` is its size on the disk."""

    name: ImageName
    manifest_sha256: str
    blob_sha256: str
    raw_bytes: int


class AnswerKind(Enum):
    """In which form an installer is told what it would ask."""

    PRESEED = "preseed"
    """debian-installer (Debian installation guide, appendix B)."""
    IGNITION = "ignition"
    """Ignition (coreos/ignition), on an image that is on the disk already."""
    SCOS = "scos"
    """The live system of SCOS, whose coreos-installer writes itself; what it becomes says Ignition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallerRef:
    """A kernel and a ramdisk that install an OS by themselves, and what they fetch for it. Hashes are SHA-256.

    `files_sha256` is that of the list of these files, `raw_bytes` the smallest disk that will do,
    `kernel_package` the package of the kernel, for installers that have to be told."""

    name: ImageName
    answers: AnswerKind
    kernel_sha256: str
    initrd_sha256: str
    files_sha256: str
    raw_bytes: int
    kernel_package: str = ""


OsRef = ImageRef | InstallerRef
"""What can be installed: it says by itself which way it comes to the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRef:
    """A config of the site program, which may hold secrets: `summary` says what it is about and holds none."""

    sha256: str
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskRef:
    """A disk as the facts showed it. `contents` is what may be destroyed: anything else found there stops the step."""

    serial: str
    wwn: str
    size_bytes: int
    contents: str

    @classmethod
    def of(cls, disk: Disk) -> "DiskRef":
        return cls(serial=disk.serial, wwn=disk.wwn, size_bytes=disk.size_bytes, contents=disk.contents)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellCheck:
    """`argv` runs on the installed system; its output, stripped, must be `expected` (empty: any output, status 0)."""

    name: str
    argv: tuple[str, ...]
    expected: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrol:
    action: Literal["enrol"] = "enrol"


@dataclass(frozen=True, slots=True, kw_only=True)
class BootAgent:
    action: Literal["boot-agent"] = "boot-agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspect:
    action: Literal["inspect"] = "inspect"


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteImage:
    image: ImageRef
    disk: DiskRef
    action: Literal["write-image"] = "write-image"


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSeed:
    """Host name, keys and network of the installed system, in NoCloud form on a partition labelled CIDATA.

    Without `network`, DHCP on every port. Without it, `cloud_init` and `secrets` its JSON, and so a plan's digest, is
    what it was before there were any: logs hold such plans."""

    disk: DiskRef
    hostname: str
    domain: str
    authorized_keys: tuple[str, ...]
    cloud_init: Annotated[CloudDocuments | None, Field(exclude_if=lambda said: said is None)] = None
    network: Annotated[MachineNetwork | None, Field(exclude_if=lambda stated: stated is None)] = None
    secrets: Annotated[tuple[SeedSecret, ...], Field(exclude_if=lambda named: not named)] = ()
    action: Literal["write-seed"] = "write-seed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInstaller:
    """The installer is booted from the network and writes to this disk alone, answered for this machine.

    It asks before it writes; disk and contents are judged then. One that comes after an image changes only what that
    image brought. `configs` are what Ignition is told, later ones counting more; `okd` is the cluster that the machine
    is installed for."""

    installer: InstallerRef
    disk: DiskRef
    hostname: str
    domain: str
    authorized_keys: tuple[str, ...]
    configs: Annotated[tuple[ConfigRef, ...], Field(exclude_if=lambda said: not said)] = ()
    okd: Annotated[OkdSpec | None, Field(exclude_if=lambda said: said is None)] = None
    action: Literal["run-installer"] = "run-installer"


@dataclass(frozen=True, slots=True, kw_only=True)
class BootDisk:
    """`by_itself`: what installed it restarts the machine, and no agent has to."""

    disk: DiskRef
    image: OsRef
    by_itself: Annotated[bool, Field(exclude_if=lambda said: not said)] = False
    action: Literal["boot-disk"] = "boot-disk"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmShell:
    user: str
    checks: tuple[ShellCheck, ...]
    action: Literal["confirm-shell"] = "confirm-shell"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPower:
    command: PowerCommand
    action: Literal["set-power"] = "set-power"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """`hook` runs on the machine before it is taken out of service."""

    user: str
    hook: ShellCheck
    action: Literal["drain"] = "drain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wipe:
    disk: DiskRef
    level: WipeLevel
    action: Literal["wipe"] = "wipe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescue:
    """An SSH server in the ramdisk."""

    authorized_keys: tuple[str, ...]
    action: Literal["rescue"] = "rescue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retire:
    """Off, and nothing of it left where machines are served: lease, name, boot intent, BMC log-in."""

    action: Literal["retire"] = "retire"


Action = (
    Enrol
    | BootAgent
    | Inspect
    | WriteImage
    | WriteSeed
    | RunInstaller
    | BootDisk
    | ConfirmShell
    | SetPower
    | Drain
    | Wipe
    | Rescue
    | Retire
    | OnClusters
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`budget` in seconds is a hard stop; `needs` are steps that must be done before."""

    id: StepId
    machine: MachineName
    score: str
    summary: str
    do: Action
    budget: float
    needs: tuple[StepId, ...] = ()

    def __post_init__(self) -> None:
        # 600 and 600.0 are equal but differ in JSON: the digest of a stored plan must be that of the approved one.
        object.__setattr__(self, "budget", float(self.budget))

    @property
    def kind(self) -> StepKind:
        return STEPS[self.do.action].kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """A score that cannot be planned yet, and why: it is planned again when the facts are there."""

    score: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """What the plan is for: an errand of one machine, or all that the site program wants. An errand without a machine
    is that of the whole site: `DECOMMISSION` alone is."""

    errand: Errand | None = None
    machine: MachineName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleChoice:
    """`role` is "" for a machine without one; with `spare` it stands by for that role. `why` is one sentence."""

    machine: MachineName
    role: str
    spare: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`roles` count from the moment that the run starts; `missing` says what no step reaches: of each role that is not
    filled what it lacks, and which machines have another network than they shall."""

    site: str
    steps: tuple[Step, ...] = ()
    deferred: tuple[Deferred, ...] = ()
    purpose: Purpose = field(default_factory=Purpose)
    roles: tuple[RoleChoice, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def digest(self) -> PlanDigest:
        """Of a plan without purpose, roles and lacks it is what it was before plans had these: logs hold such plans."""
        plain = self.purpose == Purpose() and not self.roles and not self.missing
        whole = _Plain(site=self.site, steps=self.steps, deferred=self.deferred) if plain else self
        return PlanDigest(hashlib.sha256(to_json(whole)).hexdigest())

    def step(self, step_id: StepId) -> Step:
        """A walk over all steps; whoever asks often keeps a `PlanIndex`."""
        return next(step for step in self.steps if step.id == step_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plain:
    site: str
    steps: tuple[Step, ...]
    deferred: tuple[Deferred, ...]


@dataclass(frozen=True, slots=True)
class PlanIndex:
    """The same steps by id, by machine (in the order of the plan), and by the step that they need.

    `neighbours` of a machine are the other machines that have steps which need one of its own."""

    by_id: Mapping[StepId, Step]
    by_machine: Mapping[MachineName, tuple[Step, ...]]
    waiters: Mapping[StepId, tuple[Step, ...]]
    neighbours: Mapping[MachineName, tuple[MachineName, ...]]

    @classmethod
    def of(cls, plan: Plan) -> "PlanIndex":
        by_machine: dict[MachineName, list[Step]] = {}
        waiters: dict[StepId, list[Step]] = {}
        for step in plan.steps:
            by_machine.setdefault(step.machine, []).append(step)
            for need in step.needs:
                waiters.setdefault(need, []).append(step)
        return cls(
            {step.id: step for step in plan.steps},
            {name: tuple(steps) for name, steps in by_machine.items()},
            {need: tuple(steps) for need, steps in waiters.items()},
            _neighbours(plan.steps, waiters),
        )

    def behind(self, step: StepId) -> Iterator[Step]:
        """All that needs it, however far round; each once."""
        seen, open_ = {step}, [step]
        while open_:
            for waiter in self.waiters.get(open_.pop(), ()):
                if waiter.id not in seen:
                    seen.add(waiter.id)
                    open_.append(waiter.id)
                    yield waiter


def _neighbours(
    steps: Iterable[Step], waiters: Mapping[StepId, Sequence[Step]]
) -> dict[MachineName, tuple[MachineName, ...]]:
    found: dict[MachineName, dict[MachineName, None]] = {}
    for step in steps:
        for waiter in waiters.get(step.id, ()):
            if waiter.machine != step.machine:
                found.setdefault(step.machine, {})[waiter.machine] = None
    return {name: tuple(others) for name, others in found.items()}


def merge(site: str, plans: Iterable[Plan]) -> Plan:
    """One plan out of one per score; steps stand in the order that their needs demand, whatever that of the list."""
    parts = tuple(plans)
    steps = tuple(step for part in parts for step in part.steps)
    deferred = sorted((d for part in parts for d in part.deferred), key=lambda d: (d.score, d.reason))
    plan = check(Plan(site=site, steps=steps, deferred=tuple(deferred)))
    return replace(plan, steps=_in_order(plan.steps))


def check(plan: Plan) -> Plan:
    """Raises `PlanError` unless ids are unique, every need exists and nothing needs itself, however far round."""
    known = {step.id for step in plan.steps}
    if len(known) != len(plan.steps):
        raise PlanError(f"{plan.site}: two steps share an id", next_action="report this score as faulty")
    for step in plan.steps:
        if missing := set(step.needs) - known:
            raise PlanError(
                f"step {step.id} needs {', '.join(sorted(missing))}, which no score plans",
                next_action="add the score that makes it, or remove the one that needs it",
            )
    _refuse_cycles(plan.steps)
    return plan


def _refuse_cycles(steps: tuple[Step, ...]) -> None:
    waiting = {step.id: set(step.needs) for step in steps}
    while ready := {step_id for step_id, needs in waiting.items() if not needs}:
        waiting = {i: needs - ready for i, needs in waiting.items() if i not in ready}
    if waiting:
        raise PlanError(
            f"steps wait for each other in a circle: {', '.join(sorted(waiting))}",
            next_action="remove one of the needs",
        )


def _in_order(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """A step after its needs; of those free to come next, the first by machine and id."""
    by_id = {step.id: step for step in steps}
    unmet = {step.id: len(set(step.needs)) for step in steps}
    waiters: dict[StepId, list[Step]] = {step.id: [] for step in steps}
    for step in steps:
        for need in set(step.needs):
            waiters[need].append(step)
    free = [(step.machine, step.id) for step in steps if not step.needs]
    heapify(free)
    ordered: list[Step] = []
    while free:
        _, done = heappop(free)
        ordered.append(by_id[done])
        for step in waiters[done]:
            unmet[step.id] -= 1
            if not unmet[step.id]:
                heappush(free, (step.machine, step.id))
    return tuple(ordered)
