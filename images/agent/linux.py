"""The real ports: clock, randomness, disks, subprocesses and the power button of this machine."""

import ctypes
import fcntl
import mmap
import os
import stat
import struct
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from .bond import SIZE
from .disks import FINGERPRINT_BYTES, fingerprint, parse_blkid, read_disks
from .medium import DESCRIPTOR_AT, SECTOR, Medium, parse
from .ports import Clock, Files, Finished, Processes
from .protocol import DiskFacts

# linux/fs.h
_BLKRRPART, _BLKFLSBUF, _BLKDISCARD, _BLKZEROOUT = 0x125F, 0x1261, 0x1277, 0x127F
# linux/reboot.h
_RESTART, _POWER_OFF = 0x01234567, 0x4321FEDC

_MAX_WRITE = 16 << 20
_ALIGNED = 4096
# Never written, so that all of it is the kernel's one page of zeros.
_ZEROS = mmap.mmap(-1, _MAX_WRITE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
_MEDIA_PAUSE = 0.5


class SystemClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class SystemRng:
    def fraction(self) -> float:
        return int.from_bytes(os.urandom(4), "big") / 2**32

    def bytes(self, size: int) -> bytes:
        return os.urandom(size)


class LinuxDisk:
    """A block device held exclusively, so that nothing mounted is overwritten; a plain file does as well.

    Aligned writes go past the page cache: 2.5 times faster, and what is on the disk is not a promise.
    """

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
        self._direct = _open_direct(path)
        self._buffer = mmap.mmap(-1, _MAX_WRITE)  # page-aligned, as O_DIRECT demands
        self.size = os.lseek(self._fd, 0, os.SEEK_END)

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self._fd, size, offset)

    def read_back(self, offset: int, size: int) -> bytes:
        if self._direct is None:
            os.posix_fadvise(self._fd, offset, size, os.POSIX_FADV_DONTNEED)
            return os.pread(self._fd, size, offset)
        whole = min(-(-size // _ALIGNED) * _ALIGNED, _MAX_WRITE)
        with memoryview(self._buffer) as view, view[:whole] as part:
            came = os.preadv(self._direct, [part], offset)
            return bytes(part[: min(came, size)])

    def write(self, offset: int, data: bytes | memoryview) -> None:
        with memoryview(data) as whole:
            for start in range(0, len(whole), _MAX_WRITE):
                with whole[start : start + _MAX_WRITE] as part:
                    self._write(offset + start, part)

    def _write(self, offset: int, data: memoryview) -> None:
        if self._direct is None or offset % _ALIGNED or len(data) % _ALIGNED:
            _write_all(self._fd, offset, data)
        elif _is_aligned(data):
            _write_all(self._direct, offset, data)
        else:
            self._buffer[: len(data)] = data
            with memoryview(self._buffer) as view, view[: len(data)] as copy:
                _write_all(self._direct, offset, copy)

    def discard(self) -> bool:
        return self._range(_BLKDISCARD, 0, self.size)

    def zero(self, offset: int, size: int) -> None:
        if self._range(_BLKZEROOUT, offset, size):
            return
        with memoryview(_ZEROS) as zeros:
            for start in range(0, size, _MAX_WRITE):
                self.write(offset + start, zeros[: size - start])

    def _range(self, request: int, offset: int, size: int) -> bool:
        try:
            fcntl.ioctl(self._fd, request, struct.pack("=QQ", offset, size))
        except OSError:
            return False
        return True

    def flush(self) -> None:
        os.fsync(self._fd)

    def reread(self) -> None:
        if stat.S_ISBLK(os.fstat(self._fd).st_mode):
            try:
                fcntl.ioctl(self._fd, _BLKFLSBUF)  # what a device did by itself, such as a format, is in no cache
                fcntl.ioctl(self._fd, _BLKRRPART)
            except OSError:
                return  # a disk without partitions support; nothing here uses partition devices

    def close(self) -> None:
        for fd in (self._fd, self._direct):
            if fd is not None:
                os.close(fd)
        self._buffer.close()


def _is_aligned(data: memoryview) -> bool:
    """Can it be handed to the device where it stands? Of memory that cannot be written nobody tells the address."""
    return not data.readonly and ctypes.addressof(ctypes.c_char.from_buffer(data)) % _ALIGNED == 0


def _write_all(fd: int, offset: int, data: memoryview) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:], offset + done)


def _open_direct(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC)
    except OSError:
        return None


class LinuxMedia:
    """Looks for the medium in every drive; a BMC's is a CD drive or a USB stick, and may come up late."""

    def __init__(self, clock: Clock, *, sys: Path, dev: Path, patience: float) -> None:
        self._clock, self._sys, self._dev = clock, sys, dev
        self._until = clock.monotonic() + patience

    def look(self) -> Medium | None:
        """Waits for it as long as `patience` lasts from the start on, in seconds."""
        while (found := self._find()) is None and self._clock.monotonic() < self._until:
            self._clock.sleep(_MEDIA_PAUSE)
        return found

    def _find(self) -> Medium | None:
        names = sorted(path.name for path in (self._sys / "block").glob("s[rd]*"))
        return next((found for name in names if (found := parse(self._descriptor(name))) is not None), None)

    def _descriptor(self, name: str) -> bytes:
        try:
            with (self._dev / name).open("rb") as drive:
                drive.seek(DESCRIPTOR_AT)
                return drive.read(SECTOR)
        except OSError:  # no medium in it
            return b""


def kept_key(files: Files, path: Path, rng: SystemRng) -> bytes:
    """The private key of this boot: an agent that was started again is the same one. Raises OSError."""
    if not path.exists():
        files.write_private(str(path), rng.bytes(SIZE))
    return path.read_bytes()


class LinuxDisks:
    def __init__(self, processes: Processes, *, sys: Path, dev: Path) -> None:
        self._processes, self._sys, self._dev = processes, sys, dev

    def read(self) -> tuple[DiskFacts, ...]:
        return tuple(read_disks(self._sys, self._dev, self.contents))

    def contents(self, path: str) -> str:
        """A disk that cannot be read is `unreadable`: never blank, and no plan can name it."""
        try:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - unbuffered: devices may be huge or odd
                start = file.read(FINGERPRINT_BYTES)
            found = self._processes.run(("blkid", "-p", "-o", "export", path), timeout=30)
        except OSError:
            return "unreadable"
        return fingerprint(start, parse_blkid(found.output))

    def open(self, path: str) -> LinuxDisk:
        return LinuxDisk(path)


class LinuxProcesses:
    """Output past `limit` bytes is dropped, but for one byte that tells."""

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def run(self, argv: Sequence[str], *, timeout: float, stdin: bytes = b"") -> Finished:
        try:
            done = subprocess.run(list(argv), input=stdin, capture_output=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"{argv[0]} did not end within {timeout:.0f} s") from error
        output, errors = done.stdout[: self._limit + 1], done.stderr[: self._limit + 1]
        return Finished(status=done.returncode, output=output, errors=errors)


class LinuxFiles:
    def write_private(self, path: str, data: bytes) -> None:
        target = Path(path)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.parent.chmod(0o700)
        fresh = target.with_name(target.name + ".new")
        fresh.unlink(missing_ok=True)
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:  # noqa: PTH123 - of a descriptor
            file.write(data)
        fresh.rename(target)


class LinuxPower:
    """reboot(2) without asking anybody: there is no init here that would do it."""

    def reboot(self) -> None:
        self._act(_RESTART)

    def power_off(self) -> None:
        self._act(_POWER_OFF)

    def _act(self, command: int) -> None:
        os.sync()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.reboot(ctypes.c_int(command)) != 0:
            raise OSError(ctypes.get_errno(), "reboot(2)")
