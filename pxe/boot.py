"""What a machine boots, in two pure decisions that serve DHCP, TFTP and HTTP alike.

    client (who asks, at which stage)  ->  answer: the file or URL that DHCP names
    intent (what we want of it)        ->  script: what iPXE then fetches (pxe.script)

The intent comes from the caller through `BootPolicy`; everything here is a pure function of values.
"""

from dataclasses import dataclass
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
    """Paths are absolute paths of the boot HTTP server; `arguments` are kernel arguments, one word each."""

    kernel: str
    initrd: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing to do yet: show the reason on the console, ask again after `seconds`."""

    reason: str
    seconds: int = 10


BootIntent = LocalDisk | RunKernel | Wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where the boot services of this segment answer."""

    address: IPv4Address
    http_port: int = 80

    def __post_init__(self) -> None:
        if not 0 < self.http_port < 65536:
            raise ConfigError("not a TCP port", evidence=str(self.http_port), next_action="use 1 to 65535")

    def url(self, path: str) -> str:
        """`path` starts with a slash."""
        port = "" if self.http_port == 80 else f":{self.http_port}"
        return f"http://{self.address}{port}{path}"


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


# snponly drives the firmware's own network stack: the full iPXE drivers hang on some boards (ipxe#1391, #1479).
# A ROM too old for option 93 (None) can only be BIOS. 32-bit EFI cannot run these programs and gets no answer.
_TFTP_NBP = MappingProxyType(
    {
        None: "undionly.kpxe",
        Arch.BIOS: "undionly.kpxe",
        Arch.EFI_BC: "snponly.efi",
        Arch.EFI_X64: "snponly.efi",
        Arch.EFI_ARM64: "arm64/snponly.efi",
    }
)
_HTTP_NBP = MappingProxyType(
    {
        Arch.EFI_BC: "/nbp/snponly.efi",
        Arch.EFI_X64: "/nbp/snponly.efi",
        Arch.EFI_ARM64: "/nbp/arm64/snponly.efi",
        Arch.HTTP_X64: "/nbp/snponly.efi",
        Arch.HTTP_ARM64: "/nbp/arm64/snponly.efi",
    }
)

NBP_NAMES = frozenset(_TFTP_NBP.values())
"""Every file name that `answer` can hand out over TFTP; the HTTP server has the same files under /nbp/."""


def answer(client: Client, endpoints: Endpoints) -> BootAnswer | None:
    """The network boot program of this client; None when we have none for it or it boots nothing."""
    filename = _filename(client, endpoints)
    if filename is None:
        return None
    return BootAnswer(next_server=endpoints.address, filename=filename, http_boot=client.stage is Stage.HTTP_BOOT)


def _filename(client: Client, endpoints: Endpoints) -> str | None:
    match client.stage:
        case Stage.FIRMWARE:
            return _TFTP_NBP.get(client.arch)
        case Stage.HTTP_BOOT:
            path = _HTTP_NBP.get(client.arch) if client.arch is not None else None
            return None if path is None else endpoints.url(path)
        case Stage.IPXE:
            return script_url(client, endpoints)
        case Stage.SYSTEM:
            return None


def script_url(client: Client, endpoints: Endpoints) -> str:
    uuid = "" if client.uuid is None else f"&uuid={client.uuid}"
    return endpoints.url(f"/boot.ipxe?mac={client.mac.text.replace(':', '-')}{uuid}")
