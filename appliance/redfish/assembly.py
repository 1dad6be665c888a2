"""The service put together."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from appliance.ports import Clock, Rng
from appliance.redfish.accounts import Account, Accounts, AuthLimits, Save, forget
from appliance.redfish.app import Asgi, make_app
from appliance.redfish.auth import Gate, Sessions
from appliance.redfish.backend import Backend
from appliance.redfish.desk import Desk
from appliance.redfish.events import EventHub
from appliance.redfish.model import ServiceInfo
from appliance.redfish.service import RedfishService
from appliance.redfish.subscriptions import Post, Subscriptions
from appliance.redfish.tasks import Tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """`allows` says which URLs subscribers may have events sent to."""

    clock: Clock
    rng: Rng
    post: Post
    allows: Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """It has no account until one is added to `accounts`."""

    accounts: Accounts
    service: RedfishService
    app: Asgi


@asynccontextmanager
async def assembled(
    backend: Backend,
    info: ServiceInfo,
    world: World,
    limits: AuthLimits | None = None,
    saved: Iterable[Account] = (),
    save: Save = forget,
) -> AsyncIterator[Assembly]:
    """At the end its tasks, deliveries and watching end too."""
    limits = limits or AuthLimits()
    accounts = Accounts(world.clock, world.rng, limits, saved, save)
    hub, tasks = EventHub(), Tasks(world.clock)
    subscriptions = Subscriptions(hub, world.clock, world.post, world.allows)
    gate = Gate(accounts, Sessions(world.clock, world.rng, limits))
    desk = Desk(info=info, limits=limits, gate=gate, hub=hub, subscriptions=subscriptions, tasks=tasks)
    service = RedfishService(backend, desk, world.clock)
    watching = asyncio.create_task(service.watch())
    try:
        yield Assembly(accounts=accounts, service=service, app=make_app(service, hub))
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await tasks.close()
        await subscriptions.close()
