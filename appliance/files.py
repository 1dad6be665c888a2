"""Files that a power cut leaves as they were, or whole."""

import os
from pathlib import Path


def write_whole(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """On the disk when it returns, in its folder, too; nobody sees a part of it. Raises OSError."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    opened = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(opened, "wb") as file:
        os.fchmod(opened, mode)
        file.write(data)
        file.flush()
        os.fsync(opened)
    draft.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """A file's content; of a folder, what is in it: a rename is on disk when its folder is. Raises OSError."""
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
