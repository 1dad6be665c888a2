"""Ways to make a disk forget, and which of them a disk is asked for, in which order. Pure.

What a disk says it can is only a reason to ask: whether it did is read back (`wipe.py`).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from .errors import ProtocolError
from .fields import Fields, parse_json
from .protocol import WipeLevel


class Method(StrEnum):
    """NVM Express Base 2.0, Sanitize and Format NVM; the rest are requests of the kernel's block layer."""

    SANITIZE = "nvme-sanitize"
    FORMAT = "nvme-format"
    SECURE_DISCARD = "secure-discard"
    DISCARD = "discard"
    WRITE_ZEROES = "write-zeroes"
    OVERWRITE = "overwrite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """What an NVMe controller says of itself. `format_is_shared`: a format would reach other namespaces, too."""

    serial: str
    formats: bool
    format_is_shared: bool
    block_erases: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    """`alone`: the disk is known to be the only namespace of its NVM subsystem. `notes`: what could not be learnt."""

    discards: bool = False
    secure_discards: bool = False
    controller: Controller | None = None
    alone: bool = False
    notes: tuple[str, ...] = ()


_ORDER = {
    WipeLevel.DISCARD: (Method.DISCARD, Method.WRITE_ZEROES, Method.OVERWRITE),
    WipeLevel.ERASE: tuple(Method),
}


def methods(level: WipeLevel, ability: Ability) -> tuple[Method, ...]:
    """The most thorough first, for ERASE. The last one asks nothing of the device but to be written."""
    return tuple(method for method in _ORDER[level] if _offered(method, ability))


def _offered(method: Method, ability: Ability) -> bool:
    """A command that reaches more than the named disk is no choice."""
    controller = ability.controller
    match method:
        case Method.SANITIZE:
            return controller is not None and controller.block_erases and ability.alone
        case Method.FORMAT:
            only_here = ability.alone or (controller is not None and not controller.format_is_shared)
            return controller is not None and controller.formats and only_here
        case Method.SECURE_DISCARD:
            return ability.secure_discards and ability.discards
        case Method.DISCARD:
            return ability.discards
        case Method.WRITE_ZEROES | Method.OVERWRITE:
            return True
        case _:
            assert_never(method)


def sanitization(level: WipeLevel, method: Method) -> str:
    """`none`, `clear` or `purge`: NIST SP 800-88 rev. 1, table A-8, for a disk that reads back as zeros."""
    if level is WipeLevel.DISCARD:
        return "none"
    return "purge" if method in (Method.SANITIZE, Method.FORMAT) else "clear"


def parse_discard_max(output: bytes) -> int:
    """Bytes that one discard may cover, 0 if there is none: `lsblk --json --bytes --nodeps --output DISC-MAX DISK`."""
    disks = Fields(parse_json(output, limit=1 << 16), "lsblk").children("blockdevices")
    if len(disks) != 1:
        raise ProtocolError("lsblk does not show one disk", evidence=f"{len(disks)} disks")
    return disks[0].number("disc-max")
