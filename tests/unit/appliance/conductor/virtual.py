"""An event loop whose clock jumps to the next timer when nothing else is left to do: hours pass in milliseconds.

Time stands still while a thread works for the loop (the record log, `asyncio.to_thread`), so that a run is the same
every time.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

from appliance.model.ids import MachineName
from appliance.sim.loop import SimClock
from appliance.store.log import Log
from appliance.store.records import Entry, Record

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_STUCK = 20.0


class _Selector(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.outside = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and (timeout <= 0 or not self.outside):
            self.now += max(0.0, timeout)
            return super().select(0)
        if not (ready := super().select(_STUCK)):
            raise AssertionError("nothing happens any more, and no timer is set")
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def away(self) -> None:
        """A thread works for us: time stands still until `back`, which any thread may call."""
        self._virtual.outside += 1

    def back(self) -> None:
        self.call_soon_threadsafe(self._returned)

    def _returned(self) -> None:
        self._virtual.outside -= 1

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> "asyncio.Future[T]":
        work = super().run_in_executor(executor, func, *args)
        self.away()
        work.add_done_callback(lambda _work: self.back())
        return work


class VirtualLog(Log):
    """The real log; time waits while it writes."""

    def __init__(self, path: Path, loop: VirtualLoop) -> None:
        super().__init__(path, SimClock(loop))
        self._virtual = loop

    def append(self, *new: Record) -> "Future[tuple[Entry, ...]]":
        return self._followed(super().append(*new))

    def read(
        self, *, after: int, machine: MachineName | None, limit: int, kinds: frozenset[str] | None = None
    ) -> "Future[tuple[Entry, ...]]":
        return self._followed(super().read(after=after, machine=machine, limit=limit, kinds=kinds))

    def _followed(self, inner: "Future[tuple[Entry, ...]]") -> "Future[tuple[Entry, ...]]":
        """Time goes on only after whoever waits was told, which the log's thread does in two moves."""
        outer: Future[tuple[Entry, ...]] = Future()

        def end(_inner: "Future[tuple[Entry, ...]]") -> None:
            if outer.set_running_or_notify_cancel():
                if error := inner.exception():
                    outer.set_exception(error)
                else:
                    outer.set_result(inner.result())
            self._virtual.back()

        outer.add_done_callback(lambda _outer: inner.cancel() if outer.cancelled() else None)
        self._virtual.away()
        inner.add_done_callback(end)
        return outer


def virtual_loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def run(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
