"""Push subscriptions (DSP0266 section 12.1): each has a worker that delivers, retries, and in the end gives up."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from appliance.ports import Clock
from appliance.redfish.document import JsonObject, render
from appliance.redfish.errors import refuse
from appliance.redfish.events import EventHub, Listener
from appliance.redfish.messages import MessageId, say

MAX_SUBSCRIPTIONS = 16
RETRY_ATTEMPTS = 3
RETRY_SECONDS = 30
_OK = range(200, 300)


class Post(Protocol):
    async def __call__(self, url: str, body: bytes) -> int:
        """The status of the answer; redirects are not followed. Raises `OSError` (`TimeoutError` is one)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """`context` is the subscriber's own text, sent back with each event."""

    id: str
    destination: str
    context: str


class Subscriptions:
    """`allows` judges a destination URL: which networks may be told is the owner's policy."""

    def __init__(self, hub: EventHub, clock: Clock, post: Post, allows: Callable[[str], bool]) -> None:
        self._hub = hub
        self._clock = clock
        self._post = post
        self._allows = allows
        self._count = 0
        self._subscriptions: dict[str, Subscription] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}

    def all(self) -> tuple[Subscription, ...]:
        return tuple(self._subscriptions.values())

    def find(self, subscription: str) -> Subscription | None:
        return self._subscriptions.get(subscription)

    def add(self, destination: str, context: str) -> Subscription:
        """Raises `RequestError`: 403 by policy, 503 where there are too many."""
        if not self._allows(destination):
            raise refuse(403, say(MessageId.ACCESS_DENIED, destination))
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise refuse(503, say(MessageId.CREATE_LIMIT))
        self._count += 1
        subscription = Subscription(id=str(self._count), destination=destination, context=context)
        self._subscriptions[subscription.id] = subscription
        self._workers[subscription.id] = asyncio.create_task(self._serve(subscription))
        return subscription

    def remove(self, subscription: str) -> None:
        self._subscriptions.pop(subscription, None)
        if (worker := self._workers.pop(subscription, None)) is not None:
            worker.cancel()

    async def close(self) -> None:
        workers = tuple(self._workers.values())
        for identity in tuple(self._workers):
            self.remove(identity)
        await asyncio.gather(*workers, return_exceptions=True)

    async def _serve(self, subscription: Subscription) -> None:
        with self._hub.listen() as listener:
            await self._deliver_all(subscription, listener)
        self._workers.pop(subscription.id, None)
        self._subscriptions.pop(subscription.id, None)

    async def _deliver_all(self, subscription: Subscription, listener: Listener) -> None:
        while not listener.dropped:
            event = await listener.get()
            document: JsonObject = {**event.document, "Context": subscription.context}
            if not await self._deliver(subscription.destination, render(document)):
                return

    async def _deliver(self, url: str, body: bytes) -> bool:
        """False after the last retry: DeliveryRetryPolicy TerminateAfterRetries."""
        for attempt in range(1 + RETRY_ATTEMPTS):
            if attempt:
                await self._clock.sleep(RETRY_SECONDS)
            if await self._is_accepted(url, body):
                return True
        return False

    async def _is_accepted(self, url: str, body: bytes) -> bool:
        try:
            return await self._post(url, body) in _OK
        except OSError:
            return False
