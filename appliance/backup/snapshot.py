"""A copy of the record log, made by its one owner while it goes on."""

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from appliance.backup.state import RECORDS, SNAPSHOT
from appliance.model.views import SnapshotView

Copy = Callable[[Path], "Future[int]"]
"""Ends with the number of the last entry in the copy."""


def snapshot_of(copy: Copy, state_dir: Path, site: str) -> "Future[SnapshotView]":
    """One at a time is kept: the newer takes the place of the older."""
    folder = state_dir / SNAPSHOT
    folder.mkdir(mode=0o700, exist_ok=True)
    file, done = folder / RECORDS, Future[SnapshotView]()

    def told(copied: "Future[int]") -> None:
        if error := copied.exception():
            done.set_exception(error)
        else:
            done.set_result(SnapshotView(file=str(file), site=site, records=copied.result()))

    copy(file).add_done_callback(told)
    return done
