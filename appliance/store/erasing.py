"""What the appliance kept in files goes: overwritten, because a name that is gone leaves its bytes on the disk.

A flash disk, and a file system that writes elsewhere, may keep old blocks whatever is written: only a disk that was
encrypted before forgets for certain."""

import os
from pathlib import Path

from appliance.files import sync

_CHUNK = bytes(1 << 20)


def erase(folder: Path, *beside: Path) -> None:
    """All that is in `folder`, which stays, and the files `beside`. Raises OSError."""
    for path in beside:
        _erase_file(path)
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else _erase_file(path)
    sync(folder)


def _erase_file(path: Path) -> None:
    """One with another name besides is not ours alone, and only loses this one."""
    if path.is_file() and not path.is_symlink() and path.stat().st_nlink == 1:
        _overwrite(path)
    path.unlink(missing_ok=True)


def _overwrite(path: Path) -> None:
    opened = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(opened, "wb", buffering=0) as file:
        left = os.fstat(opened).st_size
        while left:
            left -= file.write(_CHUNK[:left])
        os.fsync(opened)
