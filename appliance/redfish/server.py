"""The only sockets of the service: uvicorn over TLS, and the client that delivers events."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from types import TracebackType

import aiohttp
import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from appliance.redfish.app import Asgi

_HEADER_BYTES = 16384
_HEADER_SECONDS = 10.0
_IDLE_SECONDS = 60
_CONNECTIONS = 256
_POST_SECONDS = 10.0
_JSON = {"Content-Type": "application/json"}


async def serve(app: Asgi, listener: socket.socket, tls: ssl.SSLContext, stop: asyncio.Event) -> None:
    """Serves until `stop`. The listener is bound already, and the caller's to close; so is what `tls` trusts and
    shows. Whoever is still waiting for events one second after `stop` is cut off."""
    server = _Server(_config(app, tls))
    async with asyncio.TaskGroup() as tasks:
        stopping = tasks.create_task(_exit_after(server, stop))
        await server.serve(sockets=[listener])
        stopping.cancel()


class HttpPost:
    """A `Post` for subscriptions, as a context manager."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=16),
            timeout=aiohttp.ClientTimeout(total=_POST_SECONDS),
        )

    async def __aenter__(self) -> "HttpPost":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def __call__(self, url: str, body: bytes) -> int:
        try:
            async with self._session.post(url, data=body, headers=_JSON, allow_redirects=False) as answer:
                return answer.status
        except (aiohttp.ClientError, ValueError) as error:
            raise OSError(str(error)) from error


async def _exit_after(server: uvicorn.Server, stop: asyncio.Event) -> None:
    await stop.wait()
    server.should_exit = True


def _config(app: Asgi, tls: ssl.SSLContext) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Impatient,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ssl_context_factory=lambda config, default: tls,
        limit_concurrency=_CONNECTIONS,
        h11_max_incomplete_event_size=_HEADER_BYTES,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=1,
    )


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the daemon."""
        yield


class Impatient(H11Protocol):
    """A request line and its headers must be whole some seconds after their first byte, or after the connection."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self._watch()
        else:
            self._unwatch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(_HEADER_SECONDS, self.transport.close)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
