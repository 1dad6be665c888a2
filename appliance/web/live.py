"""What changes while somebody looks: one reader of the appliance, any number of viewers.

A viewer is told what changed since the version that it has seen, at most ten times a second, drawn once for all who see
the same. It lags behind, it never piles up: what is not sent yet is a version number.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from itertools import takewhile

from appliance.api.common import Looking
from appliance.errors import InnervateError
from appliance.model.ids import MachineName
from appliance.model.standing import standing
from appliance.model.views import EventView, MachineView

_READ_WAIT = 1.0
"""Seconds; the progress of an agent's task is in no event, so it is looked at as often."""
_CALM = 0.1
_BEAT = 15.0
_KEPT = 20_000
_BATCH = 500

SITE = ""
"""The key of what belongs to no machine: runs, counts, the boot network."""

METER = "~"
"""The key of what is measured every few seconds. No machine is called so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """`key` is a machine, or `SITE`. `said` is for screen readers."""

    version: int
    key: str
    said: str = ""
    event: EventView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """`mark` names the version for `Hub.watch`."""

    mark: str
    keys: frozenset[str]
    said: tuple[str, ...]
    events: tuple[EventView, ...]


Draw = Callable[[str], Mapping[str, str]]
"""From a key to fragments of a page, by element id."""


class Hub:
    def __init__(self, appliance: Looking, life: str) -> None:
        """`life` is another one for each start of the daemon: marks of an earlier one mean nothing."""
        self._appliance = appliance
        self._life = life
        self._version = 1
        self._changes: deque[Change] = deque(maxlen=_KEPT)
        self._machines: dict[str, MachineView] = {}
        self._seen: int | None = None
        self._news = asyncio.Event()
        self._viewers = 0
        self._sampled = 0.0
        self._reader: asyncio.Task[None] | None = None
        self._changed: dict[str, int] = {}
        self._drawn: dict[tuple[str, str], tuple[int, Mapping[str, str]]] = {}
        self._lines: dict[int, str] = {}

    def mark(self) -> str:
        """Of what a page that is drawn now shows."""
        if self._seen is None:
            self._look_at_all()
        return f"{self._life}-{self._version}"

    @property
    def seen(self) -> int:
        """The latest event that was read."""
        return self._seen or 0

    async def watch(self, mark: str) -> AsyncGenerator[Update | None, None]:
        """What changed since `mark`; None now and then when nothing did, so that a dead connection is noticed."""
        self._enter()
        try:
            version = self._version_of(mark)
            while True:
                if version == self._version:
                    await self._wait()
                if version == self._version:
                    yield None
                    continue
                update = self._since(version)
                version = self._version
                yield update
                await asyncio.sleep(_CALM)
        finally:
            self._leave()

    def drawn(self, page: str, key: str, draw: Draw) -> Mapping[str, str]:
        """Drawn once for each change of `key`, whoever asks."""
        kept, changed = self._drawn.get((page, key)), self._changed.get(key, 0)
        if len(self._drawn) > _KEPT:  # addresses of pages are the viewers' to choose
            self._drawn.clear()
        if kept is None or kept[0] != changed:
            kept = self._drawn[page, key] = (changed, draw(key))
        return kept[1]

    def line(self, event: EventView, draw: Callable[[EventView], str]) -> str:
        """Drawn once, whoever asks: what happened does not change."""
        if len(self._lines) > _KEPT:
            self._lines.clear()
        if (kept := self._lines.get(event.seq)) is None:
            kept = self._lines[event.seq] = draw(event)
        return kept

    def _version_of(self, mark: str) -> int:
        life, _, version = mark.rpartition("-")
        known = life == self._life and version.isdecimal() and int(version) <= self._version
        return int(version) if known else 0

    def _since(self, version: int) -> Update:
        """Everything, for whoever comes from another life or lags too far behind."""
        found = list(takewhile(lambda change: change.version > version, reversed(self._changes)))[::-1]
        lost = version == 0 or self._changes[0].version > version + 1
        return Update(
            mark=self.mark(),
            keys=frozenset((*self._machines, SITE, *self._measured()) if lost else (change.key for change in found)),
            said=tuple(change.said for change in found if change.said),
            events=tuple(change.event for change in found if change.event is not None),
        )

    def _measured(self) -> tuple[str, ...]:
        return (METER,) if METER in self._changed else ()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_BEAT):
                await self._news.wait()
        except TimeoutError:
            return

    def _enter(self) -> None:
        self._viewers += 1
        if self._reader is None or self._reader.done():
            self._look_at_all()
            self._reader = asyncio.create_task(self._follow(), name="web viewers")

    def _leave(self) -> None:
        self._viewers -= 1
        if self._viewers == 0 and self._reader is not None:
            self._reader.cancel()
            self._reader = None
            self._drawn.clear()
            self._lines.clear()

    def _look_at_all(self) -> None:
        """What happened while nobody looked is told to pages that were drawn meanwhile, unless it is too much."""
        view = self._appliance.machines()
        if self._seen is None or view.last - self._seen > _KEPT // 4:
            self._seen = view.last
        for machine in view.machines:
            self._note_machine(machine)

    async def _follow(self) -> None:
        while True:
            assert self._seen is not None  # noqa: S101  set before this task is made
            try:
                view = await self._appliance.events(after=self._seen, machine=None, limit=_BATCH, wait=_READ_WAIT)
            except InnervateError:
                await asyncio.sleep(_READ_WAIT)
                continue
            self._seen = max(self._seen, view.last)
            self._take(view.events)
            await asyncio.sleep(_CALM / 2)

    def _take(self, events: tuple[EventView, ...]) -> None:
        working = {name for name, machine in self._machines.items() if _makes_progress(machine)}
        for name in {event.machine for event in events} | working:
            if name in self._machines:
                self._note_machine(self._appliance.machine(MachineName(name)))
        for event in events:
            self._note(Change(version=self._version + 1, key=event.machine or SITE, event=event))
        if events:
            self._note(Change(version=self._version + 1, key=SITE))
        if (samples := self._appliance.stores.history().samples) and samples[-1].time != self._sampled:
            self._sampled = samples[-1].time
            self._note(Change(version=self._version + 1, key=METER))

    def _note_machine(self, machine: MachineView) -> None:
        before = self._machines.get(machine.name)
        if before == machine:
            return
        self._machines[machine.name] = machine
        word = standing(machine)
        turned = before is not None and standing(before) is not word
        said = f"{machine.name} is {word.value}" if turned else ""
        self._note(Change(version=self._version + 1, key=machine.name, said=said))

    def _note(self, change: Change) -> None:
        self._version = self._changed[change.key] = change.version
        self._changes.append(change)
        news, self._news = self._news, asyncio.Event()
        news.set()


def _makes_progress(machine: MachineView) -> bool:
    """Or may begin to: only what writes to disks says how far it is."""
    return machine.progress is not None or (machine.step is not None and machine.step.kind == "destructive")
