"""A file that appears whole or not at all, and takes no other's place."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from appliance.errors import MachineryError, UsageError


@contextmanager
def appearing(file: Path) -> Iterator[BinaryIO]:
    """Mode 600, on the disk at the end. Raises `UsageError` where there is one already."""
    if file.exists():
        raise UsageError(f"{file} is there already", next_action="name a new file")
    draft = file.with_name(f".{file.name}.new")
    try:
        opened = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        action = f"check the folder; remove {draft} if an earlier backup was cut off"
        raise MachineryError(f"{draft} cannot be made", evidence=str(error), next_action=action) from error
    try:
        with os.fdopen(opened, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        file.hardlink_to(draft)
    except OSError as error:
        raise MachineryError(
            f"{file} cannot be written", evidence=str(error), next_action="free disk space, or name another place"
        ) from error
    finally:
        draft.unlink(missing_ok=True)
