"""Serial consoles over SSH: `ssh MACHINE@appliance -p 2222`, with a key that the site program allows.

Nothing but one session with a terminal: no commands, no files, no forwarding. Threads, because paramiko has them.
"""

import asyncio
import logging
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

import paramiko
from paramiko.common import (
    AUTH_FAILED,
    AUTH_SUCCESSFUL,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_SUCCEEDED,
)

from appliance.console.console import CHUNK, Console, Follower
from appliance.errors import ConflictError, MachineryError
from appliance.model.ids import MachineName

_LOGGER = logging.getLogger(__name__)

_SESSIONS = 32
_GRACE = 20.0
_REPLAY = 16 << 10
_BACKLOG = 8


class ConsoleDoor:
    """Listens from `start` to `stop`. `consoles` belong to `loop`; `keys` are OpenSSH public key lines."""

    def __init__(
        self,
        *,
        address: IPv4Address,
        port: int,
        host_key: Path,
        keys: tuple[str, ...],
        consoles: Mapping[MachineName, Console],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._host_key = host_key
        self._allowed = frozenset(line.split()[1] for line in keys if len(line.split()) > 1)
        self._consoles = consoles
        self._loop = loop
        self._where = (str(address), port)
        self._listener: socket.socket | None = None
        self._sessions = threading.BoundedSemaphore(_SESSIONS)
        self._open: set[paramiko.Transport] = set()
        # A session keeps a thread for each direction; the loop's own threads are few and others wait for them.
        self._threads = ThreadPoolExecutor(2 * _SESSIONS, thread_name_prefix="console-ssh")

    @property
    def port(self) -> int:
        return 0 if self._listener is None else int(self._listener.getsockname()[1])

    def start(self) -> None:
        """`MachineryError` when the port cannot be had."""
        try:
            self._key = paramiko.Ed25519Key.from_private_key_file(str(self._host_key))
            self._listener = socket.create_server(self._where, backlog=_BACKLOG)
        except (OSError, paramiko.SSHException) as cause:
            raise MachineryError(
                "consoles cannot be offered over SSH",
                evidence=f"{self._where[0]} port {self._where[1]}: {cause}",
                next_action="free the port, or choose another: console_port in the daemon's configuration",
            ) from cause
        threading.Thread(target=self._accept, args=(self._listener,), name="console-ssh", daemon=True).start()

    def stop(self) -> None:
        """Sessions end."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for transport in tuple(self._open):
            transport.close()
        self._threads.shutdown(wait=False)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, peer = listener.accept()
            except OSError:
                return
            if self._sessions.acquire(blocking=False):
                threading.Thread(target=self._serve, args=(sock, peer[0]), name="console-ssh", daemon=True).start()
            else:
                _LOGGER.warning("console session refused client=%s: %d are open", peer[0], _SESSIONS)
                sock.close()

    def _serve(self, sock: socket.socket, client: str) -> None:
        transport: paramiko.Transport | None = None
        try:
            transport = paramiko.Transport(sock)
            self._open.add(transport)
            self._talk(transport, client)
        except (paramiko.SSHException, OSError, EOFError) as cause:
            _LOGGER.info("console session ended client=%s cause=%s", client, cause)
        except Exception:
            _LOGGER.exception("console session failed client=%s", client)
        finally:
            self._sessions.release()
            if transport is not None:
                self._open.discard(transport)
                transport.close()
            sock.close()

    def _talk(self, transport: paramiko.Transport, client: str) -> None:
        transport.add_server_key(self._key)
        visitor = _Visitor(frozenset(self._consoles), self._allowed)
        transport.auth_timeout = transport.banner_timeout = _GRACE
        transport.start_server(server=visitor)
        channel = transport.accept(_GRACE)
        if channel is None or not visitor.wants_shell.wait(_GRACE):
            return
        machine = MachineName(transport.get_username() or "")
        _LOGGER.info("console opened machine=%s client=%s", machine, client)
        _Session(self._consoles[machine], channel, self._loop, self._threads).run()
        _LOGGER.info("console left machine=%s client=%s", machine, client)


class _Visitor(paramiko.ServerInterface):
    """Whom we let in, and to what."""

    def __init__(self, machines: frozenset[MachineName], allowed: frozenset[str]) -> None:
        self._machines = machines
        self._allowed = allowed
        self.wants_shell = threading.Event()

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        known = username in self._machines and key.get_base64() in self._allowed
        return AUTH_SUCCESSFUL if known else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED if kind == "session" else OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_pty_request(
        self,
        channel: paramiko.Channel,
        term: bytes,
        width: int,
        height: int,
        pixelwidth: int,
        pixelheight: int,
        modes: bytes,
    ) -> bool:
        return True

    def check_channel_shell_request(self, channel: paramiko.Channel) -> bool:
        self.wants_shell.set()
        return True


class _Session:
    """Bytes both ways until either side ends. A client that does not read is left behind by its `Follower`."""

    def __init__(
        self, console: Console, channel: paramiko.Channel, loop: asyncio.AbstractEventLoop, threads: Executor
    ) -> None:
        self._console = console
        self._channel = channel
        self._loop = loop
        self._threads = threads

    def run(self) -> None:
        asyncio.run_coroutine_threadsafe(self._talk(), self._loop).result()

    async def _talk(self) -> None:
        async with self._console.follow(_REPLAY) as follower:
            typing = asyncio.create_task(self._type(follower))
            try:
                while data := await follower.read():
                    await self._loop.run_in_executor(self._threads, self._channel.sendall, data)
            finally:
                self._channel.close()
                await typing

    async def _type(self, follower: Follower) -> None:
        with suppress(OSError):
            while data := await self._loop.run_in_executor(self._threads, self._channel.recv, CHUNK):
                with suppress(ConflictError):
                    await self._console.type(data)
        follower.close()
