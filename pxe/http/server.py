"""The boot HTTP server: one thread, epoll and sendfile, HTTP/1.1 with keep-alive, plain and over TLS."""

import logging
import os
import select
import socket
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from pxe.http.admission import Admission, Caps, Welcome
from pxe.http.connection import Account, Connection, Hall, HttpEvent, Phase, Routes
from pxe.http.packet import RequestHead
from pxe.http.responder import HttpReply
from pxe.http.stream import PlainStream, TlsStream
from pxe.http.workers import Workers
from pxe.ports import Clock
from pxe.sockets import Loop, bind

__all__ = ["PORT", "TLS_PORT", "Caps", "HttpEvent", "HttpServer", "Routes", "Tls"]

log = logging.getLogger(__name__)

PORT = 80
TLS_PORT = 443

_TICK = 0.5
_ACCEPTS = 64
_COUNTED_CLIENTS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """A second listener of the same server; see `pxe.tls.server_context`."""

    context: ssl.SSLContext
    port: int = TLS_PORT


class HttpServer:
    """`observe` is called from the server's thread."""

    def __init__(
        self,
        *,
        address: IPv4Address,
        routes: Routes,
        clock: Clock,
        observe: Callable[[HttpEvent], None],
        port: int = PORT,
        caps: Caps | None = None,
        tls: Tls | None = None,
    ) -> None:
        self._clock = clock
        self._caps = caps or Caps()
        self._admission = Admission(self._caps)
        self._connections: set[Connection] = set()
        self._accounts: dict[IPv4Address, Account] = {}
        self._forgotten = 0
        self._accepting = True
        self._replies: deque[tuple[Connection, RequestHead, HttpReply]] = deque()
        self._listeners = _listeners(address, port, tls)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._workers = Workers(threads=self._caps.workers, waiting=self._caps.waiting)
        self._loop = Loop(name="http", tick=self._tick, period=_TICK)
        self._hall = Hall(
            routes=routes,
            clock=clock,
            observe=observe,
            caps=self._caps,
            admission=self._admission,
            workers=self._workers,
            loop=self._loop,
            finished=self._on_finished,
            closed=self._on_closed,
        )
        self._loop.watch(self._wake, select.EPOLLIN, self._on_replies)
        for listener, context in self._listeners:
            self._loop.watch(listener.fileno(), select.EPOLLIN, self._acceptor(listener, context))

    @property
    def port(self) -> int:
        return _port(self._listeners[0][0])

    @property
    def tls_port(self) -> int:
        """0 without TLS."""
        return _port(self._listeners[1][0]) if len(self._listeners) > 1 else 0

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        self._loop.stop()
        ended = self._workers.stop()
        for connection in list(self._connections):
            connection.close()
        for listener, _ in self._listeners:
            listener.close()
        # A handler that was left behind will still write to it, and by then the number could be another file's.
        if ended:
            os.close(self._wake)

    def sent_bytes(self, client: IPv4Address) -> int:
        """Body bytes that this client took so far, transfers under way included; from any thread."""
        account = self._accounts.get(client)
        return 0 if account is None else account.sent

    def sent_in_all(self) -> int:
        """The same for all clients together."""
        return self._forgotten + sum(account.sent for account in list(self._accounts.values()))

    # Connections

    def _acceptor(self, listener: socket.socket, context: ssl.SSLContext | None) -> Callable[[int], None]:
        def on_accept(_: int) -> None:
            for _ in range(_ACCEPTS):
                try:
                    sock, (client, _port) = listener.accept()
                except BlockingIOError:
                    return
                except OSError as cause:
                    log.error("cannot accept; trying again in a moment cause=%s", cause)
                    self._set_accepting(False)
                    return
                self._greet(sock, client, context)

        return on_accept

    def _set_accepting(self, accepting: bool) -> None:
        if accepting is not self._accepting:
            self._accepting = accepting
            for listener, _ in self._listeners:
                self._loop.alter(listener.fileno(), select.EPOLLIN if accepting else 0)

    def _greet(self, sock: socket.socket, client: str, context: ssl.SSLContext | None) -> None:
        welcome = self._admission.arrive(client)
        if welcome is Welcome.GO_AWAY or (context is not None and not self._may_shake_hands(welcome)):
            self._admission.leave(client)
            sock.close()
            return
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = PlainStream(sock) if context is None else TlsStream(sock, context)
        except OSError as cause:
            log.debug("connection ended client=%s cause=%s", client, cause)
            self._admission.leave(client)
            sock.close()
            return
        connection = Connection(hall=self._hall, stream=stream, client=client, account=self._account(client))
        self._connections.add(connection)
        if welcome is Welcome.COME_BACK:
            connection.refuse(self._admission.crowded())

    def _may_shake_hands(self, welcome: Welcome) -> bool:
        """Before the handshake nothing can be explained, and each costs a signature."""
        shaking = sum(connection.phase is Phase.HANDSHAKING for connection in self._connections)
        return welcome is Welcome.COME_IN and shaking < self._caps.handshakes

    def _account(self, client: str) -> Account:
        address = IPv4Address(client)
        account = self._accounts.get(address)
        if account is None:
            if len(self._accounts) >= _COUNTED_CLIENTS:
                self._forgotten += self._accounts.pop(next(iter(self._accounts))).sent
            account = self._accounts[address] = Account()
        return account

    def _on_closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._admission.leave(connection.client)

    def _tick(self) -> None:
        self._set_accepting(True)
        now = self._clock.monotonic()
        for connection in [c for c in self._connections if now >= c.deadline]:
            connection.expire()

    # Workers

    def _on_finished(self, connection: Connection, head: RequestHead, reply: HttpReply) -> None:
        """From a worker's thread."""
        self._replies.append((connection, head, reply))
        os.eventfd_write(self._wake, 1)

    def _on_replies(self, _: int) -> None:
        os.eventfd_read(self._wake)
        while self._replies:
            connection, head, reply = self._replies.popleft()
            connection.resume(head, reply)


def _listeners(
    address: IPv4Address, port: int, tls: Tls | None
) -> tuple[tuple[socket.socket, ssl.SSLContext | None], ...]:
    plain = bind("tcp", address, port)
    if tls is None:
        return ((plain, None),)
    try:
        return ((plain, None), (bind("tcp", address, tls.port), tls.context))
    except Exception:
        plain.close()
        raise


def _port(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port
