"""Leases on disk: an append-only file of lines, each with its CRC-32, flushed once per group of packets.

    innervate-leases 1
    8c2f41aa bound 10.20.0.17 52:54:00:00:00:01 1790000000.0 node1

Later lines replace earlier ones. A power cut tears at most the tail; lines that fail their checksum are dropped
and counted. Opening rewrites the file to one line a lease (write, fsync, rename, fsync of the directory).

The file is filled up with zeros ahead of what is written: a flush then writes the lines alone and not the file's
length too, which halves its time, and a full disk is noticed while there is room for more.
"""

import math
import os
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from socket import inet_ntoa
from typing import Protocol

from pxe.client import Mac
from pxe.dhcp.address import Address, Hardware, packed
from pxe.dhcp.leases import Lease, LeaseState
from pxe.errors import PxeError, ServiceError

_MAGIC = b"innervate-leases 1\n"
_AHEAD = 1 << 18
_LONGEST_NAME = 63


class Journal(Protocol):
    @property
    def lines(self) -> int:
        """Lines in the file, for deciding when to rewrite it."""
        ...

    def append(self, leases: Sequence[Lease]) -> None:
        """On disk when it returns; ServiceError when that cannot be promised, and then it may be tried again."""
        ...

    def rewrite(self, leases: Iterable[Lease]) -> None:
        """Replaces everything by these, the oldest first."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What opening found: the leases, the oldest change first, and how many lines were damaged."""

    leases: tuple[Lease, ...]
    damaged_lines: int


class LeaseJournal:
    """One writer. After a failed append the file is cut back to the last line that is known to be on disk."""

    def __init__(self, path: Path) -> None:
        """Use `open_journal`, which reads what is there first."""
        self._path = path
        self._fd = -1
        self._size = 0
        self._room = 0
        self._lines = 0

    @property
    def lines(self) -> int:
        return self._lines

    def append(self, leases: Sequence[Lease]) -> None:
        data = b"".join(map(_line, leases))
        try:
            if self._size + len(data) > self._room:
                self._extend(len(data))
            _write_all(self._fd, data, self._size)
            os.fdatasync(self._fd)
        except OSError as error:
            # Whatever reached the file is no longer counted as room: the next append cuts it off first. This also
            # forgets pages that the failed flush left marked as clean: they are written anew.
            self._room = 0
            raise self._failure("cannot write the lease journal", error) from error
        self._size += len(data)
        self._lines += len(leases)

    def _extend(self, size: int) -> None:
        os.ftruncate(self._fd, self._size)
        _write_all(self._fd, bytes(size + _AHEAD), self._size)
        self._room = self._size + size + _AHEAD

    def rewrite(self, leases: Iterable[Lease]) -> None:
        lines = [_line(lease) for lease in leases]
        data = _MAGIC + b"".join(lines)
        temporary = self._path.with_name(self._path.name + ".new")
        try:
            fd = _write_new(temporary, data)
            _rename(temporary, self._path, fd)
            self.close()
            self._fd, self._size, self._room, self._lines = fd, len(data), len(data), len(lines)
            _sync_directory(self._path.parent)
        except OSError as error:
            raise self._failure("cannot rewrite the lease journal", error) from error

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _failure(self, message: str, error: OSError) -> ServiceError:
        return ServiceError(
            message, evidence=f"{self._path}: {error}", next_action="free disk space or repair the disk"
        )


def open_journal(path: Path) -> tuple[Journal, Recovery]:
    """Reads, then compacts. ServiceError when the file cannot be read or is not a lease journal."""
    journal = LeaseJournal(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
    except OSError as error:
        raise ServiceError(
            "cannot read the lease journal", evidence=f"{path}: {error}", next_action="repair the disk"
        ) from error
    recovery = recover(data, str(path))
    journal.rewrite(recovery.leases)
    return journal, recovery


def recover(data: bytes, name: str) -> Recovery:
    """ServiceError only for a file that was never a lease journal: it is not ours to overwrite."""
    # The header is renamed into place whole, so an empty file is the only honest shorter one.
    if data and not data.startswith(_MAGIC):
        raise ServiceError(
            "not a lease journal", evidence=f"{name}: {data[:32]!r}", next_action="name another file or move it away"
        )
    latest: dict[Address, Lease] = {}
    damaged = 0
    for line in data[len(_MAGIC) :].rstrip(b"\0").splitlines(keepends=True):
        lease = _read_line(line)
        if lease is None:
            damaged += 1
            continue
        latest.pop(lease.address, None)
        latest[lease.address] = lease
    return Recovery(leases=tuple(latest.values()), damaged_lines=damaged)


def _line(lease: Lease) -> bytes:
    address, mac, state, expires, hostname = lease
    text = f"{state.value} {inet_ntoa(address)} {mac.hex(':')} {expires!r} {hostname}".encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _read_line(line: bytes) -> Lease | None:
    """None when damaged."""
    text = line[9:-1]
    if not line.endswith(b"\n") or line[:9] != b"%08x " % zlib.crc32(text):
        return None
    try:
        state, address, mac, expires, hostname = text.decode().split(" ")
        lease = Lease(
            address=packed(IPv4Address(address)),
            mac=Hardware(bytes(Mac(mac))),
            state=LeaseState(state),
            expires=float(expires),
            hostname=hostname,
        )
    except (ValueError, PxeError):
        return None
    return lease if not math.isnan(lease.expires) and len(hostname) <= _LONGEST_NAME else None


def _write_new(path: Path, data: bytes) -> int:
    """Returns the open file, whose content is on disk."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        _write_all(fd, data, 0)
        os.fsync(fd)
    except OSError:
        os.close(fd)
        raise
    return fd


def _rename(source: Path, target: Path, fd: int) -> None:
    """After a crash at any point the old or the new content is there, whole."""
    try:
        source.rename(target)
    except OSError:
        os.close(fd)
        raise


def _write_all(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
