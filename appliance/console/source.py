"""Where serial consoles are reached."""

import asyncio
from functools import partial
from typing import assert_never

from appliance.console.console import CHUNK, Source, Stream
from appliance.model.site import ConsoleSource, TcpConsole, UnixConsole

_CONNECT_SECONDS = 10.0
_LOCAL_RETRY = 0.2
_REMOTE_RETRY = 3.0


def source_of(stated: ConsoleSource) -> Source:
    match stated:
        case UnixConsole(path=path):
            # A virtual machine's first words come with its socket: whoever looks once a second misses them.
            return Source(open=partial(asyncio.open_unix_connection, str(path), limit=CHUNK), retry=_LOCAL_RETRY)
        case TcpConsole():
            return Source(open=partial(_tcp, stated), retry=_REMOTE_RETRY)
        case _:
            assert_never(stated)


async def _tcp(stated: TcpConsole) -> Stream:
    async with asyncio.timeout(_CONNECT_SECONDS):
        return await asyncio.open_connection(str(stated.address), stated.port, limit=CHUNK)
