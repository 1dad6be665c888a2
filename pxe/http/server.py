"""The boot HTTP server: one thread, epoll and sendfile, HTTP/1.1 with keep-alive.

A connection reads one request, then writes its response, then reads again: while it writes, it does not read, so a
client that never takes its answers fills its own socket buffers and nothing else. Handlers run in this thread.
"""

import logging
import os
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from enum import Enum
from http import HTTPStatus
from ipaddress import IPv4Address
from typing import Protocol

from pxe.content import BytesContent, Content, FileContent
from pxe.http.packet import RequestError, RequestHead, pack_head, parse_head
from pxe.http.responder import HttpReply, HttpRequest, Response, from_reply, respond
from pxe.ports import Clock
from pxe.sockets import Loop, bind

log = logging.getLogger(__name__)

PORT = 80

_TICK = 0.5
_READ = 64 * 1024
_TURN = 1024 * 1024
_AHEAD = 8 * 1024 * 1024
_DRAIN_SECONDS = 2.0
_DRAIN_BYTES = 16 * 1024 * 1024
_COUNTED_CLIENTS = 4096
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Routes(Protocol):
    """What is served. Both are called from the server's thread and must be quick."""

    def content(self, path: str) -> Content | None: ...

    def is_dynamic(self, path: str) -> bool: ...

    def handle(self, request: HttpRequest) -> HttpReply: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """`idle` is in seconds without progress; `bodies` bounds the bytes of all request bodies being received."""

    connections: int = 512
    idle: float = 30.0
    bodies: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpEvent:
    """A response has ended, whole (`sent == total`) or broken off. Bytes are those of the body."""

    client: IPv4Address
    method: str
    path: str
    status: int
    sent: int
    total: int
    seconds: float


class _Phase(Enum):
    READING = "reading"
    WRITING = "writing"
    DRAINING = "draining"


@dataclass(slots=True, kw_only=True)
class _Outgoing:
    """A response on its way; `fd` is -1 for bytes."""

    method: str
    path: str
    response: Response
    head: bytes
    fd: int
    started: float
    keep_alive: bool
    sent: int = 0
    advised: int = 0

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


@dataclass(slots=True, kw_only=True)
class _Connection:
    sock: socket.socket
    client: IPv4Address
    deadline: float
    buffer: bytearray
    phase: _Phase = _Phase.READING
    head: RequestHead | None = None
    outgoing: _Outgoing | None = None
    drained: int = 0


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
    ) -> None:
        self._routes = routes
        self._clock = clock
        self._observe = observe
        self._caps = caps or Caps()
        self._connections: dict[int, _Connection] = {}
        self._sent: dict[IPv4Address, int] = {}
        self._accepting = True
        self._socket = bind("tcp", address, port)
        self._loop = Loop(name="http", tick=self._tick, period=_TICK)
        self._loop.watch(self._socket.fileno(), select.EPOLLIN, self._on_accept)

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        self._loop.stop()
        for connection in list(self._connections.values()):
            self._release(connection)
        self._socket.close()

    def sent_bytes(self, client: IPv4Address) -> int:
        """Body bytes that this client took so far, transfers under way included; from any thread."""
        return self._sent.get(client, 0)

    # Connections

    def _on_accept(self, _: int) -> None:
        for _ in range(64):
            try:
                sock, (host, _port) = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as cause:
                log.error("cannot accept; trying again in a moment cause=%s", cause)
                self._set_accepting(False)
                return
            self._greet(sock, IPv4Address(host))

    def _set_accepting(self, accepting: bool) -> None:
        if accepting is not self._accepting:
            self._accepting = accepting
            self._loop.alter(self._socket.fileno(), select.EPOLLIN if accepting else 0)

    def _greet(self, sock: socket.socket, client: IPv4Address) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(
            sock=sock, client=client, deadline=self._clock.monotonic() + self._caps.idle, buffer=bytearray()
        )
        self._connections[sock.fileno()] = connection
        self._loop.watch(sock.fileno(), select.EPOLLIN, lambda _: self._on_event(connection))
        if len(self._connections) > self._caps.connections * 2:
            self._drop(connection)
        elif len(self._connections) > self._caps.connections:
            self._guard(connection, lambda: self._reject(connection, _BUSY))

    def _on_event(self, connection: _Connection) -> None:
        match connection.phase:
            case _Phase.READING:
                self._guard(connection, lambda: self._read(connection))
            case _Phase.WRITING:
                self._guard(connection, lambda: self._go_on(connection))
            case _Phase.DRAINING:
                self._guard(connection, lambda: self._drain(connection))

    def _guard(self, connection: _Connection, act: Callable[[], None]) -> None:
        """One connection's trouble is never another's."""
        try:
            act()
        except BlockingIOError:
            return
        except ConnectionError:
            self._drop(connection)
        except OSError as cause:
            log.warning("connection dropped client=%s cause=%s", connection.client, cause)
            self._drop(connection)
        except Exception:
            log.exception("connection dropped client=%s", connection.client)
            self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        if self._connections.get(connection.sock.fileno()) is not connection:
            return
        if connection.outgoing is not None:
            self._report(connection, connection.outgoing)
        self._loop.forget(connection.sock.fileno())
        self._release(connection)

    def _release(self, connection: _Connection) -> None:
        del self._connections[connection.sock.fileno()]
        if connection.outgoing is not None:
            connection.outgoing.close()
        connection.sock.close()

    def _tick(self) -> None:
        self._set_accepting(True)
        now = self._clock.monotonic()
        for connection in [c for c in self._connections.values() if now >= c.deadline]:
            self._drop(connection)

    def _enter(self, connection: _Connection, phase: _Phase) -> None:
        if phase is not connection.phase:
            events = select.EPOLLOUT if phase is _Phase.WRITING else select.EPOLLIN
            self._loop.alter(connection.sock.fileno(), events)
        connection.phase = phase
        grace = _DRAIN_SECONDS if phase is _Phase.DRAINING else self._caps.idle
        connection.deadline = self._clock.monotonic() + grace

    # Reading

    def _read(self, connection: _Connection) -> None:
        data = connection.sock.recv(_READ)
        if not data:
            self._drop(connection)
            return
        connection.buffer += data
        if connection.head is not None:
            connection.deadline = self._clock.monotonic() + self._caps.idle
        self._take_requests(connection)

    def _take_requests(self, connection: _Connection) -> None:
        """Answers every request in the buffer until one is incomplete or its response has to wait for the client."""
        while connection.phase is _Phase.READING:
            try:
                request = self._next_request(connection)
            except RequestError as bad:
                self._reject(connection, HttpReply(status=bad.status, body=f"{bad}\n".encode()))
                return
            if request is None:
                return
            self._answer(connection, *request)

    def _next_request(self, connection: _Connection) -> tuple[RequestHead, bytes] | None:
        if connection.head is None:
            found = parse_head(connection.buffer)
            if found is None:
                return None
            connection.head, used = found
            del connection.buffer[:used]
            self._expect_body(connection, connection.head)
        head = connection.head
        if len(connection.buffer) < head.length:
            return None
        body = bytes(connection.buffer[: head.length])
        del connection.buffer[: head.length]
        connection.head = None
        return head, body

    def _expect_body(self, connection: _Connection, head: RequestHead) -> None:
        if len(connection.buffer) >= head.length:
            return
        pending = sum(c.head.length for c in self._connections.values() if c.head is not None)
        if pending > self._caps.bodies:
            raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, "too many request bodies at once")
        if head.expects_continue:
            connection.sock.send(_CONTINUE)

    # Answering

    def _answer(self, connection: _Connection, head: RequestHead, body: bytes) -> None:
        if self._routes.is_dynamic(head.path):
            response = from_reply(head, self._handled(connection, head, body))
        else:
            response = respond(head, self._routes.content(head.path))
        self._begin(connection, head, response)

    def _handled(self, connection: _Connection, head: RequestHead, body: bytes) -> HttpReply:
        request = HttpRequest(
            client=connection.client,
            method=head.method,
            path=head.path,
            query=head.query,
            headers=head.headers,
            body=body,
        )
        try:
            return self._routes.handle(request)
        except Exception:
            log.exception("handler failed client=%s method=%s path=%r", request.client, request.method, request.path)
            return _FAILED

    def _reject(self, connection: _Connection, reply: HttpReply) -> None:
        head = RequestHead(method="", path="", headers={"connection": "close"})
        self._begin(connection, head, from_reply(head, reply))

    def _begin(self, connection: _Connection, head: RequestHead, response: Response) -> None:
        try:
            fd = _open(response.content)
        except OSError as cause:
            log.error("cannot serve path=%r client=%s cause=%s", head.path, connection.client, cause)
            response, fd = from_reply(head, _FAILED), -1
        now = self._clock.monotonic()
        connection.outgoing = _Outgoing(
            method=head.method,
            path=head.path,
            response=response,
            head=self._head(head, response),
            fd=fd,
            started=now,
            keep_alive=head.keep_alive,
        )
        self._enter(connection, _Phase.WRITING)
        self._write(connection)

    def _head(self, head: RequestHead, response: Response) -> bytes:
        return pack_head(
            response.status,
            (
                ("Date", formatdate(self._clock.now(), usegmt=True)),
                *response.headers,
                ("Content-Length", str(response.length)),
                ("Connection", "keep-alive" if head.keep_alive else "close"),
            ),
        )

    # Writing

    def _go_on(self, connection: _Connection) -> None:
        self._write(connection)
        self._take_requests(connection)

    def _write(self, connection: _Connection) -> None:
        outgoing = connection.outgoing
        if outgoing is None:
            raise AssertionError("a connection writes only with something to write")
        if not self._push(connection, outgoing):
            return
        outgoing.close()
        connection.outgoing = None
        self._report(connection, outgoing)
        if outgoing.keep_alive:
            self._enter(connection, _Phase.READING)
        else:
            connection.sock.shutdown(socket.SHUT_WR)
            self._enter(connection, _Phase.DRAINING)

    def _push(self, connection: _Connection, outgoing: _Outgoing) -> bool:
        """At most one turn's worth, so that a fast client shares the thread; True when all is sent."""
        more = socket.MSG_MORE if outgoing.response.count else 0
        while outgoing.head:
            outgoing.head = outgoing.head[connection.sock.send(outgoing.head, more) :]
        turn = _TURN
        while turn > 0 and outgoing.sent < outgoing.response.count:
            sent = self._push_body(connection.sock, outgoing, turn)
            turn -= sent
            outgoing.sent += sent
            self._count(connection, sent)
        return outgoing.sent == outgoing.response.count

    def _push_body(self, sock: socket.socket, outgoing: _Outgoing, most: int) -> int:
        response = outgoing.response
        start = response.start + outgoing.sent
        count = min(most, response.count - outgoing.sent)
        if isinstance(response.content, BytesContent):
            return sock.send(memoryview(response.content.data)[start : start + count])
        self._read_ahead(outgoing, start)
        sent = os.sendfile(sock.fileno(), outgoing.fd, start, count)
        if sent == 0:
            raise OSError(f"{response.content.path} ended early")
        return sent

    def _read_ahead(self, outgoing: _Outgoing, start: int) -> None:
        """Sendfile waits for a cold disk with the whole thread: ask for the pages well before."""
        if start + _AHEAD // 2 >= outgoing.advised:
            os.posix_fadvise(outgoing.fd, start, _AHEAD, os.POSIX_FADV_WILLNEED)
            outgoing.advised = start + _AHEAD

    def _count(self, connection: _Connection, sent: int) -> None:
        connection.deadline = self._clock.monotonic() + self._caps.idle
        if connection.client not in self._sent and len(self._sent) >= _COUNTED_CLIENTS:
            del self._sent[next(iter(self._sent))]
        self._sent[connection.client] = self._sent.get(connection.client, 0) + sent

    def _drain(self, connection: _Connection) -> None:
        """Closing with unread input resets the connection, and the client would lose the answer in flight."""
        data = connection.sock.recv(_READ)
        connection.drained += len(data)
        if not data or connection.drained > _DRAIN_BYTES:
            self._drop(connection)

    def _report(self, connection: _Connection, outgoing: _Outgoing) -> None:
        self._observe(
            HttpEvent(
                client=connection.client,
                method=outgoing.method,
                path=outgoing.path,
                status=outgoing.response.status,
                sent=outgoing.sent,
                total=outgoing.response.count,
                seconds=self._clock.monotonic() - outgoing.started,
            )
        )


_FAILED = HttpReply(status=HTTPStatus.INTERNAL_SERVER_ERROR, body=b"the server failed; its log says why\n")
_BUSY = HttpReply(
    status=HTTPStatus.SERVICE_UNAVAILABLE, body=b"too many connections\n", headers=(("Retry-After", "2"),)
)


def _open(content: Content) -> int:
    if not isinstance(content, FileContent):
        return -1
    fd = os.open(content.path, os.O_RDONLY | os.O_CLOEXEC)
    if os.fstat(fd).st_size != content.size:
        os.close(fd)
        raise OSError(f"{content.path} is not {content.size} bytes long")
    return fd
