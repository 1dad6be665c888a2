"""Initramfs archives: cpio in the "newc" format (Linux Documentation/driver-api/early-userspace/buffer-format.rst).

Owner root, time 0 and sorted names, so that equal trees give equal bytes.
"""

import stat
from collections.abc import Iterator
from pathlib import Path

_TRAILER = "TRAILER!!!"


def pack(tree: Path) -> Iterator[bytes]:
    """The archive of everything below `tree`, in pieces. Files, folders and symbolic links; others are left out."""
    number = 1
    for path in sorted(tree.rglob("*")):
        status = path.lstat()
        kind = stat.S_IFMT(status.st_mode)
        if kind not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
            continue
        name = path.relative_to(tree).as_posix()
        yield member(number, name, status.st_mode, _content(path, kind))
        number += 1
    yield member(0, _TRAILER, 0, b"")


def member(number: int, name: str, mode: int, content: bytes) -> bytes:
    """One header, name and content, each padded to four bytes. Hard links are stored as separate files."""
    encoded = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
    return _padded(head) + _padded(content)


def _content(path: Path, kind: int) -> bytes:
    if kind == stat.S_IFREG:
        return path.read_bytes()
    if kind == stat.S_IFLNK:
        return path.readlink().as_posix().encode()
    return b""


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
