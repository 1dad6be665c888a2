"""The record log and the world folded from it, bound to one event loop.

`remember` returns after the records are durable *and* folded, so that whoever continues sees their effect.
`tick` grows at each change: read it before looking, wait for the next one after.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Protocol

from appliance.conductor.world import World
from appliance.model.ids import MachineName
from appliance.store.handover import Handover
from appliance.store.records import Entry, Record


class RecordLog(Protocol):
    """What `Memory` needs of a log: `appliance.store.log.Log` on a disk, the simulator's on a simulated one."""

    def open(self) -> tuple[Entry, ...]: ...

    def subscribe(self, subscriber: Callable[[tuple[Entry, ...]], None]) -> None:
        """Called with every entry once, in order, after it is durable."""
        ...

    def append(self, *new: Record) -> "Future[tuple[Entry, ...]]":
        """Ends when the records are durable; with `MachineryError` when they never will be."""
        ...

    def read(
        self, *, after: int, machine: MachineName | None, limit: int, kinds: frozenset[str] | None = None
    ) -> "Future[tuple[Entry, ...]]":
        """In order; of all machines with `machine` None, of all kinds with `kinds` None."""
        ...

    def latest(
        self, *, before: int | None, machine: MachineName | None, limit: int, kinds: frozenset[str] | None = None
    ) -> "Future[tuple[Entry, ...]]":
        """The same from the other end: the latest come first, of all with `before` None."""
        ...


class Memory:
    def __init__(self, log: RecordLog) -> None:
        self.world = World()
        self._log = log
        self._handover = Handover(asyncio.get_running_loop())
        self._pulses: dict[MachineName, asyncio.Event] = {}
        self._any = asyncio.Event()
        self.tick = 0
        self._listeners: list[Callable[[frozenset[MachineName]], None]] = []
        self._readers: list[Callable[[tuple[Entry, ...]], None]] = []

    def open(self) -> None:
        """Folds all that was ever recorded. Raises `MachineryError`."""
        self._log.subscribe(self._hand_over)
        self.world.fold_all(self._log.open())

    def on_change(self, listener: Callable[[frozenset[MachineName]], None]) -> None:
        """`listener` is called on the loop with the machines that the latest records are about."""
        self._listeners.append(listener)

    def on_entries(self, reader: Callable[[tuple[Entry, ...]], None]) -> None:
        """`reader` is called on the loop with the latest entries, when they are folded."""
        self._readers.append(reader)

    async def remember(self, *records: Record) -> tuple[Entry, ...]:
        return await self._handover.result(self._log.append(*records))

    def note(self, record: Record) -> None:
        """For observations that nobody waits for; if the log refuses, the next `remember` says so."""
        self._log.append(record)

    async def read(
        self, *, after: int, machine: MachineName | None, limit: int, kinds: frozenset[str] | None = None
    ) -> tuple[Entry, ...]:
        found = self._log.read(after=after, machine=machine, limit=limit, kinds=kinds)
        return await self._handover.result(found)

    async def latest(
        self, *, before: int | None, machine: MachineName | None, limit: int, kinds: frozenset[str] | None = None
    ) -> tuple[Entry, ...]:
        found = self._log.latest(before=before, machine=machine, limit=limit, kinds=kinds)
        return await self._handover.result(found)

    def pulse(self, machine: MachineName) -> None:
        """Something about this machine changed that is not in the log, such as an agent's poll."""
        if event := self._pulses.pop(machine, None):
            event.set()

    async def pulsed(self, machine: MachineName, seconds: float | None) -> None:
        """Returns at the next change of this machine, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._pulses.setdefault(machine, asyncio.Event()).wait()
        except TimeoutError:
            return

    async def changed(self, tick: int, seconds: float | None) -> None:
        """Returns when `tick` is no longer the present one, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while tick == self.tick:
                    await self._any.wait()
        except TimeoutError:
            return

    def wake(self) -> None:
        self.tick += 1
        event, self._any = self._any, asyncio.Event()
        event.set()

    def _hand_over(self, entries: tuple[Entry, ...]) -> None:
        self._handover.put(partial(self._fold, entries))

    def _fold(self, entries: tuple[Entry, ...]) -> None:
        self.world.fold_all(entries)
        machines = frozenset(name for entry in entries for name in self.world.concerns(entry.record))
        for reader in self._readers:
            reader(entries)
        for listener in self._listeners:
            listener(machines)
        for machine in sorted(machines):
            self.pulse(machine)
        self.wake()
