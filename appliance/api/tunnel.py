"""A WebSocket that ends at a machine's SSH port, so that whoever reaches the API reaches the machine.

The application alone says where that port is; a caller names a machine, never an address.
"""

import asyncio
from contextlib import suppress

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from appliance.access.model import Role
from appliance.api.gate import needs
from appliance.api.routes import App, Machine
from appliance.errors import ShellError
from appliance.model.views import ShellView

CHUNK = 65536
_CONNECT_SECONDS = 10

router = APIRouter(prefix="/v1")


@router.websocket("/machines/{name}/tunnel", dependencies=needs(Role.OPERATOR))
async def tunnel(socket: WebSocket, application: App, name: Machine) -> None:
    reader, writer = await _connect(await application.shell(name))
    try:
        await socket.accept()
        await _relay(socket, reader, writer)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _connect(shell: ShellView) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await asyncio.open_connection(shell.address, shell.port, limit=CHUNK)
    except OSError as error:  # TimeoutError is one
        raise ShellError(
            f"{shell.machine} does not accept SSH connections",
            evidence=f"TCP {shell.address} port {shell.port}: {error or 'no answer'}",
            next_action=f"see `innervate status {shell.machine}`: is it powered on and active?",
        ) from error


async def _relay(socket: WebSocket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ends when either side does; each direction holds at most one chunk beyond the sockets' own buffers."""
    inward = asyncio.create_task(_inward(socket, writer))
    outward = asyncio.create_task(_outward(socket, reader))
    try:
        await asyncio.wait((inward, outward), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (inward, outward):
            task.cancel()
        await asyncio.gather(inward, outward, return_exceptions=True)
    with suppress(RuntimeError, WebSocketDisconnect):  # it was the caller who hung up
        await socket.close()


async def _inward(socket: WebSocket, writer: asyncio.StreamWriter) -> None:
    with suppress(WebSocketDisconnect, OSError):
        while True:
            writer.write(await socket.receive_bytes())
            await writer.drain()


async def _outward(socket: WebSocket, reader: asyncio.StreamReader) -> None:
    with suppress(WebSocketDisconnect, OSError):
        while data := await reader.read(CHUNK):
            await socket.send_bytes(data)
