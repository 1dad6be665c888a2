"""One contender writes the image once: `python -m tests.bench.image_way file|loop TARGET ARGV...`; figures as JSON.

TARGET is a file on the disk that is made here, empty and sparse; with `loop` ARGV is given a loop device over it, which
goes past the page cache as a disk does. `@` in ARGV is the target. The time is from the start of the program to the
end of an fsync of what it wrote; CPU time is the program's own and its children's, not that of the kernel's threads.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from tests.bench.image_files import SIZE

RATE, WALL, CPU = "mb_per_s", "seconds", "cpu_s"
_MEGABYTE = 1e6


def _main() -> None:
    kind, target, *argv = sys.argv[1:]
    file = Path(target)
    with file.open("wb") as made:
        made.truncate(SIZE)
    _go_first()
    with _device(file) if kind == "loop" else _itself(file) as path:
        os.sync()
        sys.stdout.write(json.dumps(_timed([word.replace("@", path) for word in argv], path)))


def _go_first() -> None:
    """Before whatever else the machine does, which would decide more than the contenders do: `nice` counts only within
    a session where sessions share the CPUs evenly (sched(7), "The autogroup feature")."""
    os.nice(-19)
    with suppress(FileNotFoundError):
        Path("/proc/self/autogroup").write_text("-19")


def _timed(argv: Sequence[str], path: str) -> dict[str, float]:
    used, began = getrusage(RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=True)
    _flush(path)
    wall, after = time.monotonic() - began, getrusage(RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return {RATE: SIZE / wall / _MEGABYTE, WALL: wall, CPU: cpu, "rss_mib": after.ru_maxrss / 1024}


def _flush(path: str) -> None:
    fd = os.open(path, os.O_RDWR)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _itself(file: Path) -> Iterator[str]:
    yield str(file)


@contextmanager
def _device(file: Path) -> Iterator[str]:
    attach = ["losetup", "--find", "--show", "--direct-io=on", str(file)]
    device = subprocess.run(attach, capture_output=True, text=True, check=True).stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


if __name__ == "__main__":
    _main()
