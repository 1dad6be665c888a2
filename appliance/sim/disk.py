"""Disks of simulated machines: sparse, with a write cache that a power cut empties, and with an end.

The agent's code runs on a `Worksheet` at the start of its task, all at once: what it does is written down, and reaches
the disk bit by bit as virtual time goes on. Whoever interrupts the task finds the disk as far as it was written then.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from errno import EIO

from images.agent.disks import FINGERPRINT_BYTES, fingerprint
from images.agent.protocol import DiskFacts

PAGE = 4096
_ZEROS = bytes(PAGE)

Pages = dict[int, bytes]
"""By page number; what is missing reads as zeros."""


class Kind(Enum):
    WRITE = auto()
    ZERO = auto()
    DISCARD = auto()
    FLUSH = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """`first` and `count` in pages; `data` are the pages that are not zeros."""

    kind: Kind
    first: int = 0
    count: int = 0
    data: Pages = field(default_factory=dict)

    def apply(self, pages: Pages) -> None:
        match self.kind:
            case Kind.WRITE | Kind.ZERO:
                _clear(pages, self.first, self.count)
                pages.update(self.data)
            case Kind.DISCARD:
                pages.clear()
            case Kind.FLUSH:
                pass


def _clear(pages: Pages, first: int, count: int) -> None:
    if count < len(pages):
        for number in range(first, first + count):
            pages.pop(number, None)
        return
    for number in [number for number in pages if first <= number < first + count]:
        del pages[number]


class Disk:
    """`pages` survive a power cut, `cache` does not. `broken`: every access is an I/O error from now on."""

    def __init__(self, name: str, serial: str, size: int, *, pages: Pages | None = None) -> None:
        self.name, self.serial, self.size = name, serial, size
        self.pages: Pages = dict(pages or {})
        self.cache: list[Op] = []
        self.broken = False

    @property
    def path(self) -> str:
        return f"/dev/{self.name}"

    def do(self, op: Op) -> None:
        self.cache.append(op)
        if op.kind is Kind.FLUSH:
            for cached in self.cache:
                cached.apply(self.pages)
            self.cache.clear()

    def content(self) -> Pages:
        """As it reads while the power is on."""
        pages = dict(self.pages)
        for op in self.cache:
            op.apply(pages)
        return pages

    def lose_power(self, kept: Sequence[bool]) -> None:
        """What the cache held reached the disk or not, in any order: `kept` says, one for each."""
        for op, survives in zip(self.cache, kept, strict=True):
            if survives:
                op.apply(self.pages)
        self.cache.clear()

    def facts(self) -> DiskFacts:
        return DiskFacts(
            name=self.name,
            path=self.path,
            serial=self.serial,
            wwn="",
            size_bytes=self.size,
            rotational=False,
            removable=False,
            model="Simulated",
            contents=self.contents(),
        )

    def contents(self) -> str:
        return "unreadable" if self.broken else contents_of(self.content())


def contents_of(pages: Pages) -> str:
    start = read(pages, 0, FINGERPRINT_BYTES) if _reaches(pages, FINGERPRINT_BYTES) else bytes(FINGERPRINT_BYTES)
    return fingerprint(start, {})


def _reaches(pages: Pages, size: int) -> bool:
    return any(number < size // PAGE for number in pages)


def read(pages: Pages, offset: int, size: int) -> bytes:
    first, last = offset // PAGE, -(-(offset + size) // PAGE)
    whole = b"".join([pages.get(number, _ZEROS) for number in range(first, last)])
    return whole[offset - first * PAGE : offset - first * PAGE + size]


def paged(offset: int, data: bytes, pages: Pages) -> Op:
    """A write of these bytes; where it does not fill a page, the page is as `pages` have it."""
    first, last = offset // PAGE, -(-(offset + len(data)) // PAGE)
    before = read(pages, first * PAGE, offset - first * PAGE)
    after = read(pages, offset + len(data), last * PAGE - offset - len(data))
    whole = before + data + after
    cut = {first + i: whole[i * PAGE : (i + 1) * PAGE] for i in range(last - first)}
    return Op(
        kind=Kind.WRITE,
        first=first,
        count=last - first,
        data={number: _SHARED.setdefault(page, page) for number, page in cut.items() if page != _ZEROS},
    )


_SHARED: dict[bytes, bytes] = {}
"""A thousand machines hold the same image: equal pages are one object."""


class Worksheet:
    """Implements `images.agent.ports.BlockDevice`: reads what would be there, and writes down what is to be done."""

    def __init__(self, disk: Disk, breaks_after: int | None = None) -> None:
        """`breaks_after`: so many operations reach the disk, the next one is its end."""
        self.size = disk.size
        self.ops: list[Op] = []
        self._disk = disk
        self._pages = disk.content()
        self._breaks_after = breaks_after
        self.broke = disk.broken

    def read(self, offset: int, size: int) -> bytes:
        self._check()
        return read(self._pages, offset, size)

    def read_back(self, offset: int, size: int) -> bytes:
        return self.read(offset, size)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        self._do(paged(offset, bytes(data), self._pages))

    def discard(self) -> bool:
        self._do(Op(kind=Kind.DISCARD))
        return True

    def zero(self, offset: int, size: int) -> None:
        self._do(Op(kind=Kind.ZERO, first=offset // PAGE, count=-(-size // PAGE)))

    def flush(self) -> None:
        self._do(Op(kind=Kind.FLUSH))

    def reread(self) -> None:
        pass

    def close(self) -> None:
        pass

    def contents(self) -> str:
        return "unreadable" if self.broke else contents_of(self._pages)

    def _do(self, op: Op) -> None:
        if self._breaks_after is not None and len(self.ops) >= self._breaks_after:
            self.broke = True
        self._check()
        op.apply(self._pages)
        self.ops.append(op)

    def _check(self) -> None:
        if self.broke:
            raise OSError(EIO, "Input/output error", self._disk.path)
