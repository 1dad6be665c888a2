"""What the service shows of a machine; no protocol in here. `appliance.model.bmc` has the words it shares with drivers.

Ids become segments of URIs: letters, digits, "-", "_" and "." only, and unique among their siblings.
"""

import re
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from appliance.model.bmc import BootMode, BootOverride, BootTarget, Health, Indicator, PowerCommand, PowerState
from pxe.client import Mac

_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


class ChassisType(Enum):
    RACK_MOUNT = "RackMount"
    BLADE = "Blade"
    STAND_ALONE = "StandAlone"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChassisView:
    type: ChassisType
    asset_tag: str = ""


class ManagerProtocol(Enum):
    REDFISH = "Redfish"
    IPMI = "IPMI"


class ConsoleType(Enum):
    """How the serial console is reached."""

    SSH = "SSH"
    IPMI = "IPMI"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerView:
    """The BMC itself. `uuid` is None where it has none of its own; `host_name` is its name or address, "" unknown.

    `protocol` is what it speaks itself: an aggregating service says so of each of its sources. `has_screen`: a picture
    of the machine's screen can be had through it.
    """

    model: str
    firmware_version: str
    health: Health
    uuid: UUID | None = None
    mac: Mac | None = None
    host_name: str = ""
    protocol: ManagerProtocol = ManagerProtocol.REDFISH
    consoles: frozenset[ConsoleType] = frozenset()
    has_screen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorView:
    """`cores` and `threads` of the whole package, 0 where unknown."""

    id: str
    model: str
    cores: int
    threads: int
    health: Health


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryView:
    id: str
    capacity_mib: int
    part_number: str
    health: Health


class DriveKind(Enum):
    HDD = "HDD"
    SSD = "SSD"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriveView:
    """`wwn` is "" where the drive has none."""

    id: str
    model: str
    serial: str
    capacity_bytes: int
    kind: DriveKind
    health: Health
    wwn: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemView:
    """A machine with its chassis and its BMC. `boot.mode` is None where the BMC does not say.

    `commands` and `targets` are what this machine can be told: they become AllowableValues. `cpus`, `dimms` and
    `drives` are empty where the backend does not know them one by one.
    """

    id: str
    name: str
    uuid: UUID | None
    serial: str
    manufacturer: str
    product: str
    bios_version: str
    processors: int
    memory_gib: float
    macs: tuple[Mac, ...]
    power: PowerState
    health: Health
    indicator: Indicator
    boot: BootOverride
    commands: frozenset[PowerCommand]
    targets: frozenset[BootTarget]
    modes: frozenset[BootMode]
    chassis: ChassisView
    manager: ManagerView
    cpus: tuple[ProcessorView, ...] = ()
    dimms: tuple[MemoryView, ...] = ()
    drives: tuple[DriveView, ...] = ()

    def __post_init__(self) -> None:
        if not is_id(self.id):
            raise ValueError(f"not an id: {self.id[:64]!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceInfo:
    """The service as a whole; `uuid` stays the same for its life (DSP0266 section 10.6).

    `aggregates` where the managers are other devices than the one that serves: each becomes an AggregationSource.
    """

    uuid: UUID
    vendor: str
    product: str
    version: str
    aggregates: bool = False
