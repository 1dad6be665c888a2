"""The daemon's part that tells others of what happens: webhooks, a syslog collector, traces."""

import asyncio
import os
from contextlib import AsyncExitStack

from appliance import __version__
from appliance.access.access import Access
from appliance.conductor.memory import Memory
from appliance.config import Settings
from appliance.model.syslog import Origin
from appliance.services.collector import line_to
from appliance.services.meter import Meter
from appliance.services.postman import Postman
from appliance.services.spans import Spans
from appliance.services.syslog import Forwarder
from appliance.services.webhooks import Courier, Position, secret_of
from appliance.system import SystemClock
from appliance.tracing import tracer


def tell(settings: Settings, site: str, memory: Memory, access: Access, meter: Meter, closing: AsyncExitStack) -> None:
    """Whoever wants to hear of events."""
    Spans(memory, tracer())
    _forwarding(settings, site, memory, access, meter, closing)
    for hook in settings.webhooks:
        postman = Postman(hook)
        closing.push_async_callback(postman.close)
        courier = Courier(
            hook=hook,
            site=site,
            secret=secret_of(hook),
            memory=memory,
            position=Position(settings.state_dir / "webhooks" / f"{hook.name}.position"),
            post=postman.post,
            clock=SystemClock(),
            tally=meter.tally,
        )
        closing.callback(asyncio.create_task(courier.run(), name=f"webhook {hook.name}").cancel)


def _forwarding(
    settings: Settings, site: str, memory: Memory, access: Access, meter: Meter, closing: AsyncExitStack
) -> None:
    """Events and audit entries, from now on, to the syslog collector."""
    if settings.syslog is None:
        return
    line = line_to(settings.syslog)
    closing.push_async_callback(line.close)
    forwarder = Forwarder(
        origin=Origin(host=site, process=os.getpid(), version=__version__),
        line=line,
        limit=settings.syslog.limit,
        clock=SystemClock(),
        tally=meter.tally,
    )
    memory.on_entries(forwarder.take)
    for name, work in (("syslog", forwarder.run()), ("syslog audit", forwarder.follow(access.audit))):
        closing.callback(asyncio.create_task(work, name=name).cancel)
