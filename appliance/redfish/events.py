"""Server-sent events (DSP0266 section 12.6): one hub, bounded queues; a subscriber that does not read is dropped."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from appliance.redfish.document import JsonObject, render
from appliance.redfish.messages import Severity
from appliance.redfish.systems import time_text

MAX_SUBSCRIBERS = 16
_QUEUE = 256
_QUIET_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """`message_id` is a registry key with prefix; `origin` the URI of what it is about; `time` since the epoch."""

    message_id: str
    message: str
    severity: Severity
    origin: str
    time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One payload (DSP0268, Event); the number is its Id and its SSE id."""

    number: int
    document: JsonObject


class Listener:
    """A bounded queue; `dropped` once its reader was too slow."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Event] = asyncio.Queue(_QUEUE)
        self.dropped = False

    def put(self, event: Event) -> None:
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self.dropped = True

    async def get(self) -> Event:
        return await self._queue.get()


class EventHub:
    def __init__(self) -> None:
        self._number = 0
        self._listeners: set[Listener] = set()
        self._streams = 0

    @property
    def full(self) -> bool:
        return self._streams >= MAX_SUBSCRIBERS

    def publish(self, record: EventRecord) -> None:
        self._number += 1
        event = Event(number=self._number, document=_document(self._number, record))
        for listener in self._listeners:
            listener.put(event)

    @contextmanager
    def listen(self) -> Iterator[Listener]:
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def stream(self, is_welcome: Callable[[], bool]) -> AsyncIterator[bytes]:
        """Ends once the subscriber was dropped or is no longer welcome; a comment line now and then shows life."""
        self._streams += 1
        try:
            with self.listen() as listener:
                yield b": stream of events\n\n"
                while not listener.dropped and is_welcome():
                    try:
                        yield _lines(await asyncio.wait_for(listener.get(), _QUIET_SECONDS))
                    except TimeoutError:
                        yield b": quiet\n\n"
        finally:
            self._streams -= 1


def _document(number: int, record: EventRecord) -> JsonObject:
    entry: JsonObject = {
        "EventId": str(number),
        "MemberId": "0",
        "EventType": "Event",
        "EventTimestamp": time_text(record.time),
        "MessageId": record.message_id,
        "Message": record.message,
        "MessageSeverity": record.severity.value,
        "OriginOfCondition": {"@odata.id": record.origin},
    }
    return {"@odata.type": "#Event.v1_9_0.Event", "Id": str(number), "Name": "Event", "Events": (entry,)}


def _lines(event: Event) -> bytes:
    return b"id: %d\ndata: %s\n\n" % (event.number, render(event.document))
