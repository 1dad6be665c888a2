"""What the REST API says of BMCs and of the vault, as values; see `appliance.model.views`."""

from dataclasses import dataclass, field
from enum import Enum

from appliance.model.bmc import Health, SensorKind


class LoginState(Enum):
    UNTRIED = "untried"
    WORKS = "works"
    FAILED = "failed"


class VaultScope(Enum):
    """For which BMCs an entry of the vault is; the closest is tried first."""

    MAC = "mac"
    SERIAL = "serial"
    MAKE = "make"
    SITE = "site"
    FACTORY = "factory"


@dataclass(frozen=True, slots=True, kw_only=True)
class BmcView:
    """`machine` is its name in the site program, "" where it has none there. `fingerprint` is the SHA-256 of the
    certificate that it showed, hex, "" with IPMI. `must_change`: everybody knows its password, or it wants another.
    `problem` says in one sentence what keeps us out."""

    url: str
    machine: str
    make: str
    mac: str
    fingerprint: str
    login: LoginState
    user: str = ""
    must_change: bool = False
    serial: str = ""
    product: str = ""
    problem: str = ""
    evidence: str = ""
    next_action: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BmcsView:
    """What the last search found, or has found so far; `problem` is what ended it early."""

    searching: bool
    bmcs: tuple[BmcView, ...]
    problem: str = ""
    evidence: str = ""
    next_action: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorView:
    """`reading` is None where the sensor gives none now; `unit` in UCUM: Cel, {rev}/min, W, V, A, %."""

    name: str
    kind: SensorKind
    reading: float | None
    unit: str
    health: Health


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorsView:
    """What the machine's BMC measured at `read` (seconds since the epoch), in its order."""

    machine: str
    read: float
    sensors: tuple[SensorView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultEntryView:
    scope: VaultScope
    value: str
    user: str
    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultView:
    """In the order they were given."""

    entries: tuple[VaultEntryView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BmcSearchRequest:
    """`targets` are networks, addresses and URLs of BMCs, `stated` a list of BMCs (one a line). With neither, the
    segments of our addresses `ours` are searched (SSDP; [] means the boot network), and what asked us for an address by
    DHCP. `login`: also log in."""

    targets: tuple[str, ...] = ()
    stated: str = ""
    ours: tuple[str, ...] = ()
    login: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BmcRequest:
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultEntryRequest:
    """`value` is the MAC, the serial number or the make; "" with the scope `site`."""

    scope: VaultScope
    value: str
    user: str
    password: str = field(repr=False)
    priority: int = 0
