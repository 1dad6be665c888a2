"""What a machine boots, in two pure decisions that serve DHCP, TFTP and HTTP alike.

    client (who asks, at which stage) and chain  ->  answer: the file or URL that DHCP names
    intent (what we want of it)                  ->  script: what iPXE or GRUB then fetches (pxe.script)

The chain is what the site states of the machine, else what its firmware has shown to run (pxe.ladder).

The intent comes from the caller through `BootPolicy`; everything here is a pure function of values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address
from types import MappingProxyType
from typing import Protocol

from pxe.client import Arch, Client, Stage
from pxe.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalDisk:
    """Leave the network and let the firmware go on to its next boot device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunKernel:
    """Paths are absolute paths of the boot HTTP server; `arguments` are kernel arguments, one word each.

    `attempt` names the boot that this is for. A machine then fetches both under that name, and a script of an earlier
    attempt finds them gone and asks for a new one, rather than to boot what nobody listens to any more.
    """

    kernel: str
    initrd: str
    arguments: tuple[str, ...] = ()
    attempt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing to do yet: show the reason on the console, ask again after `seconds`."""

    reason: str
    seconds: int = 10


BootIntent = LocalDisk | RunKernel | Wait


class Mode(Enum):
    """Whose addresses the machines have."""

    FULL = "full"
    """We give out the addresses."""
    PROXY = "proxy"
    """Another server does; we only name the boot program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where the boot services of this segment answer."""

    address: IPv4Address
    http_port: int = 80
    _origin: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.http_port < 65536:
            raise ConfigError("not a TCP port", evidence=str(self.http_port), next_action="use 1 to 65535")
        port = "" if self.http_port == 80 else f":{self.http_port}"
        object.__setattr__(self, "_origin", f"http://{self.address}{port}")

    def url(self, path: str) -> str:
        """`path` starts with a slash."""
        return self._origin + path


class BootPolicy(Protocol):
    def intent_for(self, client: Client) -> BootIntent:
        """Total, fast and without effects: it is called for each packet, from several threads."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BootAnswer:
    """`filename` is a TFTP name, or an absolute URL for UEFI HTTP Boot (`http_boot`) and for iPXE."""

    next_server: IPv4Address
    filename: str
    http_boot: bool


class Chain(Enum):
    """Which programs stand between the firmware and the kernel."""

    IPXE = "ipxe"
    """iPXE on the firmware's own network driver."""
    SIGNED = "signed"
    """shim and GRUB, whose signatures Secure Boot accepts."""
    DRIVERS = "drivers"
    """iPXE with drivers of its own."""


# In the order in which they are tried. snponly drives the firmware's own network stack: the full iPXE drivers hang on
# some boards (ipxe#1391, #1479). Debian builds no snponly for arm64.
_BIOS = MappingProxyType({Chain.IPXE: "undionly.kpxe", Chain.DRIVERS: "ipxe.pxe"})
_X64 = MappingProxyType({Chain.IPXE: "snponly.efi", Chain.SIGNED: "shimx64.efi", Chain.DRIVERS: "ipxe.efi"})
_ARM64 = MappingProxyType({Chain.DRIVERS: "ipxe-arm64.efi"})

# A ROM too old for option 93 (None) can only be BIOS. 32-bit EFI cannot run these programs and gets no answer.
_OVER_TFTP = MappingProxyType(
    {None: _BIOS, Arch.BIOS: _BIOS, Arch.EFI_BC: _X64, Arch.EFI_X64: _X64, Arch.EFI_ARM64: _ARM64}
)
_OVER_HTTP = MappingProxyType(
    {
        Arch.EFI_BC: _X64,
        Arch.EFI_X64: _X64,
        Arch.EFI_ARM64: _ARM64,
        Arch.HTTP_X64: _X64,
        Arch.HTTP_ARM64: _ARM64,
    }
)
_NOTHING: Mapping[Chain, str] = MappingProxyType({})

NBP_NAMES = frozenset(name for programs in (_BIOS, _X64, _ARM64) for name in programs.values())
"""Every file name that `answer` can hand out over TFTP; the HTTP server has the same files under /nbp/."""

GRUB = "grubx64.efi"
"""What shim asks for next, beside itself."""

PROGRAM_NAMES = NBP_NAMES | {GRUB}


def programs_for(stage: Stage, arch: Arch | None) -> Mapping[Chain, str]:
    """The network boot programs for this firmware, the one to try first first; empty when there is none for it."""
    match stage:
        case Stage.FIRMWARE:
            return _OVER_TFTP.get(arch, _NOTHING)
        case Stage.HTTP_BOOT:
            return _NOTHING if arch is None else _OVER_HTTP.get(arch, _NOTHING)
        case Stage.IPXE | Stage.SYSTEM:
            return _NOTHING


def answer(client: Client, endpoints: Endpoints, chain: Chain = Chain.IPXE) -> BootAnswer | None:
    """The network boot program of this client; None when we have none for it or it boots nothing.

    A firmware for which `chain` has no program gets the one that is tried first.
    """
    filename = _filename(client, endpoints, chain)
    if filename is None:
        return None
    return BootAnswer(next_server=endpoints.address, filename=filename, http_boot=client.stage is Stage.HTTP_BOOT)


def _filename(client: Client, endpoints: Endpoints, chain: Chain) -> str | None:
    programs = programs_for(client.stage, client.arch)
    program = programs.get(chain) or next(iter(programs.values()), None)
    match client.stage:
        case Stage.FIRMWARE:
            return program
        case Stage.HTTP_BOOT:
            return None if program is None else endpoints.url(f"/nbp/{program}")
        case Stage.IPXE:
            return script_url(client, endpoints)
        case Stage.SYSTEM:
            return None


def script_url(client: Client, endpoints: Endpoints) -> str:
    uuid = "" if client.uuid is None else f"&uuid={client.uuid}"
    return endpoints.url(f"/boot.ipxe?mac={client.mac.text.replace(':', '-')}{uuid}")
