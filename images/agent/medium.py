"""The medium that a BMC carries to its machine: an ISO 9660 volume without files, whose descriptor holds the token.

ECMA-119: 16 sectors for the system, the primary volume descriptor (8.4) and its terminator (8.3), two path tables
(9.4), an empty root (9.1). The token stands in the descriptor's 512 bytes for application use, so that an agent needs
neither a driver for the file system nor a mount. Pure.
"""

import hashlib
import struct
from dataclasses import dataclass, field

from .bond import SIZE

SECTOR = 2048
DESCRIPTOR_AT = 16 * SECTOR
_MAGIC = b"innervate token 1\n"
_USE_AT, _USE = 883, 512
_VOLUME = b"INNERVATE"
_L_TABLE, _M_TABLE, _ROOT, _SECTORS = 18, 19, 20, 150  # some BMCs take nothing shorter than 300 KiB
_NO_DATE = b"0" * 16 + b"\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """`appliance` is the public key of the only one who may answer; `token` is for one boot and one use."""

    token: bytes = field(repr=False)
    appliance: bytes


def volume(medium: Medium) -> bytes:
    """The image, as a BMC fetches it."""
    content = _MAGIC + medium.token + medium.appliance
    use = content + hashlib.sha256(content).digest()
    sectors = {16: _descriptor(use), 17: b"\xffCD001\1", _L_TABLE: _path_table("<"), _M_TABLE: _path_table(">")}
    sectors[_ROOT] = _record(b"\0") + _record(b"\1")
    return b"".join(sectors.get(number, b"").ljust(SECTOR, b"\0") for number in range(_SECTORS))


def parse(sector: bytes) -> Medium | None:
    """From the sector at `DESCRIPTOR_AT`; None where it is not a whole one of ours."""
    use = sector[_USE_AT : _USE_AT + _USE]
    size = len(_MAGIC) + 2 * SIZE
    content, digest = use[:size], use[size : size + 32]
    if sector[:6] != b"\1CD001" or not content.startswith(_MAGIC) or hashlib.sha256(content).digest() != digest:
        return None
    at = len(_MAGIC)
    return Medium(token=content[at : at + SIZE], appliance=content[at + SIZE :])


def _descriptor(use: bytes) -> bytes:
    return b"".join(
        (
            b"\1CD001\1\0",
            b" " * 32,
            _VOLUME.ljust(32),
            bytes(8),
            _both(_SECTORS, "I"),
            bytes(32),
            *(_both(value, "H") for value in (1, 1, SECTOR)),
            _both(10, "I"),
            struct.pack("<II", _L_TABLE, 0),
            struct.pack(">II", _M_TABLE, 0),
            _record(b"\0"),
            b" " * (4 * 128 + 3 * 37),
            _NO_DATE * 4,
            b"\1\0",
            use.ljust(_USE, b"\0"),
        )
    )


def _record(name: bytes) -> bytes:
    """Of the root itself (9.1); both of its entries are."""
    head = b"\x22\0" + _both(_ROOT, "I") + _both(SECTOR, "I") + bytes(7)
    return head + b"\2\0\0" + _both(1, "H") + b"\1" + name


def _path_table(order: str) -> bytes:
    return struct.pack(f"{order}BBIHBB", 1, 0, _ROOT, 1, 0, 0)


def _both(value: int, size: str) -> bytes:
    return struct.pack(f"<{size}", value) + struct.pack(f">{size}", value)
