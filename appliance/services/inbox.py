"""Hands what threads saw to an event loop, many at once."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import TypeVarTuple

_LOGGER = logging.getLogger(__name__)

Ts = TypeVarTuple("Ts")

_GATHER_SECONDS = 0.01


class Inbox:
    """To wake a loop for each packet of a boot storm costs as much as to answer the packet: each time two threads
    change places on the interpreter. So it is woken once for all that comes within 10 ms."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = Lock()
        self._waiting: list[Callable[[], None]] = []

    def put(self, take: Callable[[*Ts], None], *arguments: *Ts) -> None:
        """From any thread: `take` is called on the loop, in the order of `put`. RuntimeError if the loop is closed."""
        with self._lock:
            self._waiting.append(partial(take, *arguments))
            is_first = len(self._waiting) == 1
        if is_first:
            self._loop.call_soon_threadsafe(self._loop.call_later, _GATHER_SECONDS, self._empty)

    def _empty(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for take in waiting:
            try:
                take()
            except Exception:
                _LOGGER.exception("what a service saw was not taken in")
