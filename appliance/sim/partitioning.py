"""sfdisk and efibootmgr on simulated disks: a GPT whose entries are where UEFI 2.10, section 5.3 puts them."""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from images.agent.ports import Finished

SECTOR = 512
_ENTRY = struct.Struct("<16s16sQQQ72s")
_ENTRIES_AT = 2 * SECTOR
_ENTRIES = 128
_RESERVED = 34 * SECTOR
_SIGNATURE = b"EFI PART"
LINUX = UUID("0FC63DAF-8483-4772-8E79-3D69D8477DE4")
ESP = UUID("C12A7328-F81F-11D2-BA4B-00A0C93EC93B")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Start and size in sectors."""

    number: int
    start: int
    size: int
    type: UUID
    name: str


def table_head(disk: UUID, parts: Sequence[Part]) -> bytes:
    """The first 34 sectors of a disk."""
    header = _SIGNATURE.ljust(56, b"\0") + disk.bytes_le
    return bytes(SECTOR) + header.ljust(SECTOR, b"\0") + _packed(parts)


def _packed(parts: Sequence[Part]) -> bytes:
    slots = {part.number: part for part in parts}
    return b"".join(_entry(slots[i]) if i in slots else bytes(_ENTRY.size) for i in range(1, _ENTRIES + 1))


def _entry(part: Part) -> bytes:
    name = part.name.encode("utf-16-le")
    return _ENTRY.pack(part.type.bytes_le, UUID(int=part.number).bytes, part.start, part.start + part.size - 1, 0, name)


def parse_table(start: bytes) -> tuple[Part, ...] | None:
    """From the first 34 sectors of a disk; None without a table."""
    if start[SECTOR : SECTOR + len(_SIGNATURE)] != _SIGNATURE:
        return None
    raw = (_ENTRY.unpack_from(start, _ENTRIES_AT + i * _ENTRY.size) for i in range(_ENTRIES))
    return tuple(
        Part(
            number=i,
            start=first,
            size=last - first + 1,
            type=UUID(bytes_le=kind),
            name=name.decode("utf-16-le").rstrip("\0"),
        )
        for i, (kind, _, first, last, _, name) in enumerate(raw, start=1)
        if any(kind)
    )


class Storage(Protocol):
    @property
    def size(self) -> int: ...

    def read(self, offset: int, size: int) -> bytes: ...

    def write(self, offset: int, data: bytes) -> None: ...

    def flush(self) -> None: ...


def read_table(storage: Storage) -> tuple[Part, ...] | None:
    return parse_table(storage.read(0, _RESERVED))


def sfdisk(storage: Storage, argv: Sequence[str], stdin: bytes) -> Finished:
    """As far as the agent uses it. Raises OSError where the disk does."""
    parts = read_table(storage)
    if parts is None:
        return Finished(status=1, output=b"", errors=b"does not contain a recognized partition table")
    if "--json" in argv:
        return Finished(status=0, output=_as_json(storage, argv[-1], parts), errors=b"")
    if "--delete" in argv:
        parts = tuple(part for part in parts if part.number != int(argv[-1]))
    elif "--append" in argv:
        parts = (*parts, _parsed(stdin.decode(), len(parts) + 1))
    storage.write(_ENTRIES_AT, _packed(parts))
    storage.flush()
    return Finished(status=0, output=b"", errors=b"")


def _parsed(line: str, number: int) -> Part:
    words = dict(word.strip().split("=", 1) for word in line.split(","))
    name = words["name"].strip('"')
    return Part(number=number, start=int(words["start"]), size=int(words["size"]), type=UUID(words["type"]), name=name)


def _as_json(storage: Storage, path: str, parts: Sequence[Part]) -> bytes:
    rows = [
        {
            "node": f"{path}{part.number}",
            "start": part.start,
            "size": part.size,
            "type": str(part.type).upper(),
            "name": part.name,
        }
        for part in parts
    ]
    last = storage.size // SECTOR - 34
    table = {"label": "gpt", "sectorsize": SECTOR, "lastlba": last, "partitions": rows}
    return json.dumps({"partitiontable": table}).encode()
