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
    FORCE_RESTART = "force-restart"
    CYCLE = "cycle"
    NMI = "nmi"


class BootTarget(Enum):
    """Boot source override target (DSP0268, ComputerSystem.Boot)."""

    NONE = "none"
    NETWORK = "network"
    DISK = "disk"
    CD = "cd"
    FIRMWARE_SETUP = "firmware-setup"


@dataclass(frozen=True, slots=True, kw_only=True)
class BmcEndpoint:
    """`url` is https://address[:port]; `fingerprint` is the SHA-256 of its certificate (DER), hex, 64 digits."""

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
