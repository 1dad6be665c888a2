"""What was observed of a machine's hardware. Sizes in bytes; texts are already cleaned of control characters."""

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address
from uuid import UUID

from pxe.client import Mac


class Firmware(Enum):
    UEFI = "uefi"
    BIOS = "bios"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """`wwn` and `serial` may be empty, never both for a disk one may write to.

    `contents` is the fingerprint of what is on it: "blank", "gpt:<disk guid>", "ext4:<uuid>", ...
    """

    name: str
    serial: str
    wwn: str
    size_bytes: int
    model: str
    rotational: bool
    removable: bool
    contents: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """`speed_mbps` is None where the link is down or the driver does not say."""

    name: str
    mac: Mac
    driver: str
    carrier: bool
    speed_mbps: int | None
    addresses: tuple[IPv4Address, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """One LLDP neighbour (IEEE 802.1AB): the switch and port that a NIC is plugged into."""

    nic: str
    chassis: str
    port: str
    system: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """`vendor` and `device` are PCI ids in hex (`10de`, `1db4`), `bus` is its place (`0000:3b:00.0`)."""

    vendor: str
    device: str
    bus: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareFacts:
    """`gaps` names what the agent failed to read, and why: where there is one, "none" may mean "not seen".

    `sockets` that hold a processor, and `threads` of all cores; 0 where nobody said. `gpus` in the order of their
    places. `firmware_version` with its date, as SMBIOS has it."""

    uuid: UUID | None
    serial: str
    manufacturer: str
    product: str
    firmware: Firmware
    cpu_model: str
    cores: int
    memory_bytes: int
    disks: tuple[Disk, ...]
    nics: tuple[Nic, ...]
    neighbours: tuple[Neighbour, ...] = ()
    board_serial: str = ""
    gaps: tuple[str, ...] = ()
    sockets: int = 0
    threads: int = 0
    gpus: tuple[Gpu, ...] = ()
    firmware_version: str = ""

    @property
    def fixed_disks(self) -> tuple[Disk, ...]:
        return tuple(disk for disk in self.disks if not disk.removable)
