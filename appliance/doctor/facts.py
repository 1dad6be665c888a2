"""What was found out, before anybody says what it means. Text in here is as it came: a finding cleans it."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address

from appliance.doctor.sighting import Bpdu, Lacpdu, Neighbour, Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """Who serves DHCP. `own` are the server identifiers that we answer with; `told` is what the boot services have
    said themselves of other servers, `passive` that they answer nothing for it."""

    gives_addresses: bool
    device: str
    own: frozenset[str]
    offers: tuple[Offer, ...] = ()
    told: tuple[str, ...] = ()
    passive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who answered for an address by ARP: `macs`, sorted. `machine` is whose reservation it is, "" for our own address;
    `known` the hardware addresses that it may have."""

    address: IPv4Address
    macs: tuple[str, ...] = ()
    machine: str = ""
    known: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """`speed` in Mbit/s, None where the driver does not tell; `full_duplex` too. `vlan` is that of a VLAN device.
    A `bridge` has a link while one of its ports has."""

    device: str
    up: bool
    carrier: bool
    mtu: int
    speed: int | None = None
    full_duplex: bool | None = None
    vlan: int | None = None
    bridge: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """What switches said on the boot NIC lately. `listened`: for how many seconds; `problem`: why nobody listens."""

    listened: float = 0.0
    problem: str = ""
    bpdus: tuple[Bpdu, ...] = ()
    lacpdus: tuple[Lacpdu, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A time server. `ahead`: how many seconds it is ahead of our clock, give or take `delay`; `problem` is why it said
    nothing usable, "" where it did."""

    name: str
    ahead: float = 0.0
    delay: float = 0.0
    stratum: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """`now` in seconds since the epoch. `synchronised` is the kernel's word (adjtimex(2)), None where it has none.
    `others`: how many seconds the clock of each machine's BMC is ahead of ours. `sources` are the time servers that
    this computer follows, and those that the site program states."""

    now: float
    synchronised: bool | None
    others: dict[str, float] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A file system, as statvfs(3) shows it to us; `problem` is why it does not. No inodes: it has no such limit.
    `kept`: the daemon writes there, and does not only read. `encrypted` is None where that cannot be seen: on no block
    device of this machine."""

    name: str
    path: str
    kept: bool = True
    size: int = 0
    free: int = 0
    inodes: int = 0
    free_inodes: int = 0
    read_only: bool = False
    encrypted: bool | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A file of the artefact store: `found` is its SHA-256, "" where it cannot be read, and then `problem` says why."""

    name: str
    path: str
    expected: str
    found: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """`wanted` are the images that the site program names, `offered` those in the store; `files` what machines get."""

    wanted: frozenset[str]
    offered: frozenset[str]
    files: tuple[Stored, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Of a machine's BMC. `problem` is "" where a log-in worked; `login`: it answers, and does not let us in."""

    machine: str
    url: str
    problem: str = ""
    evidence: str = ""
    next_action: str = ""
    login: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """What our own service handed out as `url`: hashes of what was expected and what came, "" where nothing did."""

    url: str
    expected: str
    found: str = ""
    size: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A program that the appliance runs for clusters. `running_since` in seconds since the epoch, None while it does
    not; `ends`: how often it has ended since the daemon started, `last` is what it said then."""

    name: str
    running_since: float | None
    ends: int
    last: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An artifact set, and what of it was missing or changed when it was last looked at; None for never."""

    name: str
    provenance: str
    gaps: tuple[str, ...] | None
