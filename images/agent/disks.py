"""Which disks there are, which one is meant, and what is on it. Nothing here trusts a device name.

A fingerprint is `blank`, `<table>:<id>` or `<file system>:<id>`: enough to see that a disk is not what it was when
the plan was approved.
"""

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from .errors import DiskError
from .protocol import DiskFacts, DiskName

FINGERPRINT_BYTES = 1 << 20
BLANK, UNKNOWN = "blank", "unknown"

_LOOK_AGAIN = "Make a new plan and read it: the machine was looked at again."


def find_disk(wanted: DiskName, disks: Sequence[DiskFacts]) -> DiskFacts:
    """The one disk with the wanted name and size; raises DiskError if there is none, or more than one."""
    named = [disk for disk in disks if _is_named(wanted, disk)]
    seen = ", ".join(f"{d.serial or '-'}/{d.wwn or '-'} of {d.size_bytes} bytes" for d in disks) or "no disk"
    if not named:
        raise DiskError(
            f"no disk has serial {wanted.serial or '-'} and WWN {wanted.wwn or '-'}",
            evidence=f"present: {seen}",
            next_action=_LOOK_AGAIN,
        )
    if len(named) > 1:
        raise DiskError(f"{len(named)} disks have this name", evidence=seen, next_action=_LOOK_AGAIN)
    if named[0].size_bytes != wanted.size_bytes:
        raise DiskError(f"the disk is not of {wanted.size_bytes} bytes", evidence=seen, next_action=_LOOK_AGAIN)
    return named[0]


def _is_named(wanted: DiskName, disk: DiskFacts) -> bool:
    named = bool(wanted.serial or wanted.wwn)
    return named and wanted.serial in ("", disk.serial) and wanted.wwn in ("", disk.wwn)


def check_contents(allowed: str, found: str) -> None:
    """Raises DiskError unless the disk is blank or holds what the plan allows to be destroyed."""
    if found not in (BLANK, allowed):
        raise DiskError(
            "the disk holds foreign data",
            evidence=f"found {found}, the plan names {allowed}",
            next_action="If this data may be destroyed, make a new plan: the machine was looked at again.",
        )


def check_size(wanted: DiskName, size: int) -> None:
    """`size` of the opened device, in bytes; raises DiskError."""
    if size != wanted.size_bytes:
        raise DiskError("the disk changed its size", evidence=f"{size} bytes now")


def fingerprint(start: bytes, blkid: dict[str, str]) -> str:
    """From the first MiB of a disk and what `blkid -p` says of it (it also looks at the disk's end)."""
    return _table(start) or _magic(start) or _from_blkid(blkid) or _nothing(start)


def _table(start: bytes) -> str:
    for sector in (512, 4096):  # UEFI 2.10, 5.3.2: header in LBA 1, disk GUID at 56
        if start[sector : sector + 8] == b"EFI PART":
            return f"gpt:{_guid(start[sector + 56 : sector + 72])}"
    types = start[450:510:16]
    flags = start[446:510:16]
    if start[510:512] == b"\x55\xaa" and any(types) and not set(flags) - {0, 0x80}:
        return f"mbr:{int.from_bytes(start[440:444], 'little'):08x}"
    return ""


def _guid(raw: bytes) -> str:
    first, second, third = struct.unpack_from("<IHH", raw.ljust(16, b"\0"))
    return f"{first:08x}-{second:04x}-{third:04x}-{raw[8:10].hex()}-{raw[10:16].hex()}"


def _uuid(raw: bytes) -> str:
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


# name, where the magic is, the magic, where the id is, how the id is written
_MAGICS: tuple[tuple[str, int, bytes, int, Callable[[bytes], str]], ...] = (
    ("crypto_LUKS", 0, b"LUKS\xba\xbe", 168, lambda raw: raw.rstrip(b"\0").decode("ascii", "replace")),
    ("xfs", 0, b"XFSB", 32, _uuid),
    ("ext", 1080, b"\x53\xef", 1128, _uuid),
    ("btrfs", 65600, b"_BHRfS_M", 65568, _uuid),
    ("LVM2_member", 512, b"LABELONE", 544, lambda raw: raw.decode("ascii", "replace")),
    ("linux_raid_member", 0, b"\xfc\x4e\x2b\xa9", 16, _uuid),
    ("linux_raid_member", 4096, b"\xfc\x4e\x2b\xa9", 4112, _uuid),
    ("swap", 4086, b"SWAPSPACE2", 1036, _uuid),
    ("vfat", 82, b"FAT32   ", 67, lambda raw: raw[:4][::-1].hex()),
    ("vfat", 54, b"FAT1", 39, lambda raw: raw[:4][::-1].hex()),
    ("ntfs", 3, b"NTFS    ", 72, lambda raw: raw[:8][::-1].hex()),
    ("iso9660", 32769, b"CD001", 33581, lambda raw: raw.decode("ascii", "replace")),
    ("ceph_bluestore", 0, b"bluestore block device\n", 23, lambda raw: raw.decode("ascii", "replace")),
)
_ID_LENGTHS = {"crypto_LUKS": 36, "LVM2_member": 32, "ceph_bluestore": 36}


def _magic(start: bytes) -> str:
    for name, at, magic, id_at, write in _MAGICS:
        if start[at : at + len(magic)] == magic:
            return f"{name}:{plain(write(start[id_at : id_at + _ID_LENGTHS.get(name, 16)]))}"
    return ""


def _from_blkid(blkid: dict[str, str]) -> str:
    for kind, name in (("PTTYPE", "PTUUID"), ("TYPE", "UUID")):
        if kind in blkid:
            return plain(f"{blkid[kind]}:{blkid.get(name, '')}")
    return ""


def _nothing(start: bytes) -> str:
    # bytes compare with memcmp; memoryviews compare item by item, which halves the writer's speed
    return BLANK if start == bytes(len(start)) else UNKNOWN


def plain(text: str) -> str:
    """Text of a disk or bus, fit to show: printable ASCII, single spaces, bounded."""
    kept = "".join(c if " " <= c <= "~" else " " for c in text[:1024])
    return " ".join(kept.split())[:128]


def parse_blkid(output: bytes) -> dict[str, str]:
    """The output of `blkid -p -o export`."""
    lines = output[:65536].decode("utf-8", "replace").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def read_disks(sys: Path, dev: Path, contents: Callable[[str], str]) -> Iterator[DiskFacts]:
    """The disks under `sys`/block in the order of their names; `contents` maps a device path to a fingerprint."""
    block = sys / "block"
    for name in sorted(entry.name for entry in block.iterdir()) if block.is_dir() else ():
        where = block / name
        if not _is_disk(where):
            continue
        path = str(dev / name)
        yield DiskFacts(
            name=plain(name),
            path=path,
            serial=_serial(where),
            wwn=_first(where, "wwid", "device/wwid"),
            size_bytes=_number(where / "size") * 512,  # always in units of 512, whatever the sector size
            rotational=_number(where / "queue/rotational") == 1,
            removable=_number(where / "removable") == 1,
            model=_first(where, "device/model"),
            contents=contents(path),
        )


def _is_disk(where: Path) -> bool:
    """No loop, RAM, mapper or md device (they have no hardware), floppy, CD drive, hidden path or empty slot."""
    virtual = not (where / "device").exists() or where.name.startswith(("sr", "fd"))
    return not virtual and _number(where / "hidden") == 0 and _number(where / "size") > 0


def _serial(where: Path) -> str:
    """virtio has `serial`, NVMe `device/serial`; SCSI and SATA the SPC-4 unit serial number page, 4 bytes in."""
    return _first(where, "serial", "device/serial") or plain(_bytes(where / "device/vpd_pg80")[4:].decode("latin-1"))


def _first(where: Path, *names: str) -> str:
    return next((text for name in names if (text := read_text(where / name))), "")


def read_text(path: Path) -> str:
    """A sysfs attribute as one plain line; "" if the kernel has none or refuses to say."""
    return plain(_bytes(path).decode("utf-8", "replace"))


def _number(path: Path) -> int:
    text = read_text(path)
    return int(text) if text.isdecimal() else 0


def _bytes(path: Path) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(fd, 4096)
    except OSError:
        return b""
    finally:
        os.close(fd)
