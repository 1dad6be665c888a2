"""The audit log: who did what, from where, and how it ended. A line is on disk before anybody is answered."""

import asyncio
import logging
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.access.chain import CUT, Break, Link, first_break, head_of, link_of, linked, parsed, parsed_head
from appliance.errors import MachineryError, UsageError
from appliance.model.access_views import AuditEntryView
from appliance.model.text import clean
from appliance.ports import Clock

_LOGGER = logging.getLogger(__name__)
_SHORT, _LONG = 64, 300
_HEAD_BYTES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What is to be written down; the log adds number and time, and cleans the text."""

    who: str
    role: str
    via: str
    source: str
    event: str
    method: str
    route: str
    target: str
    status: int
    trace: str


class AuditLog:
    """One file, which only grows, and beside it the head: number and hash of its last line. A crash may leave the head
    one line behind, never before. Raises `MachineryError`."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._writing = asyncio.Lock()
        self._news = asyncio.Event()
        self._starts = array("q")
        self._end = Link()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._head = os.open(path.with_suffix(".head"), flags, 0o600)
            self._size = self._take_up()
            if missing := self._missing():
                self._enter(*linked(self._entry(_cut(missing)), self._end), write=True)
        except OSError as error:
            raise self._failure(error) from error

    def close(self) -> None:
        os.close(self._file)
        os.close(self._head)

    @property
    def last(self) -> int:
        return self._end.seq

    async def write(self, deed: Deed) -> None:
        """On disk when this returns."""
        async with self._writing:
            data, link = linked(self._entry(deed), self._end)
            try:
                await asyncio.shield(asyncio.to_thread(self._append, data, link))
            except OSError as error:
                raise self._failure(error) from error
            self._enter(data, link)
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def read(self, *, after: int, limit: int, wait: float) -> tuple[AuditEntryView, ...]:
        """Those with a greater number, oldest first. Waits up to `wait` seconds for the first one."""
        if after >= self._end.seq and wait > 0:
            try:
                async with asyncio.timeout(wait):
                    await self._news.wait()
            except TimeoutError:
                return ()
        first = max(after, 0)
        starts = (*self._starts[first : first + limit + 1], self._size)[: limit + 1]
        if len(starts) < 2:
            return ()
        data = await asyncio.to_thread(os.pread, self._file, starts[-1] - starts[0], starts[0])
        try:
            return tuple(parsed(line).entry for line in data.splitlines())
        except UsageError as error:
            action = "see where it breaks: innervate audit --verify"
            raise MachineryError("the audit log is damaged", evidence=str(error), next_action=action) from error

    async def verify(self) -> Break | None:
        """Reads the file anew, and holds it against the last line that was written."""
        async with self._writing:
            return await asyncio.to_thread(first_break, self._lines(), self._end)

    def _lines(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            yield from file

    def _take_up(self) -> int:
        """A line that a crash cut off was never answered: it goes. Returns the size."""
        position, last = 0, b""
        for data in self._lines():
            if not data.endswith(b"\n"):
                _LOGGER.warning("the last line of %s was cut off by a crash, and is dropped", self._path)
                os.ftruncate(self._file, position)
                break
            self._starts.append(position)
            position += len(data)
            last = data
        if self._starts:
            self._end = link_of(last, len(self._starts))
        return position

    def _missing(self) -> str:
        """What the head knows and the log does not, or ""."""
        try:
            head = parsed_head(os.pread(self._head, _HEAD_BYTES, 0))
        except UsageError as error:
            return str(error)
        if head is None:
            return "" if self._end.seq < 2 else "the head of the log is gone: lines may be missing at its end"
        if head.seq > self._end.seq:
            return f"lines {self._end.seq + 1} to {head.seq} are missing"
        if head.seq and link_of(self._line(head.seq), head.seq) != head:
            return f"line {head.seq} is not the one that was written"
        return ""

    def _line(self, seq: int) -> bytes:
        start, end = (*self._starts, self._size)[seq - 1 : seq + 1]
        return os.pread(self._file, end - start, start)

    def _enter(self, data: bytes, link: Link, *, write: bool = False) -> None:
        if write:
            self._append(data, link)
        self._starts.append(self._size)
        self._size += len(data)
        self._end = link

    def _append(self, data: bytes, link: Link) -> None:
        """What a failed write has left is taken back, so that the next one begins a line."""
        try:
            if os.write(self._file, data) != len(data):
                raise OSError("the line was written in part")
            os.fsync(self._file)
            os.pwrite(self._head, head_of(link), 0)
            os.fsync(self._head)
        except OSError:
            os.ftruncate(self._file, self._size)
            os.pwrite(self._head, head_of(self._end), 0)
            raise

    def _entry(self, deed: Deed) -> AuditEntryView:
        return AuditEntryView(
            seq=self._end.seq + 1,
            time=self._clock.now(),
            who=clean(deed.who, _SHORT),
            role=deed.role,
            via=deed.via,
            source=clean(deed.source, _SHORT),
            event=deed.event,
            method=clean(deed.method, _SHORT),
            route=clean(deed.route, _LONG),
            target=clean(deed.target, _LONG),
            status=deed.status,
            trace=deed.trace,
        )

    def _failure(self, error: OSError) -> MachineryError:
        return MachineryError(
            f"the audit log {self._path} cannot be written",
            evidence=str(error)[:200],
            next_action="free disk space, check its permissions; nothing is answered that is not on record",
        )


def _cut(missing: str) -> Deed:
    _LOGGER.error("the audit log was changed while nobody watched: %s", missing)
    return Deed(
        who="",
        role="",
        via="",
        source="",
        event=CUT,
        method="",
        route="",
        target=missing,
        status=0,
        trace="",
    )
