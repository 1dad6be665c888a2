"""The partition table through sfdisk, and the two things done to it after an image is written: seed and boot entry.

Both look first and may run twice: the second time changes nothing.
"""

import zlib
from contextlib import closing
from dataclasses import dataclass

from .disks import find_disk
from .errors import ProtocolError, TaskError
from .fetch import fetch_file
from .fields import Fields, parse_json
from .ports import Ports, Processes
from .protocol import BootDisk, WriteSeed
from .tools import run_tool

_MIB = 1 << 20
_SEED_NAME = "cidata"
_SEED_MIN = 4 * _MIB
_SEED_MAX = 64 * _MIB
_LINUX_DATA = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
_ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
_LABEL = "Innervate"
_LOADER = r"\EFI\BOOT\BOOTX64.EFI"


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Start and size in bytes."""

    number: int
    start: int
    size: int
    type: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """`end`: the first byte past what partitions may use."""

    sector: int
    end: int
    partitions: tuple[Partition, ...]


def parse_table(output: bytes) -> Table:
    """The output of `sfdisk --json` for a GPT; raises ProtocolError."""
    table = Fields(parse_json(output, limit=1 << 20), "sfdisk").child("partitiontable")
    table.choice("label", ("gpt",))
    sector = table.number("sectorsize", low=512, high=65536)
    partitions = table.children("partitions") if table.has("partitions") else []
    return Table(
        sector=sector,
        end=(table.number("lastlba") + 1) * sector,
        partitions=tuple(_partition(fields, sector) for fields in partitions),
    )


def _partition(fields: Fields, sector: int) -> Partition:
    node = fields.text("node")
    digits = node[len(node.rstrip("0123456789")) :]
    return Partition(
        number=int(digits or 0),
        start=fields.number("start") * sector,
        size=fields.number("size") * sector,
        type=fields.text("type").upper(),
        name=fields.text("name") if fields.has("name") else "",
    )


def seed_place(table: Table, size: int) -> tuple[int, int]:
    """(start, size) in bytes of the last whole MiBs of the disk; raises TaskError if they are taken."""
    size = max(_SEED_MIN, -(-size // _MIB) * _MIB)
    start = (table.end - size) // _MIB * _MIB
    taken = max((part.start + part.size for part in table.partitions), default=_MIB)
    if start < taken:
        raise TaskError(
            "no room for the seed at the end of the disk",
            evidence=f"partitions end at byte {taken}, the seed would start at {start}",
            next_action="Choose a larger disk or a smaller image.",
        )
    return start, size


def write_seed(task: WriteSeed, ports: Ports) -> dict[str, str | int]:
    """Returns the evidence; raises TaskError, ProtocolError or OSError. The root file system is not touched."""
    packed = fetch_file(ports, task.seed.path, sha256=task.seed.sha256, limit=task.seed.size)
    seed = unpacked(ports.envelope.unsealed(task.seed.salt, packed))
    disk = find_disk(task.disk, ports.disks.read())
    partition = _ensure_seed_partition(ports.processes, disk.path, len(seed))
    with closing(ports.disks.open(disk.path)) as device:
        device.write(partition.start, seed + bytes(-len(seed) % 4096))
        device.flush()
        device.reread()
    return {
        "disk_serial": disk.serial,
        "partition": partition.number,
        "start": partition.start,
        "bytes": len(seed),
        "sha256": task.seed.sha256,
    }


def unpacked(data: bytes) -> bytes:
    """Most of a seed is zeros: it travels compressed (RFC 1950). Raises ProtocolError."""
    stream = zlib.decompressobj()
    try:
        seed = stream.decompress(data, _SEED_MAX)
    except zlib.error as error:
        raise ProtocolError("the seed does not expand", evidence=str(error)) from error
    if not stream.eof:
        raise ProtocolError("the seed is cut off or too large", evidence=f"{len(seed)} bytes, at most {_SEED_MAX}")
    return seed


def _ensure_seed_partition(processes: Processes, disk: str, size: int) -> Partition:
    run_tool(processes, "sfdisk", "--no-reread", "--relocate", "gpt-bak-std", disk)
    found = _seed_of(_read_table(processes, disk))
    if found is not None and found.size >= size:
        return found
    if found is not None:
        run_tool(processes, "sfdisk", "--no-reread", "--no-tell-kernel", "--delete", disk, str(found.number))
    _append(processes, disk, size)
    if (made := _seed_of(_read_table(processes, disk))) is None:
        raise TaskError("sfdisk made no seed partition", evidence=disk)
    return made


def _append(processes: Processes, disk: str, size: int) -> None:
    table = _read_table(processes, disk)
    start, size = seed_place(table, size)
    line = f'start={start // table.sector}, size={size // table.sector}, type={_LINUX_DATA}, name="{_SEED_NAME}"\n'
    flags = ("--append", "--no-reread", "--no-tell-kernel", "--wipe-partitions", "never")
    run_tool(processes, "sfdisk", *flags, disk, stdin=line.encode())


def _seed_of(table: Table) -> Partition | None:
    return next((part for part in table.partitions if part.name == _SEED_NAME), None)


def _read_table(processes: Processes, disk: str) -> Table:
    output = run_tool(processes, "sfdisk", "--json", disk)
    try:
        return parse_table(output)
    except ProtocolError as error:
        raise TaskError(f"{disk} has no partition table that we know: {error}", evidence=error.evidence) from error


def prepare_boot(task: BootDisk, ports: Ports) -> dict[str, str | int]:
    """Puts the disk first in the firmware's boot order where the firmware has one that can be set (UEFI 2.10, 3.1)."""
    disk = find_disk(task.disk, ports.disks.read())
    if not ports.uefi:
        return {"disk_serial": disk.serial, "firmware": "bios"}
    table = _read_table(ports.processes, disk.path)
    esp = next((part for part in table.partitions if part.type == _ESP), None)
    if esp is None:
        raise TaskError("the disk has no EFI system partition", evidence=disk.serial)
    for entry in parse_entries(run_tool(ports.processes, "efibootmgr")):
        run_tool(ports.processes, "efibootmgr", "--quiet", "--bootnum", entry, "--delete-bootnum")
    create = ("--create", "--disk", disk.path, "--part", str(esp.number), "--label", _LABEL, "--loader", _LOADER)
    run_tool(ports.processes, "efibootmgr", "--quiet", *create)
    return {"disk_serial": disk.serial, "firmware": "uefi", "partition": esp.number}


def parse_entries(output: bytes) -> list[str]:
    """The four hex digits of every boot entry of ours in the output of efibootmgr."""
    lines = output.decode("utf-8", "replace").splitlines()
    words = [line.split("\t")[0].split(maxsplit=1) for line in lines if line.startswith("Boot")]
    return [pair[0][4:8] for pair in words if len(pair) == 2 and pair[1].split()[:1] == [_LABEL]]
