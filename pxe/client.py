"""Who is asking to boot: what a machine says about itself in one request.

Nothing here is proof of identity: every field can be forged by whoever is on the segment.
"""

import re
from dataclasses import dataclass
from enum import Enum, IntEnum
from uuid import UUID

from pxe.errors import PacketError

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


class Arch(IntEnum):
    """Client system architecture, DHCP option 93 (RFC 4578 section 2.1, IANA processor architecture types)."""

    BIOS = 0
    EFI_IA32 = 6
    EFI_BC = 7
    EFI_X64 = 9
    EFI_ARM64 = 11
    HTTP_IA32 = 15
    HTTP_X64 = 16
    HTTP_ARM64 = 19


class Stage(Enum):
    """Which program of the boot chain is speaking."""

    FIRMWARE = "firmware"
    HTTP_BOOT = "http-boot"
    IPXE = "ipxe"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True, order=True)
class Mac:
    """A 48-bit Ethernet address; `text` is lower case with colons."""

    text: str

    def __post_init__(self) -> None:
        if not _MAC.fullmatch(self.text):
            raise PacketError("not a MAC address", evidence=self.text[:40], next_action="write it as aa:bb:cc:dd:ee:ff")

    @classmethod
    def parse(cls, text: str) -> "Mac":
        """Accepts colons, dashes or no separator, any case."""
        digits = text.strip().lower().replace(":", "").replace("-", "").replace(".", "")
        return cls(f"{digits[:2]}:{digits[2:4]}:{digits[4:6]}:{digits[6:8]}:{digits[8:10]}:{digits[10:]}")

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Mac":
        return cls(raw.hex(":"))

    def __bytes__(self) -> bytes:
        return bytes.fromhex(self.text.replace(":", ""))

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """`uuid` is None when the firmware sent none or a bogus one (all 00 or all FF)."""

    mac: Mac
    stage: Stage
    arch: Arch | None = None
    uuid: UUID | None = None
