"""The only sockets of the API: uvicorn on a Unix socket, and on TCP over TLS, inside the daemon's own event loop."""

import asyncio
import os
import pwd
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol
from websockets.exceptions import InvalidState

from appliance.api.gate import Peer
from appliance.errors import MachineryError
from appliance.redfish.server import Impatient
from pxe.inherited import inherited

_MESSAGE_LIMIT = 1 << 20
_CONNECTIONS = 512
_HEADER_BYTES = 16384


@dataclass(frozen=True, slots=True, kw_only=True)
class Secure:
    """A bound TCP socket, and what is shown to those who come by it."""

    listener: socket.socket
    tls: ssl.SSLContext


async def serve(
    app: FastAPI,
    socket_path: Path,
    stop: asyncio.Event,
    secure: Secure | None = None,
    *,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serves until `stop`; the socket accepts connections from the first await on, and is gone at the end. `ready` is
    called when it does.

    Whoever is still waiting for events one second after `stop` is cut off.
    Raises `MachineryError` when another process serves there, or the path cannot be bound.
    """
    with _listening(socket_path) as listener:
        ready()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_serve(_config(app), listener, stop))
            if secure is not None:
                tasks.create_task(_serve(_secure_config(app, secure.tls), secure.listener, stop))


@contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    """What systemd holds stays in its place at the end; our own does not."""
    held = inherited(socket.SOCK_STREAM, str(path))
    with held or listen(path) as listener:
        try:
            yield listener
        finally:
            if held is None:
                path.unlink(missing_ok=True)


def listen_on(port: int) -> socket.socket:
    """On every address of ours, by systemd where it holds the port. Raises `MachineryError`."""
    if (held := inherited(socket.SOCK_STREAM, ("::", port))) is not None:
        return held
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except OSError as error:
        raise MachineryError(
            f"cannot serve the API on port {port}", evidence=str(error), next_action="choose another https_port"
        ) from error


async def _serve(config: uvicorn.Config, listener: socket.socket, stop: asyncio.Event) -> None:
    """The end of one is the end of all."""
    server = _Server(config)
    async with asyncio.TaskGroup() as tasks:
        stopping = tasks.create_task(_exit_after(server, stop))
        with suppress(InvalidState):  # uvicorn bids WebSockets farewell that are on their way out already
            await server.serve(sockets=[listener])
        stopping.cancel()
    stop.set()


def listen(path: Path) -> socket.socket:
    """A listening Unix socket with mode 0600 from before its first connection; a dead one in its place is removed."""
    try:
        if path.is_socket():
            _refuse_living(path)
            path.unlink()
        return _bind(path)
    except OSError as error:
        raise MachineryError(
            f"cannot listen on {path}", evidence=str(error), next_action="choose another socket path"
        ) from error


def _bind(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def _refuse_living(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return
    raise MachineryError(f"another daemon already serves {path}", next_action="stop it, or choose another socket path")


async def _exit_after(server: uvicorn.Server, stop: asyncio.Event) -> None:
    await stop.wait()
    server.should_exit = True


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Named,
        ws="websockets-sansio",
        ws_max_size=_MESSAGE_LIMIT,
        ws_per_message_deflate=False,  # SSH is already encrypted: there is nothing to squeeze
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )


def _secure_config(app: FastAPI, tls: ssl.SSLContext) -> uvicorn.Config:
    config = _config(app)
    config.http = Impatient
    config.ssl_context_factory = lambda config, default: tls
    config.limit_concurrency = _CONNECTIONS
    config.h11_max_incomplete_event_size = _HEADER_BYTES
    return config


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the daemon."""
        yield


class _Named(H11Protocol):
    """Tells the application whom the kernel names at the other end of a Unix socket (unix(7), SO_PEERCRED)."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer = transport.get_extra_info("socket")
        if peer is not None and peer.family == socket.AF_UNIX:
            self.app_state = {**self.app_state, "peer": peer_of(peer)}


def peer_of(connection: socket.socket) -> Peer:
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    return Peer(user=user, trusted=uid in (0, os.geteuid()))
