"""An event loop whose clock jumps to the next timer: hours pass in as long as the work in them takes.

One thread runs everything, in an order that depends on nothing outside: no file descriptor is waited for, and what is
meant for a worker thread runs at once, in its place.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EPOCH = 1_800_000_000.0
"""What `SimClock.now` says at the loop's time 0."""

_TURN = 1e-6
"""What a turn of the loop takes: whoever waits for a moment that is lost in the rounding must not wait for ever."""


class StandstillError(RuntimeError):
    """Everybody waits for something, and no timer is set: nothing would happen any more, for ever."""


class _Selector(selectors.SelectSelector):
    """Never looks at a file: to wait is to move the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StandstillError("nothing happens any more, and no timer is set")
        self.now += max(_TURN, timeout)
        return []


class SimLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> "asyncio.Future[T]":
        """At once: where threads would race, the simulation has one order."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done


class SimClock:
    """Implements the clock ports of all packages."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now(self) -> float:
        return EPOCH + self._loop.time()

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` to its end on a loop of its own."""
    with asyncio.Runner(loop_factory=SimLoop) as runner:
        return runner.run(main)
