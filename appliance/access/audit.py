"""The audit log: who did what, from where, and how it ended. A line is on disk before anybody is answered."""

import asyncio
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from appliance.access.chain import CUT, DROPPED, Break, Link, first_break, head_of, link_of, linked, parsed, parsed_head
from appliance.access.segments import SEGMENT_BYTES, SEGMENTS, Segments
from appliance.errors import MachineryError, UsageError
from appliance.model.access_views import AuditEntryView, AuditWanted
from appliance.model.text import clean
from appliance.ports import Clock

_LOGGER = logging.getLogger(__name__)
_SHORT, _LONG = 64, 300
_HEAD_BYTES = 256
_CHUNK, _LOOKED = 1000, 20_000
"""Lines that are read at once, and that one search looks at."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Newest first. `next` is where to go on, 0 where nothing older is left."""

    entries: tuple[AuditEntryView, ...]
    next: int


class AuditLog:
    """Files that only grow (`Segments`), and beside them the head: number and hash of the last line. A crash may leave
    the head one line behind, never before. Raises `MachineryError`."""

    def __init__(self, path: Path, clock: Clock, *, bytes_each: int = SEGMENT_BYTES, kept: int = SEGMENTS) -> None:
        self._path, self._clock = path, clock
        self._writing = asyncio.Lock()
        self._news = asyncio.Event()
        try:
            self._files = Segments(path, bytes_each=bytes_each, kept=kept)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._head = os.open(path.with_suffix(".head"), flags, 0o600)
            if missing := self._missing():
                self._append(_cut(missing))
        except (OSError, UsageError) as error:
            raise self._failure(error) from error

    def close(self) -> None:
        self._files.close()
        os.close(self._head)

    @property
    def last(self) -> int:
        return self._files.end.seq

    @property
    def dropped(self) -> int:
        """The last line that is no longer kept; 0 where all are."""
        return self._files.base.seq

    async def write(self, deed: Deed) -> None:
        """On disk when this returns."""
        async with self._writing:
            try:
                await asyncio.shield(asyncio.to_thread(self._write, deed))
            except OSError as error:
                raise self._failure(error) from error
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def read(self, *, after: int, limit: int, wait: float) -> tuple[AuditEntryView, ...]:
        """Those with a greater number, oldest first. Waits up to `wait` seconds for the first one."""
        if after >= self.last and wait > 0:
            try:
                async with asyncio.timeout(wait):
                    await self._news.wait()
            except TimeoutError:
                return ()
        return await self._entries(max(after, self.dropped) + 1, limit)

    async def search(self, wanted: AuditWanted, *, before: int, limit: int) -> Found:
        """Of those with a smaller number than `before` (0: of all) the latest that are wanted. Looks at so many lines
        at most, and then says where to go on."""
        upto = min(before - 1, self.last) if before else self.last
        found, looked = list[AuditEntryView](), 0
        while upto > self.dropped and len(found) < limit and looked < _LOOKED:
            first = max(self.dropped + 1, upto - _CHUNK + 1)
            for entry in reversed(await self._entries(first, upto - first + 1)):
                upto, looked = entry.seq - 1, looked + 1
                if wanted.fits(entry):
                    found.append(entry)
                if len(found) == limit:
                    break
            upto = min(upto, first - 1) if len(found) < limit else upto
        return Found(entries=tuple(found), next=upto + 1 if upto > self.dropped else 0)

    async def verify(self) -> Break | None:
        """Reads the files anew, and holds them against the last line that was written."""
        try:
            async with self._writing:
                copy = await asyncio.to_thread(self._files.copy)
            return await asyncio.to_thread(lambda: first_break(copy.lines(), copy.end, copy.base))
        except OSError as error:
            raise self._failure(error) from error

    async def _entries(self, first: int, count: int) -> tuple[AuditEntryView, ...]:
        async with self._writing:
            lines = await asyncio.to_thread(self._files.lines, first, count)
        try:
            return await asyncio.to_thread(lambda: tuple(parsed(line).entry for line in lines))
        except UsageError as error:
            action = "see where it breaks: innervate audit --verify"
            raise MachineryError("the audit log is damaged", evidence=str(error), next_action=action) from error

    def _missing(self) -> str:
        """What the head knows and the log does not, or ""."""
        end = self._files.end
        try:
            head = parsed_head(os.pread(self._head, _HEAD_BYTES, 0))
        except UsageError as error:
            return str(error)
        if head is None:
            return "" if end.seq < 2 else "the head of the log is gone: lines may be missing at its end"
        if head.seq > end.seq:
            return f"lines {end.seq + 1} to {head.seq} are missing"
        known = self._files.lines(head.seq, 1) if head.seq else []
        if known and link_of(known[0], head.seq) != head:
            return f"line {head.seq} is not the one that was written"
        return ""

    def _write(self, deed: Deed) -> None:
        if (gone := self._files.make_room()) is not None:
            self._append(_dropped(gone))
        self._append(deed)

    def _append(self, deed: Deed) -> None:
        before = self._files.end
        data, link = linked(self._entry(deed), before)
        self._files.append(data, link)
        try:
            os.pwrite(self._head, head_of(link), 0)
            os.fsync(self._head)
        except OSError:
            self._files.drop_last(before)
            os.pwrite(self._head, head_of(before), 0)
            raise

    def _entry(self, deed: Deed) -> AuditEntryView:
        return AuditEntryView(
            seq=self.last + 1,
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

    def _failure(self, error: Exception) -> MachineryError:
        return MachineryError(
            f"the audit log {self._path} cannot be written",
            evidence=str(error)[:200],
            next_action="free disk space, check its permissions; nothing is answered that is not on record",
        )


def _cut(missing: str) -> Deed:
    _LOGGER.error("the audit log was changed while nobody watched: %s", missing)
    return _of_itself(CUT, missing)


def _dropped(gone: Link) -> Deed:
    return _of_itself(DROPPED, f"lines up to {gone.seq} made room; the last one's SHA-256 is {gone.digest}")


def _of_itself(event: str, target: str) -> Deed:
    return Deed(
        who="",
        role="",
        via="",
        source="",
        event=event,
        method="",
        route="",
        target=target,
        status=0,
        trace="",
    )
