"""Sends events and audit entries to a syslog collector, as they come.

Syslog acknowledges nothing: what finds no room in the queue, or is under way when a connection ends, is lost. The
record log and the audit log have all of it; who must not miss an event takes a webhook.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Protocol, assert_never

from appliance.errors import InnervateError
from appliance.metrics import catalogue
from appliance.metrics.tally import Tally
from appliance.model.access_views import AuditEntryView
from appliance.model.syslog import Facility, Message, Origin, Severity, encoded
from appliance.model.views import RunState
from appliance.ports import Clock
from appliance.services.views import event_view
from appliance.store.records import (
    ApplianceNoted,
    ClusterNoted,
    Entry,
    MachineSetAside,
    MachineSilent,
    MachineStrayed,
    OrderAnswered,
    Record,
    RunEnded,
    RunPaused,
    SegmentNoted,
    StepResult,
    WebhookGaveUp,
)

_LOGGER = logging.getLogger(__name__)
_ROOM = 10_000
_LONGEST_REST = 60.0
_WAIT = 30.0
_BATCH = 100


class Line(Protocol):
    """To the collector."""

    async def send(self, message: bytes) -> None:
        """Raises `OSError`; the next one tries anew."""
        ...


class Trail(Protocol):
    """The audit log."""

    @property
    def last(self) -> int: ...

    async def read(self, *, after: int, limit: int, wait: float) -> tuple[AuditEntryView, ...]: ...


class Forwarder:
    """A queue of `room` messages: of more, the oldest are lost, and their numbers missing."""

    def __init__(
        self, *, origin: Origin, line: Line, limit: int, clock: Clock, tally: Tally, room: int = _ROOM
    ) -> None:
        self._origin, self._line, self._limit = origin, line, limit
        self._clock, self._tally, self._room = clock, tally, room
        self._waiting: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._number = 0

    def take(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self.put(of_event(entry))

    def put(self, message: Message) -> None:
        self._number += 1
        self._waiting.append(encoded(message, self._origin, self._number, self._limit))
        if len(self._waiting) > self._room:
            self._waiting.popleft()
            self._tally.add(catalogue.SYSLOG, "lost")
        self._news.set()

    async def follow(self, trail: Trail) -> None:
        """Forever: each new audit entry, from the next one on."""
        after = trail.last
        while True:
            try:
                for entry in await trail.read(after=after, limit=_BATCH, wait=_WAIT):
                    self.put(of_deed(entry))
                    after = entry.seq
            except InnervateError as error:
                _LOGGER.warning("syslog does not get the audit log: %s; %s", error, error.evidence)
                await self._clock.sleep(_LONGEST_REST)

    async def run(self) -> None:
        """Forever."""
        while True:
            while not self._waiting:
                self._news.clear()
                await self._news.wait()
            await self._deliver(self._waiting.popleft())

    async def _deliver(self, message: bytes) -> None:
        failures = 0
        while True:
            try:
                await self._line.send(message)
            except OSError as error:
                failures += 1
                if failures & (failures - 1) == 0:  # at powers of two: the log must not fill
                    _LOGGER.warning("the syslog collector does not listen, try %d: %s", failures, error)
                await self._clock.sleep(min(2.0 ** min(failures - 1, 10), _LONGEST_REST))
            else:
                self._tally.add(catalogue.SYSLOG, "sent")
                return


def of_event(entry: Entry) -> Message:
    view = event_view(entry)
    named = (("seq", str(view.seq)), ("machine", view.machine), ("run", view.run))
    return Message(
        facility=Facility.LOCAL0,
        severity=severity_of(entry.record),
        time=view.time,
        kind=view.kind,
        element="event",
        data=(*named, *view.fields.items()),
        text=view.text,
    )


def of_deed(entry: AuditEntryView) -> Message:
    named = ("seq", "who", "role", "via", "source", "method", "route", "target", "status", "trace")
    return Message(
        facility=Facility.AUTHPRIV,
        severity=_gravity(entry),
        time=entry.time,
        kind=entry.event,
        element="audit",
        data=tuple((name, str(getattr(entry, name))) for name in named),
        text=f"{entry.who or 'somebody'} at {entry.source}: {entry.method} {entry.route}, {entry.status}",
    )


def severity_of(record: Record) -> Severity:
    """An error is what stays so without a person; a warning what may get better by itself."""
    match record:
        case StepResult(problem=problem, retry_after=retry_after):
            again = Severity.INFORMATIONAL if problem is None else Severity.WARNING
            return Severity.ERROR if problem is not None and retry_after is None else again
        case RunEnded(state=state):
            return _of_end(state)
        case OrderAnswered(problem=problem):
            return Severity.INFORMATIONAL if problem is None else Severity.WARNING
        case RunPaused() | MachineSetAside() | MachineSilent() | MachineStrayed() | SegmentNoted() | WebhookGaveUp():
            return Severity.WARNING
        case ClusterNoted(refused=refused):
            return Severity.WARNING if refused else Severity.INFORMATIONAL
        case ApplianceNoted(kept=kept):
            return Severity.NOTICE if kept else Severity.ERROR
        case _:
            return Severity.INFORMATIONAL


def _of_end(state: RunState) -> Severity:
    match state:
        case RunState.FAILED:
            return Severity.ERROR
        case RunState.CANCELLED | RunState.DONE | RunState.RUNNING:
            return Severity.NOTICE
        case _:
            assert_never(state)


def _gravity(entry: AuditEntryView) -> Severity:
    if entry.status >= 500:
        return Severity.ERROR
    refused = entry.status >= 400 or entry.event.endswith(("_fail", "_cut"))
    return Severity.WARNING if refused else Severity.NOTICE
