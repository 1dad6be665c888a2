"""From the log's thread to an event loop, many at once.

To wake a loop for each record costs more than to write the record: each time, two threads change places on the
interpreter. So the loop is woken once for all that is handed over before it gets to run.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from threading import Lock
from typing import TypeVar

T = TypeVar("T")


class Handover:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = Lock()
        self._waiting: list[Callable[[], None]] = []

    def put(self, take: Callable[[], None]) -> None:
        """From any thread: `take` is called on the loop, in the order of `put`. RuntimeError if the loop is closed."""
        with self._lock:
            self._waiting.append(take)
            is_first = len(self._waiting) == 1
        if is_first:
            self._loop.call_soon_threadsafe(self._empty)

    async def result(self, work: "Future[T]") -> T:
        """Of what another thread does, as `asyncio.wrap_future`: giving up waiting cancels it if it has not begun."""
        ended: asyncio.Future[T] = self._loop.create_future()
        work.add_done_callback(lambda done: self.put(partial(_end, ended, done)))
        try:
            return await ended
        except asyncio.CancelledError:
            work.cancel()
            raise

    def _empty(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for take in waiting:
            take()


def _end(ended: "asyncio.Future[T]", done: "Future[T]") -> None:
    if ended.done() or done.cancelled():
        return
    if error := done.exception():
        ended.set_exception(error)
    else:
        ended.set_result(done.result())
