"""The pages on a real socket, in a loop on a thread of its own."""

import asyncio
import socket
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from appliance.access.model import Caller, Role, Via
from appliance.api.common import Steering
from appliance.api.fake import fake_access
from appliance.web.app import create_pages
from appliance.web.port import Doors

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    url: str
    loop: asyncio.AbstractEventLoop

    def do(self, work: Coroutine[object, object, T]) -> T:
        """Runs it where the application lives."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)


@contextmanager
def serving(appliance: Steering, role: Role = Role.ADMIN) -> Iterator[Serving]:
    """Behind a gate that knows everybody as one caller; the real gate is in test_entry."""
    with socket.create_server(("127.0.0.1", 0)) as listener, fake_access() as access:
        app = _known_as(Caller(name="local:test", role=role, via=Via.SOCKET), appliance, access)
        config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1, access_log=False)
        server, loop = uvicorn.Server(config), asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_until_complete, args=(_serve(server, listener),))
        thread.start()
        try:
            yield Serving(url=f"http://127.0.0.1:{listener.getsockname()[1]}", loop=loop)
        finally:
            server.should_exit = True
            thread.join()
            loop.close()


def _known_as(caller: Caller, appliance: Steering, doors: Doors) -> ASGIApp:
    pages = create_pages(appliance, doors, life="life", now=time.time)

    async def admitted(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["caller"] = caller
        await pages(scope, receive, send)

    return admitted


async def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
    """At its end every connection is cut, as by the death of a process."""
    await server.serve([listener])
    for connection in list(server.server_state.connections):
        connection.transport.abort()  # type: ignore[union-attr]  # no WebSockets here
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
