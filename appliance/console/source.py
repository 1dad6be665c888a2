"""Where serial consoles are reached."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import assert_never

from appliance.bmc.ipmi import sol
from appliance.bmc.ipmi.console import SerialLine, serial_line
from appliance.bmc.ipmi.link import IpmiLimits, RefusedRequestError
from appliance.console.console import CHUNK, Line, LineError, Source
from appliance.errors import BmcError, BmcLoginError, BmcSilentError, BmcUnsupportedError
from appliance.model.bmc import BmcEndpoint
from appliance.model.console_views import ConsoleState
from appliance.model.site import ConsoleSource, SolConsole, TcpConsole, UnixConsole
from appliance.ports import Clock, Rng

_LOGGER = logging.getLogger(__name__)

_CONNECT_SECONDS = 10.0
_LOCAL_RETRY = 0.2
_REMOTE_RETRY = 3.0
_REFUSED_SECONDS = 900.0

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def source_of(
    stated: ConsoleSource, bmc: Callable[[], BmcEndpoint], clock: Clock, rng: Rng, limits: IpmiLimits | None = None
) -> Source:
    """`bmc` is that of the console's machine, asked anew for each session: its password may change."""
    match stated:
        case UnixConsole(path=path):
            # A virtual machine's first words come with its socket: whoever looks once a second misses them.
            connect = partial(asyncio.open_unix_connection, str(path), limit=CHUNK)
            return Source(open=partial(_stream, connect), retry=_LOCAL_RETRY)
        case TcpConsole():
            return Source(open=partial(_stream, partial(_tcp, stated)), retry=_REMOTE_RETRY)
        case SolConsole():

            def dial() -> AbstractAsyncContextManager[SerialLine]:
                return serial_line(bmc(), clock, rng, limits)

            return Source(open=partial(_sol, dial), retry=_REMOTE_RETRY)
        case _:
            assert_never(stated)


async def _tcp(stated: TcpConsole) -> Streams:
    async with asyncio.timeout(_CONNECT_SECONDS):
        return await asyncio.open_connection(str(stated.address), stated.port, limit=CHUNK)


class StreamLine:
    """Implements `Line`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.read, self.write, self.drain = reader.read, writer.write, writer.drain


@asynccontextmanager
async def _stream(connect: Callable[[], Awaitable[Streams]]) -> AsyncIterator[Line]:
    reader, writer = await connect()
    try:
        yield StreamLine(reader, writer)
    finally:
        writer.close()


class _Serial:
    """Implements `Line`. A BMC has one line, and ends a session when it gives that line to another."""

    def __init__(self, line: SerialLine) -> None:
        self._line = line

    async def read(self, most: int, /) -> bytes:
        try:
            data = await self._line.read(most)
        except BmcError as error:
            raise _lost(error) from error
        if not data:
            raise LineError(
                ConsoleState.TAKEN,
                "the session was taken by another client",
                evidence="the BMC ended our session on its serial line",
                next_action="find out who else uses this line, such as `ipmitool sol`: the appliance "
                "asks for it again in a moment, and takes it back",
            )
        return data

    def write(self, data: bytes, /) -> None:
        self._line.write(data)

    async def drain(self) -> None:
        await self._line.drain()


@asynccontextmanager
async def _sol(dial: Callable[[], AbstractAsyncContextManager[SerialLine]]) -> AsyncIterator[Line]:
    """A refusal that asking again does not change is not asked for again soon: repeated log-ins lock accounts."""
    try:
        async with dial() as line:
            yield _Serial(line)
    except BmcError as error:
        raise _lost(error) from error


def _lost(error: BmcError) -> LineError:
    match error:
        case BmcLoginError() | BmcUnsupportedError():
            _LOGGER.warning("no serial console: %s; %s; %s", error, error.evidence, error.next_action)
            return _line_error(ConsoleState.REFUSED, str(error), error, retry=_REFUSED_SECONDS)
        case BmcSilentError():
            return _line_error(ConsoleState.SILENT, "the BMC does not answer", error)
        case RefusedRequestError(completion=sol.ALREADY_ACTIVE):
            return _line_error(ConsoleState.TAKEN, "another client holds the BMC's only serial line", error)
        case _:
            return _line_error(ConsoleState.REFUSED, str(error), error)


def _line_error(state: ConsoleState, text: str, error: BmcError, retry: float | None = None) -> LineError:
    seen = "; ".join(dict.fromkeys(filter(None, (str(error), error.evidence))))
    action = error.next_action or "check the BMC's address, cable and power"
    return LineError(state, text, evidence=seen, next_action=action, retry=retry)
