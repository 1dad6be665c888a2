"""What a BMC can be told and what it says; no protocol in here."""

from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from appliance.model.secret import Secret
from pxe.client import Mac


class PowerState(Enum):
    ON = "on"
    OFF = "off"
    CHANGING = "changing"
    UNKNOWN = "unknown"


class PowerCommand(Enum):
    ON = "on"
    GRACEFUL_OFF = "graceful-off"
    FORCE_OFF = "force-off"
    GRACEFUL_RESTART = "graceful-restart"
    FORCE_RESTART = "force-restart"
    CYCLE = "cycle"
    NMI = "nmi"

    @property
    def boots(self) -> bool:
        """Whether the machine starts from its firmware afterwards."""
        return self in (
            PowerCommand.ON,
            PowerCommand.GRACEFUL_RESTART,
            PowerCommand.FORCE_RESTART,
            PowerCommand.CYCLE,
        )


class BootTarget(Enum):
    """Boot source override target (DSP0268, ComputerSystem.Boot)."""

    NONE = "none"
    NETWORK = "network"
    HTTP = "http"
    DISK = "disk"
    CD = "cd"
    USB = "usb"
    FIRMWARE_SETUP = "firmware-setup"


class BootTerm(Enum):
    """For how long an override counts."""

    DISABLED = "disabled"
    ONCE = "once"
    CONTINUOUS = "continuous"


class BootMode(Enum):
    UEFI = "uefi"
    LEGACY = "legacy"


@dataclass(frozen=True, slots=True, kw_only=True)
class BootOverride:
    """`mode` is None where the BMC does not say, or is to keep what it has. `http_uri` is for `BootTarget.HTTP`."""

    target: BootTarget
    term: BootTerm
    mode: BootMode | None = None
    http_uri: str = ""


class Health(Enum):
    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


class Indicator(Enum):
    """The identify LED."""

    OFF = "off"
    LIT = "lit"
    BLINKING = "blinking"
    UNKNOWN = "unknown"


class SensorKind(Enum):
    TEMPERATURE = "temperature"
    FAN = "fan"
    POWER = "power"
    VOLTAGE = "voltage"
    CURRENT = "current"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """`reading` is None where the sensor gives none now; `unit` in UCUM: Cel, {rev}/min, W, V, A, %."""

    name: str
    kind: SensorKind
    reading: float | None
    unit: str
    health: Health


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLogEntry:
    """One line of the system event log. `time` is in seconds since the epoch, by the BMC's own clock, None where it has
    none."""

    id: str
    time: float | None
    severity: Health
    message: str
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareItem:
    """`id` names it within its BMC."""

    id: str
    name: str
    version: str
    updateable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSlot:
    """A virtual drive. `image` is the URL in it, "" when it is empty."""

    id: str
    media_types: frozenset[str]
    image: str
    inserted: bool


class AccountRole(Enum):
    """DSP0266 section 13.8: predefined roles."""

    ADMINISTRATOR = "Administrator"
    OPERATOR = "Operator"
    READ_ONLY = "ReadOnly"


@dataclass(frozen=True, slots=True, kw_only=True)
class BmcEndpoint:
    """`url` is https://address[:port] for Redfish, ipmi://address[:port] for IPMI; `fingerprint` is the SHA-256 of the
    certificate (DER), hex, 64 digits, and "" with IPMI, which has none."""

    url: str
    user: str
    password: Secret
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemIdentity:
    """What the BMC says of the machine behind it. `path` is the Redfish URI of the system."""

    path: str
    uuid: UUID | None
    serial: str
    manufacturer: str
    product: str
    macs: tuple[Mac, ...]
    power: PowerState
