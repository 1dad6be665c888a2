"""A WebSocket to a machine's serial console: binary messages both ways."""

import asyncio
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Query, Response, WebSocket, WebSocketDisconnect

from appliance.access.model import Role
from appliance.api.gate import needs
from appliance.api.routes import App, Machine
from appliance.console.console import CHUNK, Console, Follower
from appliance.errors import ConflictError

_MOST = 8 << 20

router = APIRouter(prefix="/v1")
Past = Annotated[int, Query(ge=0, le=_MOST, description="bytes that it said before")]


@router.get("/machines/{name}/console", response_class=Response, dependencies=needs(Role.OPERATOR))
async def recorded(application: App, name: Machine, past: Past = _MOST) -> Response:
    return Response(application.console(name).tail(past), media_type="application/octet-stream")


@router.websocket("/machines/{name}/console", dependencies=needs(Role.OPERATOR))
async def attached(socket: WebSocket, application: App, name: Machine, past: Past = 16384) -> None:
    console = application.console(name)
    await socket.accept()
    async with console.follow(past) as follower:
        outward = asyncio.create_task(_outward(socket, follower))
        inward = asyncio.create_task(_inward(socket, console))
        try:
            await asyncio.wait((outward, inward), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (outward, inward):
                task.cancel()
            await asyncio.gather(outward, inward, return_exceptions=True)
    with suppress(RuntimeError, WebSocketDisconnect):  # it was the caller who hung up
        await socket.close()


async def _outward(socket: WebSocket, follower: Follower) -> None:
    with suppress(WebSocketDisconnect, OSError):
        while data := await follower.read():
            for start in range(0, len(data), CHUNK):
                await socket.send_bytes(data[start : start + CHUNK])


async def _inward(socket: WebSocket, console: Console) -> None:
    """What is typed while nobody listens is lost, as on the line itself."""
    with suppress(WebSocketDisconnect):
        while True:
            data = await socket.receive_bytes()
            with suppress(ConflictError, OSError):
                await console.type(data)
