"""What the agent and its server say to each other: JSON over HTTP, parsed and encoded on both sides by this file.

    POST /agent/hello  Hello      -> 200 Welcome, 403 the nonce is refused
    POST /agent/facts  Facts      -> 204
    POST /agent/poll   Poll       -> 200 PollReply: heartbeat, report and work in one exchange
    POST /agent/log    text/plain -> 204, header `Innervate-Log-Offset`: where in the whole log the chunk starts

Every request carries `Innervate-Nonce`. A task's `fence` grows when its owner changes.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias

from .errors import ProtocolError
from .fields import Fields, Json, parse_json, write_json
from .keys import MAX_LINE, check_key

NONCE_HEADER = "Innervate-Nonce"
LOG_OFFSET_HEADER = "Innervate-Log-Offset"
MAX_MESSAGE = 256 << 10
MAX_FACTS = 16 << 20
MAX_KEYS = 32


class Firmware(StrEnum):
    UEFI = "uefi"
    BIOS = "bios"


class TaskState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class WipeLevel(StrEnum):
    """How much a disk forgets, and what is read back to prove it (NIST SP 800-88 rev. 1, section 2.5).

    `discard`: both ends are zeros and the device has dropped the rest; proven by a sample. Fast, for reuse by the same
    owner; not a sanitization. `erase`: every block that a host can address reads zeros. That is Clear, and Purge where
    the device's own sanitize or format did it. For a disk that leaves the house.
    """

    DISCARD = "discard"
    ERASE = "erase"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    uuid: str
    serial: str
    board_serial: str
    macs: tuple[str, ...]
    firmware: Firmware


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    boot_id: str
    agent_version: str
    evidence: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """`poll_after` in seconds."""

    machine: str
    poll_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFacts:
    """`contents` is a fingerprint of what is on it now, see `disks.fingerprint`; "" in a name: not known."""

    name: str
    path: str
    serial: str
    wwn: str
    size_bytes: int
    rotational: bool
    removable: bool
    model: str
    contents: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NicFacts:
    """`speed_mbps` is 0 without a link."""

    name: str
    mac: str
    driver: str
    speed_mbps: int
    carrier: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    model: str
    cores: int
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Raw output of the tools beside what the agent read itself; a tool that failed is named in `errors`."""

    boot_id: str
    lshw: Json
    lsblk: Json
    ip: Json
    routes: Json
    dmidecode: str
    lldp: tuple[str, ...]
    disks: tuple[DiskFacts, ...]
    nics: tuple[NicFacts, ...]
    memory_bytes: int
    cpu: Cpu
    errors: dict[str, str]
    lldp_nics: tuple[str, ...] = ()  # who heard each frame of `lldp`; older agents do not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Raw bytes, but for `fetched`: compressed bytes that came over the wire."""

    done: int = 0
    total: int = 0
    skipped: int = 0
    fetched: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    message: str
    evidence: str
    next_action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReport:
    id: str
    fence: int
    state: TaskState
    progress: Progress
    evidence: dict[str, str | int]
    error: Failure | None

    def __post_init__(self) -> None:
        if (self.error is not None) != (self.state is TaskState.FAILED):
            raise ProtocolError("a report has an error exactly if it failed", evidence=self.state)


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    boot_id: str
    task: TaskReport | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskName:
    """The one disk with this serial and WWN (at least one is known) and exactly this size."""

    serial: str
    wwn: str
    size_bytes: int

    def __post_init__(self) -> None:
        if not self.serial and not self.wwn:
            raise ProtocolError("a disk is named by neither serial nor WWN")


@dataclass(frozen=True, slots=True, kw_only=True)
class HashedFile:
    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobFile:
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedFile:
    path: str
    sha256: str
    size: int
    salt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspect:
    id: str
    fence: int
    do: Literal["inspect"] = field(default="inspect", init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteImage:
    """`expect_contents`: the fingerprint that the plan allows to be overwritten; a blank disk always may."""

    id: str
    fence: int
    manifest: HashedFile
    blob: BlobFile
    disk: DiskName
    expect_contents: str
    do: Literal["write_image"] = field(default="write_image", init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSeed:
    id: str
    fence: int
    disk: DiskName
    seed: SeedFile
    do: Literal["write_seed"] = field(default="write_seed", init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BootDisk:
    """`order`: who is told to start the disk first; the firmware is the only choice so far."""

    id: str
    fence: int
    disk: DiskName
    order: Literal["firmware"] = "firmware"
    do: Literal["boot_disk"] = field(default="boot_disk", init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wipe:
    """`expect_contents` as for WriteImage. Done once the disk read back as zeros; the evidence is its certificate."""

    id: str
    fence: int
    disk: DiskName
    expect_contents: str
    level: WipeLevel
    do: Literal["wipe"] = field(default="wipe", init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescue:
    """An SSH server in the ramdisk until it is left: keys only, as in `keys.check_key`. Done when it listens."""

    id: str
    fence: int
    authorized_keys: tuple[str, ...]
    user: Literal["root"] = "root"
    do: Literal["rescue"] = field(default="rescue", init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reboot:
    id: str
    fence: int
    do: Literal["reboot"] = field(default="reboot", init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerOff:
    id: str
    fence: int
    do: Literal["power_off"] = field(default="power_off", init=False)


Task: TypeAlias = Inspect | WriteImage | WriteSeed | BootDisk | Wipe | Rescue | Reboot | PowerOff


@dataclass(frozen=True, slots=True, kw_only=True)
class BadTask:
    """A task whose id and fence could be read, but not the rest: it is reported as failed."""

    id: str
    fence: int
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class PollReply:
    task: Task | None
    poll_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A PollReply as the agent reads it."""

    task: Task | BadTask | None
    poll_after: float


def encode(message: Hello | Welcome | Facts | Poll | PollReply) -> bytes:
    return write_json(message)


def parse_hello(data: bytes) -> Hello:
    """Raises ProtocolError, as all parsers here do."""
    fields = Fields(parse_json(data, limit=MAX_MESSAGE), "hello")
    evidence = fields.child("evidence")
    return Hello(
        boot_id=fields.text("boot_id", limit=64),
        agent_version=fields.text("agent_version", limit=64),
        evidence=Identity(
            uuid=evidence.text("uuid", limit=64),
            serial=evidence.text("serial", limit=256),
            board_serial=evidence.text("board_serial", limit=256),
            macs=evidence.texts("macs", limit=64),
            firmware=Firmware(evidence.choice("firmware", tuple(Firmware))),
        ),
    )


def parse_welcome(data: bytes) -> Welcome:
    fields = Fields(parse_json(data, limit=MAX_MESSAGE), "welcome")
    return Welcome(machine=fields.text("machine", limit=256), poll_after=fields.seconds("poll_after"))


def parse_facts(data: bytes) -> Facts:
    fields = Fields(parse_json(data, limit=MAX_FACTS), "facts")
    cpu, errors = fields.child("cpu"), fields.child("errors")
    return Facts(
        boot_id=fields.text("boot_id", limit=64),
        lshw=fields.json("lshw"),
        lsblk=fields.json("lsblk"),
        ip=fields.json("ip"),
        routes=fields.json("routes"),
        dmidecode=fields.text("dmidecode", limit=MAX_FACTS),
        lldp=fields.texts("lldp", limit=3000, count=64),
        disks=tuple(_parse_disk_facts(disk) for disk in fields.children("disks", count=1024)),
        nics=tuple(_parse_nic_facts(nic) for nic in fields.children("nics")),
        memory_bytes=fields.number("memory_bytes"),
        cpu=Cpu(model=cpu.text("model"), cores=cpu.number("cores"), threads=cpu.number("threads")),
        errors={name: errors.text(name, limit=4096) for name in fields.table("errors")},
        lldp_nics=fields.texts("lldp_nics", limit=32, count=64) if fields.has("lldp_nics") else (),
    )


def _parse_disk_facts(fields: Fields) -> DiskFacts:
    return DiskFacts(
        name=fields.text("name"),
        path=fields.text("path"),
        serial=fields.text("serial"),
        wwn=fields.text("wwn"),
        size_bytes=fields.number("size_bytes"),
        rotational=fields.flag("rotational"),
        removable=fields.flag("removable"),
        model=fields.text("model"),
        contents=fields.text("contents"),
    )


def _parse_nic_facts(fields: Fields) -> NicFacts:
    return NicFacts(
        name=fields.text("name"),
        mac=fields.text("mac"),
        driver=fields.text("driver"),
        speed_mbps=fields.number("speed_mbps"),
        carrier=fields.flag("carrier"),
    )


def parse_poll(data: bytes) -> Poll:
    fields = Fields(parse_json(data, limit=MAX_MESSAGE), "poll")
    task = None if fields.is_null("task") else _parse_report(fields.child("task"))
    return Poll(boot_id=fields.text("boot_id", limit=64), task=task)


def _parse_report(fields: Fields) -> TaskReport:
    progress = fields.child("progress")
    return TaskReport(
        id=fields.text("id", limit=256),
        fence=fields.number("fence"),
        state=TaskState(fields.choice("state", tuple(TaskState))),
        progress=Progress(
            done=progress.number("done"),
            total=progress.number("total"),
            skipped=progress.number("skipped"),
            fetched=progress.number("fetched"),
        ),
        evidence=_parse_evidence(fields),
        error=None if fields.is_null("error") else _parse_failure(fields.child("error")),
    )


def _parse_evidence(fields: Fields) -> dict[str, str | int]:
    evidence = fields.child("evidence")
    return {
        name: evidence.text(name, limit=4096) if isinstance(value, str) else evidence.number(name)
        for name, value in fields.table("evidence").items()
    }


def _parse_failure(fields: Fields) -> Failure:
    return Failure(
        message=fields.text("message", limit=4096),
        evidence=fields.text("evidence", limit=4096),
        next_action=fields.text("next_action", limit=4096),
    )


def parse_poll_reply(data: bytes) -> Offer:
    fields = Fields(parse_json(data, limit=MAX_MESSAGE), "reply")
    task = None if fields.is_null("task") else parse_task(fields.child("task"))
    return Offer(task=task, poll_after=fields.seconds("poll_after"))


def parse_task(fields: Fields) -> Task | BadTask:
    """Raises ProtocolError only if there is not even an id and a fence to report a failure for."""
    task, fence = fields.text("id", limit=256), fields.number("fence")
    try:
        return _parse_task(fields, task, fence)
    except ProtocolError as error:
        failure = Failure(message=str(error), evidence=error.evidence, next_action=_UPDATE)
        return BadTask(id=task, fence=fence, failure=failure)


_UPDATE = "Boot the machine again with the discovery ramdisk of this appliance's version."


def _parse_task(fields: Fields, task: str, fence: int) -> Task:
    match fields.text("do", limit=64):
        case "inspect":
            fields.only("id", "fence", "do")
            return Inspect(id=task, fence=fence)
        case "write_image":
            return _parse_write_image(fields, task, fence)
        case "write_seed":
            fields.only("id", "fence", "do", "disk", "seed")
            return WriteSeed(id=task, fence=fence, disk=_parse_disk(fields), seed=_parse_seed(fields))
        case "boot_disk":
            fields.only("id", "fence", "do", "disk", "order")
            fields.choice("order", ("firmware",))
            return BootDisk(id=task, fence=fence, disk=_parse_disk(fields))
        case "wipe":
            return _parse_wipe(fields, task, fence)
        case "rescue":
            fields.only("id", "fence", "do", "user", "authorized_keys")
            fields.choice("user", ("root",))
            return Rescue(id=task, fence=fence, authorized_keys=_parse_keys(fields))
        case "reboot":
            fields.only("id", "fence", "do")
            return Reboot(id=task, fence=fence)
        case "power_off":
            fields.only("id", "fence", "do")
            return PowerOff(id=task, fence=fence)
        case unknown:
            raise ProtocolError("this agent does not know how to do that", evidence=unknown)


def _parse_write_image(fields: Fields, task: str, fence: int) -> WriteImage:
    fields.only("id", "fence", "do", "manifest", "blob", "disk", "expect_contents")
    manifest = fields.child("manifest").only("path", "sha256")
    return WriteImage(
        id=task,
        fence=fence,
        manifest=HashedFile(path=manifest.path("path"), sha256=manifest.sha256("sha256")),
        blob=BlobFile(path=fields.child("blob").only("path").path("path")),
        disk=_parse_disk(fields),
        expect_contents=fields.text("expect_contents", limit=256),
    )


def _parse_wipe(fields: Fields, task: str, fence: int) -> Wipe:
    fields.only("id", "fence", "do", "disk", "expect_contents", "level")
    return Wipe(
        id=task,
        fence=fence,
        disk=_parse_disk(fields),
        expect_contents=fields.text("expect_contents", limit=256),
        level=WipeLevel(fields.choice("level", tuple(WipeLevel))),
    )


def _parse_keys(fields: Fields) -> tuple[str, ...]:
    keys = fields.texts("authorized_keys", limit=MAX_LINE, count=MAX_KEYS)
    if not keys:
        raise ProtocolError("no authorized key: nobody could enter")
    for key in keys:
        check_key(key)
    return keys


def _parse_disk(fields: Fields) -> DiskName:
    disk = fields.child("disk").only("serial", "wwn", "size_bytes")
    size = disk.number("size_bytes", low=1)
    return DiskName(serial=disk.text_or_empty("serial"), wwn=disk.text_or_empty("wwn"), size_bytes=size)


def _parse_seed(fields: Fields) -> SeedFile:
    seed = fields.child("seed").only("path", "sha256", "size", "salt")
    path, size = seed.path("path"), seed.number("size", low=1, high=64 << 20)
    return SeedFile(path=path, sha256=seed.sha256("sha256"), size=size, salt=seed.sha256("salt"))
