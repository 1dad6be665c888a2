"""A machine's serial port for a program that wants one TCP connection: it stays up while the machine comes and goes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_RETRY = 0.1
_CHUNK = 4096


@asynccontextmanager
async def serial_port(console: Path) -> AsyncIterator[int]:
    """The TCP port on 127.0.0.1; `console` is the Unix socket that the machine serves while it is on."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        typed: asyncio.Queue[bytes] = asyncio.Queue()
        machine = asyncio.create_task(_follow(console, writer, typed))
        try:
            while data := await reader.read(_CHUNK):
                typed.put_nowait(data)
        except ConnectionError:
            pass
        finally:
            machine.cancel()
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def _follow(console: Path, writer: asyncio.StreamWriter, typed: asyncio.Queue[bytes]) -> None:
    """The machine's words, of one boot after the other; keys typed while it is off are lost, as on a real line."""
    while True:
        with suppress(OSError):
            heard, machine = await asyncio.open_unix_connection(console)
            typing = asyncio.create_task(_type(machine, typed))
            try:
                while data := await heard.read(_CHUNK):
                    writer.write(data)
                    await writer.drain()
            finally:
                typing.cancel()
                machine.close()
        await asyncio.sleep(_RETRY)


async def _type(machine: asyncio.StreamWriter, typed: asyncio.Queue[bytes]) -> None:
    while True:
        machine.write(await typed.get())
