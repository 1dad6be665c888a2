"""A record log on a simulated disk: group commit as in `appliance.store.log`, with crashes, full disks and slow ones.

The disk holds frames, one for each commit: length and CRC-32, then the records as JSON lines. It is read back as far
as the frames are whole, so a commit is there or not there, and every record passes the codec on the way.
"""

import asyncio
import json
import struct
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from appliance.errors import MachineryError
from appliance.model.codec import from_json, to_json
from appliance.model.ids import MachineName
from appliance.ports import Clock
from appliance.store.log import unwritten
from appliance.store.records import Body, Entry, Record, machine_of

_HEAD = struct.Struct("!II")
_GROUP = 1000
FSYNC_SECONDS = 0.003


class Loss(Enum):
    """What becomes of a commit that is under way when the appliance dies. A process that is killed leaves the kernel
    alive; a power cut may tear what was being written."""

    NOT_WRITTEN = auto()
    WRITTEN = auto()
    TORN = auto()


class Boundary(Enum):
    """Where in a commit the appliance dies."""

    BEFORE = auto()
    AFTER = auto()
    """Durable, and nobody was told."""


@dataclass(slots=True, kw_only=True)
class Condition:
    """How the appliance's disk is, now. The faults set it."""

    full: bool = False
    fsync_seconds: float = FSYNC_SECONDS


@dataclass(slots=True, kw_only=True)
class RecordDisk:
    """What outlives the appliance."""

    condition: Condition = field(default_factory=Condition)
    frames: list[bytes] = field(default_factory=list)

    def write(self, group: Sequence[Entry], *, torn: bool = False) -> None:
        body = b"\n".join(_line(entry) for entry in group)
        frame = _HEAD.pack(len(body), zlib.crc32(body)) + body
        self.frames.append(frame[: len(frame) // 2] if torn else frame)

    def recover(self) -> tuple[Entry, ...]:
        """All whole frames; a torn one is cut off."""
        self.frames = [frame for frame in self.frames if _is_whole(frame)]
        return tuple(self.entries())

    def entries(self) -> list[Entry]:
        whole = (frame[_HEAD.size :] for frame in self.frames if _is_whole(frame))
        return [_entry(line) for body in whole for line in body.split(b"\n") if line]

    def latest(self) -> bytes:
        """The last commit, as it is stored."""
        return self.frames[-1][_HEAD.size :] if self.frames else b""


def _is_whole(frame: bytes) -> bool:
    size, crc = _HEAD.unpack_from(frame) if len(frame) >= _HEAD.size else (1, 0)
    body = frame[_HEAD.size :]
    return len(body) == int(size) and zlib.crc32(body) == int(crc)


def _line(entry: Entry) -> bytes:
    return json.dumps([entry.seq, entry.time]).encode() + b" " + to_json(Body(record=entry.record))


def _entry(line: bytes) -> Entry:
    head, _, body = line.partition(b"] ")
    seq, time = json.loads(head + b"]")
    return Entry(seq=seq, time=time, record=from_json(Body, body).record)


class Watcher(Protocol):
    """Sees the log from outside the product."""

    def durable(self, entries: Sequence[Entry]) -> None: ...

    def acknowledged(self, entries: Sequence[Entry]) -> None: ...

    def boundary(self, commit: int) -> Boundary | None:
        """Where the appliance is to die in this commit, if it is."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Append:
    records: tuple[Record, ...]
    done: "Future[tuple[Entry, ...]]"


class SimLog:
    """Implements `appliance.conductor.memory.RecordLog`. One for each life of the appliance."""

    def __init__(self, disk: RecordDisk, loop: asyncio.AbstractEventLoop, clock: Clock, watcher: Watcher) -> None:
        self._disk, self._loop, self._clock, self._watcher = disk, loop, clock, watcher
        self._waiting: list[_Append] = []
        self._under_way: tuple[tuple[Entry, ...], ...] = ()
        self._appends: list[_Append] = []
        self._subscribers: list[Callable[[tuple[Entry, ...]], None]] = []
        self._next = 1
        self._commits = 0
        self.dead = False

    def open(self) -> tuple[Entry, ...]:
        entries = self._disk.recover()
        self._next = entries[-1].seq + 1 if entries else 1
        return entries

    def subscribe(self, subscriber: Callable[[tuple[Entry, ...]], None]) -> None:
        self._subscribers.append(subscriber)

    def append(self, *new: Record) -> "Future[tuple[Entry, ...]]":
        done: Future[tuple[Entry, ...]] = Future()
        self._waiting.append(_Append(records=new, done=done))
        if len(self._waiting) == 1 and not self._appends and not self.dead:
            self._loop.call_soon(self._begin)
        return done

    def read(
        self, *, after: int, machine: MachineName | None, limit: int, kinds: frozenset[str] | None = None
    ) -> "Future[tuple[Entry, ...]]":
        done: Future[tuple[Entry, ...]] = Future()
        found = (entry for entry in self._disk.entries() if entry.seq > after)
        known = (entry for entry in found if kinds is None or entry.record.record in kinds)
        wanted = [entry for entry in known if machine is None or machine_of(entry.record) == machine]
        done.set_result(tuple(wanted[:limit]))
        return done

    def latest(
        self, *, before: int | None, machine: MachineName | None, limit: int, kinds: frozenset[str] | None = None
    ) -> "Future[tuple[Entry, ...]]":
        done: Future[tuple[Entry, ...]] = Future()
        found = self.read(after=0, machine=machine, limit=1 << 62, kinds=kinds).result()
        done.set_result(tuple(entry for entry in reversed(found) if before is None or entry.seq < before)[:limit])
        return done

    def die(self, loss: Loss) -> None:
        """From now on nothing is written and nobody is answered; `loss` is the fate of what is being written."""
        if self.dead:
            return
        self.dead = True
        group = tuple(entry for entries in self._under_way for entry in entries)
        if group and loss is not Loss.NOT_WRITTEN:
            self._disk.write(group, torn=loss is Loss.TORN)
            if loss is Loss.WRITTEN:
                self._watcher.durable(group)

    def _begin(self) -> None:
        if self.dead or self._appends:
            return
        taken, self._waiting = self._waiting[:_GROUP], self._waiting[_GROUP:]
        self._appends = [append for append in taken if append.done.set_running_or_notify_cancel()]
        if not self._appends:
            return
        seq, now = self._next, self._clock.now()
        groups: list[tuple[Entry, ...]] = []
        for append in self._appends:
            groups.append(tuple(Entry(seq=seq + i, time=now, record=r) for i, r in enumerate(append.records)))
            seq += len(append.records)
        self._under_way = tuple(groups)
        self._commits += 1
        self._loop.call_later(self._disk.condition.fsync_seconds, self._end)

    def _end(self) -> None:
        if self.dead:
            return
        if self._disk.condition.full:
            self._finish(durable=False)
            return
        boundary = self._watcher.boundary(self._commits)
        if boundary is Boundary.BEFORE:
            self.die(Loss.NOT_WRITTEN)
            return
        group = tuple(entry for entries in self._under_way for entry in entries)
        self.store(group)
        if boundary is Boundary.AFTER:
            self._under_way = ()
            self.die(Loss.NOT_WRITTEN)
            return
        self._next += len(group)
        self._finish(durable=True)

    def store(self, group: Sequence[Entry]) -> None:
        """Puts the entries where a crash does not reach them."""
        self._disk.write(group)
        self._watcher.durable(group)

    def _finish(self, *, durable: bool) -> None:
        appends, groups = self._appends, self._under_way
        self._appends, self._under_way = [], ()
        if durable:
            self._hand_over(groups)
        for append, group in zip(appends, groups, strict=True):
            if durable:
                append.done.set_result(group)
            else:
                append.done.set_exception(_full())
        if self._waiting:
            self._loop.call_soon(self._begin)

    def _hand_over(self, groups: Sequence[tuple[Entry, ...]]) -> None:
        entries = tuple(entry for group in groups for entry in group)
        self._watcher.acknowledged(entries)
        for subscriber in self._subscribers:
            subscriber(entries)


def _full() -> MachineryError:
    """As SQLite says it (sqlite3_errstr of SQLITE_FULL)."""
    return unwritten(OSError("database or disk is full"))
