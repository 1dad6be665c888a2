"""The files of the audit log: the one that grows, and those before it that are full. Lines are numbered through all.

audit.jsonl                     grows
audit-00000000000000000001.jsonl  was full; named by the number of its first line
audit.base                      number and hash of the last line that was dropped with its file, once one was
"""

import logging
import os
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from appliance.access.chain import Link, head_of, link_of, parsed_head
from appliance.files import sync, write_whole

_LOGGER = logging.getLogger(__name__)
_FULL = re.compile(r"-(\d{20})\.jsonl")
SEGMENT_BYTES = 8 << 20
SEGMENTS = 32
"""As many full files are kept: a quarter of a gigabyte, about a million lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Full:
    """A file to which nothing is added any more. `first` is the number of its first line."""

    path: Path
    first: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """The log as its files say it at one moment, whatever is known of them. Full files change no more, and are read
    when they are asked for."""

    base: Link
    end: Link
    full: tuple[Full, ...]
    current: tuple[bytes, ...]

    def lines(self) -> Iterator[bytes]:
        for full in self.full:
            if full.path.exists():
                yield from _lines(full.path)
        yield from self.current


class Segments:
    """Not for threads at once. Raises `OSError`, and `UsageError` where `audit.base` makes no sense."""

    def __init__(self, path: Path, *, bytes_each: int = SEGMENT_BYTES, kept: int = SEGMENTS) -> None:
        self._path, self._bytes_each, self._kept = path, bytes_each, kept
        self._base_path = path.with_suffix(".base")
        self._starts = array("q")
        self._size = 0
        self._settled = True
        path.parent.mkdir(parents=True, exist_ok=True)
        self.base = self._read_base()
        self._full = self._found()
        self._first = self._full[-1].first + len(_lines(self._full[-1].path)) if self._full else self.base.seq + 1
        self._file = _opened(self._path)
        self.end = self._take_up()

    def close(self) -> None:
        os.close(self._file)

    def append(self, data: bytes, link: Link) -> None:
        """On disk when this returns. What a failed write has left is taken back, so that the next one begins a line."""
        try:
            if os.write(self._file, data) != len(data):
                raise OSError("the line was written in part")
            os.fsync(self._file)
        except OSError:
            self.take_back()
            raise
        self._starts.append(self._size)
        self._size += len(data)
        self.end = link

    def take_back(self) -> None:
        os.ftruncate(self._file, self._size)

    def drop_last(self, before: Link) -> None:
        """The line that was appended last is none."""
        self._size = self._starts.pop()
        self.end = before
        self.take_back()

    def make_room(self) -> Link | None:
        """Begins a new file where the present one is full. The last line that went with a file which was dropped for
        it, or None."""
        if self._size >= self._bytes_each:
            self._begin_another()
        if not self._settled:
            sync(self._path.parent)
            self._settled = True
        return self._drop() if len(self._full) > self._kept else None

    def _begin_another(self) -> None:
        """Whatever fails, what is known of the files is what they are."""
        full = self._path.with_name(f"{self._path.stem}-{self._first:020d}.jsonl")
        draft = self._path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        file = _opened(draft)
        try:
            self._path.rename(full)
            draft.rename(self._path)
        except OSError:
            os.close(file)
            if full.exists():
                full.rename(self._path)
            raise
        os.close(self._file)
        self._full = (*self._full, Full(path=full, first=self._first))
        self._first, self._size, self._starts = self.end.seq + 1, 0, array("q")
        self._file, self._settled = file, False

    def lines(self, first: int, count: int) -> list[bytes]:
        """From the line with this number on, across files; fewer where there are no more."""
        end, found = first + count, list[bytes]()
        for full, following in pairwise((*self._full, Full(path=self._path, first=self._first))):
            if full.first < end and first < following.first:
                found += _lines(full.path)[max(0, first - full.first) : max(0, end - full.first)]
        begin, stop = max(0, first - self._first), min(len(self._starts), end - self._first)
        if begin < stop:
            starts = (*self._starts, self._size)
            data = os.pread(self._file, starts[stop] - starts[begin], starts[begin])
            found += data.splitlines(keepends=True)
        return found

    def copy(self) -> "Copy":
        return Copy(base=self.base, end=self.end, full=self._full, current=tuple(_lines(self._path)))

    def _drop(self) -> Link:
        """The base is on disk before the file goes: whoever reads what is left knows where it begins."""
        oldest, following = self._full[0], self._full[1]
        link = link_of(_lines(oldest.path)[-1], following.first - 1)
        write_whole(self._base_path, head_of(link))
        oldest.path.unlink()
        self.base, self._full = link, self._full[1:]
        return link

    def _read_base(self) -> Link:
        if not self._base_path.exists():
            return Link()
        return parsed_head(self._base_path.read_bytes()) or Link()

    def _found(self) -> tuple[Full, ...]:
        """A file that was to be dropped when the power went, goes now."""
        names = sorted(self._path.parent.glob(f"{self._path.stem}-*.jsonl"))
        found = [Full(path=path, first=int(match[1])) for path in names if (match := _FULL.search(path.name))]
        late = [one for one, following in pairwise(found) if following.first - 1 <= self.base.seq]
        for one in late:
            one.path.unlink()
        return tuple(one for one in found if one not in late)

    def _take_up(self) -> Link:
        """A line that a crash cut off was never answered: it goes."""
        last = b""
        for data in _lines(self._path):
            if not data.endswith(b"\n"):
                _LOGGER.warning("the last line of %s was cut off by a crash, and is dropped", self._path)
                self.take_back()
                break
            self._starts.append(self._size)
            self._size += len(data)
            last = data
        if last:
            return link_of(last, self._first + len(self._starts) - 1)
        return link_of(_lines(self._full[-1].path)[-1], self._first - 1) if self._full else self.base


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)
