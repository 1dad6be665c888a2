"""The moment that every build says it is made at: two builds of the same inputs are the same bytes.

https://reproducible-builds.org/specs/source-date-epoch/
"""

import os
from collections.abc import Sequence
from pathlib import Path

EPOCH = 1_754_697_600
"""2025-08-09, the day that Debian 13 was released. Not later than now, so that no clock is before a file."""


def at_epoch(argv: Sequence[str]) -> list[str]:
    """The same command for tools that write the time into what they make, and know the variable."""
    return ["env", f"SOURCE_DATE_EPOCH={EPOCH}", "TZ=UTC", *argv]


def settle(tree: Path, since_ns: int) -> None:
    """Dates back what changed in the tree since (as `st_mtime_ns`). What packages brought keeps its time: Python's byte
    code is valid for one time of its source only."""
    for folder, _, names in os.walk(tree, topdown=False):
        for path in (*(Path(folder, name) for name in names), Path(folder)):
            if path.lstat().st_mtime_ns >= since_ns:
                date_back(path)


def date_back(path: Path) -> None:
    os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)
