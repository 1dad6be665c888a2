"""A WebSocket to a machine's serial console: binary messages both ways, and on request text ones about the line itself.

Whoever may look may read it; only operators type.
"""

import asyncio
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Query, Response, WebSocket, WebSocketDisconnect

from appliance.access.model import Role
from appliance.api.gate import Asker, needs
from appliance.api.routes import App, Machine
from appliance.console.console import CHUNK, Console, Follower
from appliance.errors import ConflictError
from appliance.model.codec import to_json

_MOST = 8 << 20

router = APIRouter(prefix="/v1")
Past = Annotated[int, Query(ge=0, le=_MOST, description="bytes that it said before")]
States = Annotated[bool, Query(description="also text messages: a `ConsoleView` whenever the line's state changes")]


@router.get("/machines/{name}/console", response_class=Response, dependencies=needs(Role.VIEWER))
async def recorded(application: App, name: Machine, past: Past = _MOST) -> Response:
    return Response(application.console(name).tail(past), media_type="application/octet-stream")


@router.websocket("/machines/{name}/console", dependencies=needs(Role.VIEWER))
async def attached(
    socket: WebSocket, application: App, caller: Asker, name: Machine, past: Past = 16384, states: States = False
) -> None:
    console = application.console(name)
    await socket.accept()
    async with console.follow(past) as follower:
        work = [_outward(socket, follower), _inward(socket, console, types=caller.role.includes(Role.OPERATOR))]
        tasks = [asyncio.create_task(one) for one in (*work, *((_told(socket, console),) if states else ()))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    with suppress(RuntimeError, WebSocketDisconnect):  # it was the caller who hung up
        await socket.close()


async def _told(socket: WebSocket, console: Console) -> None:
    with suppress(WebSocketDisconnect, OSError):
        seen = console.view
        while True:
            await socket.send_text(to_json(seen).decode())
            seen = await console.changed(seen)


async def _outward(socket: WebSocket, follower: Follower) -> None:
    with suppress(WebSocketDisconnect, OSError):
        while data := await follower.read():
            for start in range(0, len(data), CHUNK):
                await socket.send_bytes(data[start : start + CHUNK])


async def _inward(socket: WebSocket, console: Console, *, types: bool) -> None:
    """What is typed while nobody listens is lost, as on the line itself; what a viewer types is, too."""
    with suppress(WebSocketDisconnect):
        while True:
            data = await socket.receive_bytes()
            if types:
                with suppress(ConflictError, OSError):
                    await console.type(data)
