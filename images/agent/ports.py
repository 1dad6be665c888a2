"""The world, as the agent sees it. `__main__` hands in the real one, tests their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .errors import TaskError
from .protocol import DiskFacts


class Clock(Protocol):
    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class Rng(Protocol):
    def fraction(self) -> float:
        """In [0, 1): for jitter."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Header names are lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Stream(Protocol):
    """A file that is being fetched; `total` is the size of the whole file on the server."""

    @property
    def total(self) -> int: ...

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes; raises LinkError if they do not come."""
        ...

    def close(self) -> None: ...


class Http(Protocol):
    """Raises LinkError if the server cannot be reached, is unwell (5xx) or goes away."""

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> Reply: ...

    def open(self, path: str, *, start: int) -> Stream:
        """From byte `start` on (RFC 9110 section 14.2); raises TaskError if the server has no such bytes."""
        ...


class BlockDevice(Protocol):
    """A whole disk, held exclusively. Offsets and sizes in bytes. Raises OSError."""

    @property
    def size(self) -> int: ...

    def read(self, offset: int, size: int) -> bytes: ...

    def read_back(self, offset: int, size: int) -> bytes:
        """From the device itself, past every cache of ours: what a promise of its driver is checked with.

        `offset` in whole 4 KiB; at most 16 MiB; less than `size` bytes at the end.
        """
        ...

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """`data` may change as soon as this returns."""
        ...

    def discard(self) -> bool:
        """Drops all content; False if the device cannot. What reads back afterwards is not promised."""
        ...

    def zero(self, offset: int, size: int) -> None: ...

    def flush(self) -> None:
        """Returns when all that was written survives a power cut."""
        ...

    def reread(self) -> None:
        """Has the kernel read the partition table again, as far as it will."""
        ...

    def close(self) -> None: ...


class Disks(Protocol):
    def read(self) -> tuple[DiskFacts, ...]: ...

    def contents(self, path: str) -> str: ...

    def open(self, path: str) -> BlockDevice: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    status: int
    output: bytes
    errors: bytes


class Processes(Protocol):
    """The one door for subprocesses: argv lists, never a shell string. Raises OSError, also past `timeout`."""

    def run(self, argv: Sequence[str], *, timeout: float, stdin: bytes = b"") -> Finished: ...


class Files(Protocol):
    def write_private(self, path: str, data: bytes) -> None:
        """Whole or not at all, for its owner only (0600), in a folder that is as private. Raises OSError."""
        ...


class Power(Protocol):
    def reboot(self) -> None: ...

    def power_off(self) -> None: ...


class Envelope(Protocol):
    """What is sealed for this boot's key alone."""

    def unsealed(self, salt: str, data: bytes) -> bytes:
        """Raises ProtocolError if it was sealed for somebody else, or changed."""
        ...


class NoEnvelope:
    """Of an agent without a key."""

    def unsealed(self, salt: str, data: bytes) -> bytes:
        raise TaskError("this agent has no key to open what is sealed", evidence=f"{len(data)} bytes, salt {salt[:16]}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    clock: Clock
    rng: Rng
    http: Http
    disks: Disks
    processes: Processes
    files: Files
    uefi: bool
    envelope: Envelope = field(default_factory=NoEnvelope)
