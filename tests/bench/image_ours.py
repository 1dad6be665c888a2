"""Our side of the image bench: `python -m tests.bench.image_ours write|mapped|direct TARGET [BYTES]`.

`write` is the agent's own writer on its own disk port, from the blob in the page cache; `mapped` the same on a fresh
file that says it could drop its content, as a disk that discards. `direct` is the ceiling: BYTES of noise past the
page cache, nothing read, checked or expanded.
"""

import hashlib
import mmap
import os
import random
import sys
from pathlib import Path

from images.agent.linux import LinuxDisk, LinuxFiles, LinuxProcesses, SystemClock, SystemRng
from images.agent.ports import BlockDevice, Finished, Ports, Reply
from images.agent.protocol import BlobFile, DiskFacts, DiskName, HashedFile, WriteImage
from images.agent.tally import Tally
from images.agent.writer import write_image
from tests.bench.image_files import BLOB, MANIFEST, SIZE

_BLOCK = 4 << 20
_SERIAL = "bench"


class _Emptied(LinuxDisk):
    """A fresh file: there is nothing in it that had to be dropped."""

    def discard(self) -> bool:
        return True


class _Disks:
    """Implements `images.agent.ports.Disks`: the target alone."""

    def __init__(self, path: str, *, discards: bool) -> None:
        self._path, self._discards = path, discards

    def read(self) -> tuple[DiskFacts, ...]:
        disk = DiskFacts(
            name="target",
            path=self._path,
            serial=_SERIAL,
            wwn="",
            size_bytes=SIZE,
            rotational=False,
            removable=False,
            model="",
            contents="blank",
        )
        return (disk,)

    def contents(self, path: str) -> str:
        return "blank"

    def open(self, path: str) -> BlockDevice:
        return _Emptied(path) if self._discards else LinuxDisk(path)


class _FileStream:
    """Implements `images.agent.ports.Stream`."""

    def __init__(self, path: str, start: int) -> None:
        self._file = Path(path).open("rb", buffering=0)  # noqa: SIM115 - closed by who reads it
        self.total = os.fstat(self._file.fileno()).st_size
        self._file.seek(start)

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def close(self) -> None:
        self._file.close()


class _FileHttp:
    """Implements `images.agent.ports.Http`: paths are files."""

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        raise AssertionError(path)

    def open(self, path: str, *, start: int) -> _FileStream:
        return _FileStream(path, start)


class _NoProcesses(LinuxProcesses):
    def run(self, argv: object, *, timeout: float, stdin: bytes = b"") -> Finished:
        raise AssertionError(argv)


def _write(target: str, *, discards: bool) -> None:
    task = WriteImage(
        id="bench",
        fence=1,
        manifest=HashedFile(path=str(MANIFEST), sha256=hashlib.sha256(MANIFEST.read_bytes()).hexdigest()),
        blob=BlobFile(path=str(BLOB)),
        disk=DiskName(serial=_SERIAL, wwn="", size_bytes=SIZE),
        expect_contents="blank",
    )
    ports = Ports(
        clock=SystemClock(),
        rng=SystemRng(),
        http=_FileHttp(),
        disks=_Disks(target, discards=discards),
        processes=_NoProcesses(0),
        files=LinuxFiles(),
        uefi=True,
    )
    write_image(task, ports, Tally())


def _direct(target: str, size: int) -> None:
    buffer = mmap.mmap(-1, _BLOCK)
    buffer[:] = random.Random(0).randbytes(_BLOCK)
    fd = os.open(target, os.O_RDWR | os.O_DIRECT)
    for offset in range(0, size, _BLOCK):
        os.pwrite(fd, buffer, offset)
    os.fsync(fd)
    os.close(fd)


if __name__ == "__main__":
    way, where, *rest = sys.argv[1:]
    if way == "direct":
        _direct(where, int(rest[0]))
    else:
        _write(where, discards=way == "mapped")
