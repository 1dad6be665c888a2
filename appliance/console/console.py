"""One machine's serial console: recorded from the first byte, followed by many, typed on by whoever may.

A console that nobody listens to is lost on most hardware, so ours is always listened to: the connection is made when
the daemon starts and made again whenever it ends.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from appliance.console.record import Record
from appliance.errors import ConflictError
from appliance.model.console_views import ConsoleState, ConsoleView
from appliance.model.ids import MachineName
from appliance.ports import Clock

_LOGGER = logging.getLogger(__name__)

CHUNK = 65536
_BEHIND = 1 << 20


class Line(Protocol):
    """What is connected. Every method may raise OSError once it is not any more."""

    async def read(self, most: int, /) -> bytes:
        """At least a byte; empty at the end."""
        ...

    def write(self, data: bytes, /) -> None: ...

    async def drain(self) -> None: ...


class LineError(OSError):
    """Why there is no line; `retry` in seconds where asking again as soon as usual does harm."""

    def __init__(
        self, state: ConsoleState, text: str, *, evidence: str = "", next_action: str = "", retry: float | None = None
    ) -> None:
        super().__init__(text)
        self.state, self.retry = state, retry
        self.evidence, self.next_action = evidence, next_action


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """`open` connects for as long as its context lasts, or raises OSError; it is tried again after `retry` seconds."""

    open: Callable[[], AbstractAsyncContextManager[Line]]
    retry: float


class Follower:
    """What one reader has yet to read. One that falls a megabyte behind loses the oldest, and is told how much."""

    def __init__(self, past: bytes) -> None:
        self._chunks = deque((past,) if past else ())
        self._size = len(past)
        self._lost = 0
        self._closed = False
        self._news = asyncio.Event()

    def put(self, data: bytes) -> None:
        self._chunks.append(data)
        self._size += len(data)
        while self._size > _BEHIND and len(self._chunks) > 1:
            dropped = len(self._chunks.popleft())
            self._size -= dropped
            self._lost += dropped
        self._news.set()

    async def read(self) -> bytes:
        """All that is new, at least a byte; empty after `close`."""
        while not self._chunks and not self._closed:
            self._news.clear()
            await self._news.wait()
        notice = f"\r\n[{self._lost} bytes lost: too slow]\r\n".encode() if self._lost else b""
        data = notice + b"".join(self._chunks)
        self._chunks.clear()
        self._size = self._lost = 0
        return data

    def close(self) -> None:
        self._closed = True
        self._news.set()


class Console:
    """To be used on one event loop; `run` for as long as the console is to be recorded."""

    def __init__(self, machine: MachineName, source: Source, record: Record, clock: Clock) -> None:
        self._machine = machine
        self._source = source
        self._record = record
        self._clock = clock
        self._followers: set[Follower] = set()
        self._line: Line | None = None
        self._view = ConsoleView(state=ConsoleState.CONNECTING, text="the line is being opened", since=clock.now())
        self._news = asyncio.Event()

    @property
    def connected(self) -> bool:
        return self._line is not None

    @property
    def view(self) -> ConsoleView:
        return self._view

    async def changed(self, seen: ConsoleView) -> ConsoleView:
        """Once it is no longer what was `seen`."""
        while self._view is seen:
            await self._news.wait()
        return self._view

    async def run(self) -> None:
        while True:
            lost = _hung_up()
            try:
                async with self._source.open() as line:
                    await self._copy(line)
            except OSError as cause:
                lost = cause if isinstance(cause, LineError) else _absent(cause)
                _LOGGER.debug("no console machine=%s cause=%s", self._machine, cause)
            self._tell(lost.state, str(lost), lost.evidence, lost.next_action)
            await self._clock.sleep(self._source.retry if lost.retry is None else lost.retry)

    @asynccontextmanager
    async def follow(self, past: int) -> AsyncIterator[Follower]:
        """What it says from now on, after the last `past` bytes that it said before."""
        follower = Follower(self._record.tail(past))
        self._followers.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)

    def tail(self, most: int) -> bytes:
        """The last bytes that it said."""
        return self._record.tail(most)

    async def type(self, data: bytes) -> None:
        """ConflictError while the console is not connected."""
        if self._line is None:
            raise ConflictError(
                f"the console of {self._machine} is not connected",
                next_action="power the machine on, and check how the site program names its console",
            )
        self._line.write(data)
        await self._line.drain()

    async def _copy(self, line: Line) -> None:
        self._line = line
        self._tell(ConsoleState.CONNECTED, "connected")
        try:
            while data := await line.read(CHUNK):
                self._take(data)
        except OSError as cause:
            _LOGGER.info("console lost machine=%s cause=%s", self._machine, cause)
            raise
        finally:
            self._line = None

    def _tell(self, state: ConsoleState, text: str, evidence: str = "", next_action: str = "") -> None:
        """What is tried again and again in vain is no news."""
        now = self._view
        if (now.state, now.text, now.evidence) == (state, text, evidence):
            return
        self._view = ConsoleView(
            state=state, text=text, since=self._clock.now(), evidence=evidence, next_action=next_action
        )
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _take(self, data: bytes) -> None:
        """Who follows sees it even if the disk refuses."""
        for follower in self._followers:
            follower.put(data)
        try:
            self._record.append(data)
        except OSError as cause:
            _LOGGER.error("console not recorded machine=%s cause=%s", self._machine, cause)


def _hung_up() -> LineError:
    return LineError(
        ConsoleState.CLOSED,
        "the other end hung up",
        next_action="nothing while the machine is off or restarts: the line is opened again by itself",
    )


def _absent(cause: OSError) -> LineError:
    return LineError(
        ConsoleState.CLOSED,
        "nothing answers where the site program says that the console is",
        evidence=str(cause) or type(cause).__name__,
        next_action="power the machine on, and check how the site program names its console",
    )
