"""What a virtual rack is made of. Everything about a node follows from the rack's spec and the node's index.

Numbers a person can match by eye: node-0 has serial SN0001, disk DISK0001, MAC ..:01 and the BMC 10.77.1.10.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from uuid import UUID

from appliance.errors import UsageError
from appliance.model.bmc import BmcEndpoint
from appliance.model.hardware import Firmware
from pxe.client import Mac

BRIDGE = "br0"
BRIDGE_ADDRESS = IPv4Interface("10.77.0.1/24")
FIRST_BMC_ADDRESS = IPv4Address("10.77.1.10")
BMC_USER = "admin"
MANUFACTURER = "Innervate Lab"
PRODUCT = "Virtual Server"
MAX_NODES = 8
MAX_NICS = 4

# sun_path holds 108 bytes (unix(7)); the longest name below the workdir is "/node-7/console.sock".
_MAX_WORKDIR = 107 - len("/node-7/console.sock")


class BootDevice(Enum):
    """A bootable device; the value is its id in QEMU. Of a node's NICs the first alone boots."""

    DISK = "disk0"
    NIC = "nic0"
    CD = "cd0"
    """The BMC's virtual drive."""


class UefiKind(Enum):
    """How a UEFI node boots from the network, and what it is. PXE and SECURE go on to HTTP Boot when PXE failed."""

    PXE = "pxe"
    HTTP = "http"
    SECURE = "secure"
    """Secure Boot is on, with Microsoft's keys."""
    SECURE_HTTP = "secure-http"
    ARM64 = "arm64"
    """PXE on a 64-bit Arm machine; always emulated."""

    @property
    def is_secure(self) -> bool:
        return self in (UefiKind.SECURE, UefiKind.SECURE_HTTP)


class BmcKind(Enum):
    REDFISH = "redfish"
    IPMI = "ipmi"
    """OpenIPMI's simulator, which knows suite 3 only."""


class Accelerator(Enum):
    TCG = "tcg,thread=multi"
    KVM = "kvm"


@dataclass(frozen=True, slots=True, kw_only=True)
class RackFirmware:
    """Firmware files. `virtio_rom` is the iPXE option ROM of the NIC; UEFI nodes run EDK2's own client instead.

    `ovmf_code` and `ovmf_vars` are those of the nodes' `UefiKind`.
    """

    ovmf_code: Path
    ovmf_vars: Path
    virtio_rom: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RackSpec:
    """`files` may be None for BIOS nodes only: they then run the SeaBIOS and the iPXE that come with QEMU.

    `bmcs` are the nodes' in their order, and begin anew where there are more nodes. `bad_sectors` are (index of the
    node, number of a sector of 512 bytes where its disk takes no write). `password` is that of all BMCs, as it is in a
    rack that was just delivered; without it each has one of its own. All `nics` of a node are in the one network.
    `tpms` are the indices of nodes that have a TPM 2.0, `screens` of those whose BMC gives a picture of their screen.
    """

    nodes: int
    firmware: Firmware
    workdir: Path
    files: RackFirmware | None = None
    uefi: UefiKind = UefiKind.PXE
    bmcs: tuple[BmcKind, ...] = (BmcKind.REDFISH,)
    cpus: int = 1
    memory_mib: int = 1024
    disk_gib: int = 4
    nics: int = 1
    bad_sectors: tuple[tuple[int, int], ...] = ()
    tpms: tuple[int, ...] = ()
    screens: tuple[int, ...] = ()
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not 1 <= self.nodes <= MAX_NODES:
            raise UsageError(f"a rack has 1 to {MAX_NODES} nodes", evidence=str(self.nodes))
        if not 1 <= self.nics <= MAX_NICS:
            raise UsageError(f"a node has 1 to {MAX_NICS} NICs", evidence=str(self.nics))
        if self.firmware is Firmware.UEFI and self.files is None:
            raise UsageError("UEFI nodes need firmware files", next_action="give the rack an OVMF image")
        if self.firmware is Firmware.BIOS and self.uefi is not UefiKind.PXE:
            raise UsageError("BIOS nodes have no UEFI", evidence=self.uefi.value)
        if self.screens and (self.firmware is Firmware.BIOS or self.uefi is UefiKind.ARM64):
            raise UsageError("only UEFI nodes on x86 have a screen: SeaBIOS would leave the serial console for it")
        if not self.workdir.is_absolute() or len(str(self.workdir)) > _MAX_WORKDIR:
            raise UsageError(
                f"the rack's folder must be an absolute path of at most {_MAX_WORKDIR} characters",
                evidence=str(self.workdir),
                next_action="choose a shorter path: UNIX sockets live in it",
            )
        if not self.bmcs:
            raise UsageError("every node has a BMC", next_action="name at least one kind")
        if "," in str(self.workdir):
            raise UsageError("a comma in the rack's folder would end an option of QEMU", evidence=str(self.workdir))


@dataclass(frozen=True, slots=True, kw_only=True)
class NicSpec:
    """A port of a machine, and the TAP device at the other end of its cable. `id` is its name in QEMU."""

    id: str
    mac: Mac
    tap: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """One machine of the rack. `folder` holds its disk, NVRAM, sockets, logs and certificate."""

    index: int
    name: str
    uuid: UUID
    serial: str
    disk_serial: str
    nics: tuple[NicSpec, ...]
    bmc_address: IPv4Address
    firmware: Firmware
    files: RackFirmware | None
    uefi: UefiKind
    bmc: BmcKind
    cpus: int
    memory_mib: int
    disk_gib: int
    folder: Path
    bad_sector: int | None = None
    has_tpm: bool = False
    has_screen: bool = False

    @property
    def mac(self) -> Mac:
        """Of the NIC that boots."""
        return self.nics[0].mac

    @property
    def disk(self) -> Path:
        return self.folder / "disk.img"

    @property
    def nvram(self) -> Path:
        return self.folder / "vars.fd"

    @property
    def console(self) -> Path:
        return self.folder / "console.log"

    @property
    def console_socket(self) -> Path:
        return self.folder / "console.sock"

    @property
    def qmp_socket(self) -> Path:
        return self.folder / "qmp.sock"

    @property
    def hand_socket(self) -> Path:
        """A second QMP socket, for whoever walks up to the rack and pulls a cable."""
        return self.folder / "hand.sock"

    @property
    def chassis_socket(self) -> Path:
        """Where the IPMI simulator tells the machine's owner what to do."""
        return self.folder / "chassis.sock"

    @property
    def certificate(self) -> Path:
        return self.folder / "bmc.crt"

    @property
    def key(self) -> Path:
        return self.folder / "bmc.key"

    @property
    def password(self) -> Path:
        """Of the BMC's user, in clear: the rack's own secret, as short-lived as the rack."""
        return self.folder / "password"

    @property
    def tpm_state(self) -> Path:
        """What the TPM remembers: with another folder here, it is another TPM."""
        return self.folder / "tpm"

    @property
    def tpm_socket(self) -> Path:
        return self.folder / "tpm.sock"

    @property
    def medium(self) -> Path:
        """What is in the virtual drive."""
        return self.folder / "cd.iso"


@dataclass(frozen=True, slots=True, kw_only=True)
class BmcServerSpec:
    """What `appliance.lab.bmc_server` is started with."""

    node: NodeSpec
    accelerator: Accelerator


@dataclass(frozen=True, slots=True, kw_only=True)
class RackNode:
    spec: NodeSpec
    bmc: BmcEndpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class RackState:
    """What a running rack says of itself, in `rack.json`."""

    accelerator: Accelerator
    nodes: tuple[RackNode, ...]


def nodes_of(spec: RackSpec) -> tuple[NodeSpec, ...]:
    return tuple(_node(spec, index) for index in range(spec.nodes))


def _node(spec: RackSpec, index: int) -> NodeSpec:
    number = index + 1
    name = f"node-{index}"
    return NodeSpec(
        index=index,
        name=name,
        uuid=UUID(f"00000077-0000-4000-8000-{number:012d}"),
        serial=f"SN{number:04d}",
        disk_serial=f"DISK{number:04d}",
        nics=tuple(_nic(index, number) for number in range(spec.nics)),
        bmc_address=FIRST_BMC_ADDRESS + index,
        firmware=spec.firmware,
        files=spec.files,
        uefi=spec.uefi,
        bmc=spec.bmcs[index % len(spec.bmcs)],
        cpus=spec.cpus,
        memory_mib=spec.memory_mib,
        disk_gib=spec.disk_gib,
        folder=spec.workdir / name,
        bad_sector=dict(spec.bad_sectors).get(index),
        has_tpm=index in spec.tpms,
        has_screen=index in spec.screens,
    )


def _nic(index: int, number: int) -> NicSpec:
    """Further NICs of node-0: MAC 52:54:00:77:01:01 on tap0n1, and so on."""
    return NicSpec(
        id=f"nic{number}",
        mac=Mac(f"52:54:00:77:{number:02x}:{index + 1:02x}"),
        tap=f"tap{index}n{number}" if number else f"tap{index}",
    )


def network_batch(nodes: Sequence[NodeSpec]) -> str:
    """Input of `ip -batch -` that makes the rack's network in an empty namespace."""
    return "\n".join(
        [
            "link set lo up",
            # A bridge that learns or waits 15 s before it forwards makes every PXE client give up.
            f"link add {BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
            f"addr add {BRIDGE_ADDRESS} dev {BRIDGE}",
            f"link set {BRIDGE} up",
            *(f"addr add {node.bmc_address}/32 dev lo" for node in nodes),
            *(f"tuntap add {nic.tap} mode tap" for node in nodes for nic in node.nics),
            *(f"link set {nic.tap} master {BRIDGE} up" for node in nodes for nic in node.nics),
            "",
        ]
    )
