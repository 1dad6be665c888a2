"""One HTTP connection: it reads a request, then writes its response, then reads again.

    HANDSHAKING -> READING <-> WORKING -> WRITING -> READING | DRAINING

While it works or writes it does not read, so a client that never takes its answers fills its own socket buffers and
nothing else. A response is written at once and in one piece where that is possible; the loop is asked to watch for
more room only when the socket is full.
"""

import logging
import select
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from enum import Enum
from http import HTTPStatus
from ipaddress import IPv4Address
from typing import NamedTuple, ParamSpec, Protocol, assert_never

from pxe.content import Content
from pxe.http.admission import Admission, Caps
from pxe.http.outgoing import Outgoing, open_content, packed
from pxe.http.packet import RequestError, RequestHead, parse_head
from pxe.http.responder import HttpReply, HttpRequest, Response, from_reply, respond
from pxe.http.stream import Stream, TlsStream
from pxe.http.workers import Workers
from pxe.ports import Clock
from pxe.sockets import Loop

log = logging.getLogger(__name__)

P = ParamSpec("P")

_READ = 64 * 1024
_FEW = 2
_TURN_REQUESTS = 64
_HANDSHAKE_SECONDS = 5.0
_DRAIN_SECONDS = 2.0
_DRAIN_BYTES = 16 * 1024 * 1024
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Routes(Protocol):
    """What is served. `content`, `is_dynamic` and `is_slow` are called from the server's thread and must be quick."""

    def content(self, path: str) -> Content | None: ...

    def is_dynamic(self, path: str) -> bool: ...

    def is_slow(self, path: str) -> bool:
        """Whether `handle` may take its time over this dynamic path: then it is called from a worker thread, from
        several at once; otherwise from the server's thread."""
        ...

    def handle(self, request: HttpRequest) -> HttpReply: ...


class HttpEvent(NamedTuple):
    """A response has ended, whole (`sent == total`) or broken off. Bytes are those of the body."""

    client: IPv4Address
    method: str
    path: str
    status: int
    sent: int
    total: int
    seconds: float


@dataclass(slots=True)
class Account:
    """Body bytes that one client took."""

    sent: int = 0


@dataclass(slots=True, kw_only=True)
class Hall:
    """What all connections of a server share. `finished` hands a worker's reply back to the loop."""

    routes: Routes
    clock: Clock
    observe: Callable[[HttpEvent], None]
    caps: Caps
    admission: Admission
    workers: Workers
    loop: Loop
    finished: Callable[["Connection", RequestHead, HttpReply], None]
    closed: Callable[["Connection"], None]
    _second: int = -1
    _date: str = ""

    def date(self) -> str:
        second = int(self.clock.now())
        if second != self._second:
            self._second, self._date = second, formatdate(second, usegmt=True)
        return self._date


class Phase(Enum):
    HANDSHAKING = "handshaking"
    READING = "reading"
    WORKING = "working"
    WRITING = "writing"
    DRAINING = "draining"


class Connection:
    """`client` is the address as text, the key of every per-client count."""

    def __init__(self, *, hall: Hall, stream: Stream, client: str, account: Account) -> None:
        self._hall = hall
        self._stream = stream
        self._account = account
        self._fd = stream.sock.fileno()
        self._buffer = bytearray()
        self._head: RequestHead | None = None
        self._outgoing: Outgoing | None = None
        self._started = hall.clock.monotonic()
        self._drained = 0
        self._watched = select.EPOLLIN
        self.client = client
        self.address = IPv4Address(client)
        secure = isinstance(stream, TlsStream)
        self.phase = Phase.HANDSHAKING if secure else Phase.READING
        self.deadline = self._started + (_HANDSHAKE_SECONDS if secure else hall.caps.idle)
        hall.loop.watch(self._fd, self._watched, self.on_event)

    def on_event(self, events: int) -> None:
        self._guard(self._advance, events)

    def resume(self, head: RequestHead, reply: HttpReply) -> None:
        """A worker has answered; by then the client may be gone."""
        if self.phase is Phase.WORKING:
            self._guard(self._resume, head, reply)

    def refuse(self, reply: HttpReply) -> None:
        self._guard(self._reject, reply)

    def expire(self) -> None:
        """The deadline has passed. Half a request gets an answer, silence does not (RFC 9110 section 15.5.9)."""
        if self.phase is Phase.READING and (self._buffer or self._head):
            self.refuse(HttpReply(status=HTTPStatus.REQUEST_TIMEOUT, body=b"the request did not come in time\n"))
        else:
            self.drop()

    def drop(self) -> None:
        if self._fd < 0:
            return
        self._hall.loop.forget(self._fd)
        self.close()

    def close(self) -> None:
        """Without the loop, which may have ended."""
        self._fd = -1
        if self._head is not None:
            self._hall.admission.end_body(self._head.length)
        if self._outgoing is not None:
            self._end(self._outgoing)
        self._stream.sock.close()
        self.phase = Phase.DRAINING
        self._hall.closed(self)

    def _guard(self, act: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """One connection's trouble is never another's."""
        try:
            act(*args, **kwargs)
        except BlockingIOError:
            return
        except (ConnectionError, ssl.SSLError) as cause:
            log.debug("connection ended client=%s cause=%s", self.client, cause)
            self.drop()
        except OSError as cause:
            log.warning("connection dropped client=%s cause=%s", self.client, cause)
            self.drop()
        except Exception:
            log.exception("connection dropped client=%s", self.client)
            self.drop()

    def _advance(self, events: int) -> None:
        match self.phase:
            case Phase.READING:
                self._read(events)
            case Phase.WRITING:
                self._write()
                self._take_requests()
            case Phase.WORKING:
                self._wait(events)
            case Phase.HANDSHAKING:
                self._handshake()
            case Phase.DRAINING:
                self._drain()
            case _:
                assert_never(self.phase)

    def _watch(self, events: int) -> None:
        if events != self._watched:
            self._hall.loop.alter(self._fd, events)
            self._watched = events

    def _enter(self, phase: Phase, seconds: float) -> None:
        self.phase = phase
        self._started = self._hall.clock.monotonic()
        self.deadline = self._started + seconds

    def _handshake(self) -> None:
        stream = self._stream
        if not isinstance(stream, TlsStream):
            raise AssertionError("only TLS has a handshake")
        try:
            stream.handshake()
        except BlockingIOError:
            self._watch(stream.wants)
            return
        self._watch(select.EPOLLIN)
        self._enter(Phase.READING, self._hall.caps.idle)

    # Reading

    def _read(self, events: int) -> None:
        if events & ~select.EPOLLOUT:
            self._receive()
        self._take_requests()

    def _receive(self) -> None:
        data = self._stream.recv(_READ)
        if not data:
            self.drop()
            return
        caps, now = self._hall.caps, self._hall.clock.monotonic()
        if self._head is not None:
            self.deadline = caps.patience(started=self._started, now=now, moved=len(self._buffer))
        elif not self._buffer:
            self._started, self.deadline = now, now + caps.head
        self._buffer += data

    def _take_requests(self) -> None:
        """Answers the requests in the buffer until one is incomplete or its response has to wait for the client."""
        left = _TURN_REQUESTS
        while self._buffer and self.phase is Phase.READING:
            if not left:
                self._watch(select.EPOLLOUT)
                return
            left -= 1
            try:
                request = self._next_request()
            except RequestError as bad:
                self._reject(HttpReply(status=bad.status, body=f"{bad}\n".encode()))
                return
            if request is None:
                break
            self._answer(*request)
        if self.phase is Phase.READING:
            self._watch(select.EPOLLIN)

    def _next_request(self) -> tuple[RequestHead, bytes] | None:
        head = self._head
        if head is None:
            found = parse_head(self._buffer)
            if found is None:
                return None
            head, used = found
            del self._buffer[:used]
            if not head.length:
                return head, b""
            if not self._expect_body(head):
                return None
        if len(self._buffer) < head.length:
            return None
        body = bytes(self._buffer[: head.length])
        del self._buffer[: head.length]
        self._head = None
        self._hall.admission.end_body(head.length)
        return head, body

    def _expect_body(self, head: RequestHead) -> bool:
        if not self._hall.admission.expect_body(head.length):
            self._reject(self._hall.admission.bodies_full())
            return False
        self._head = head
        self._started = self._hall.clock.monotonic()
        self.deadline = self._hall.caps.patience(started=self._started, now=self._started, moved=0)
        if head.expects_continue and len(self._buffer) < head.length:
            self._stream.send(_CONTINUE)
        return True

    # Answering

    def _answer(self, head: RequestHead, body: bytes) -> None:
        routes = self._hall.routes
        if not routes.is_dynamic(head.path):
            self._begin(head, respond(head, routes.content(head.path)))
        elif routes.is_slow(head.path):
            self._hand_over(head, body)
        else:
            self._begin(head, from_reply(head, self._handled(head, body)))

    def _hand_over(self, head: RequestHead, body: bytes) -> None:
        hall = self._hall
        if hall.workers.submit(lambda: hall.finished(self, head, self._handled(head, body))):
            self.phase, self.deadline = Phase.WORKING, float("inf")
        else:
            self._begin(head, from_reply(head, hall.admission.workers_full()))

    def _wait(self, events: int) -> None:
        """A client that sends on is heard later; one that has gone is let go."""
        if events & (select.EPOLLHUP | select.EPOLLERR):
            self.drop()
        else:
            self._watch(0)

    def _resume(self, head: RequestHead, reply: HttpReply) -> None:
        self._begin(head, from_reply(head, reply))
        self._take_requests()

    def _handled(self, head: RequestHead, body: bytes) -> HttpReply:
        request = HttpRequest(
            client=self.address,
            method=head.method,
            path=head.path,
            query=head.query,
            headers=head.headers,
            body=body,
        )
        try:
            return self._hall.routes.handle(request)
        except Exception:
            log.exception("handler failed client=%s method=%s path=%r", self.client, request.method, request.path)
            return _FAILED

    def _reject(self, reply: HttpReply) -> None:
        """What the client sends from here on cannot be told apart from the rest of its request."""
        if self._head is not None:
            self._hall.admission.end_body(self._head.length)
            self._head = None
        self._buffer.clear()
        head = RequestHead(method="", path="", headers={"connection": "close"})
        self._begin(head, from_reply(head, reply))

    def _begin(self, head: RequestHead, response: Response) -> None:
        if not self._hall.admission.begin_download(response.count, head.headers.get("user-agent", "")):
            response = from_reply(head, self._hall.admission.wave_full())
        try:
            fd = open_content(response)
        except OSError as cause:
            log.error("cannot serve path=%r client=%s cause=%s", head.path, self.client, cause)
            self._hall.admission.end_download(response.count)
            response, fd = from_reply(head, _FAILED), -1
        keep_alive = head.keep_alive
        pending, body_behind = packed(response, self._hall.date(), keep_alive=keep_alive)
        self._enter(Phase.WRITING, self._hall.caps.idle)
        if body_behind:
            pending = self._send_at_once(head, response, pending)
            if not pending:
                self._go_on(keep_alive=keep_alive)
                return
        self._outgoing = Outgoing(
            method=head.method,
            path=head.path,
            response=response,
            pending=pending,
            body_behind=body_behind,
            fd=fd,
            started=self._started,
            keep_alive=keep_alive,
            steady=self._hall.admission.downloads <= _FEW,
        )
        self._outgoing.begin(self._stream)
        self._write()

    # Writing

    def _write(self) -> None:
        outgoing = self._outgoing
        if outgoing is None:
            raise AssertionError("a connection writes only with something to write")
        before = outgoing.sent
        try:
            done = outgoing.push(self._stream)
        except BlockingIOError:
            done = False
        finally:
            self._account.sent += outgoing.sent - before
        if not done:
            if outgoing.sent > before:
                now = self._hall.clock.monotonic()
                self.deadline = self._hall.caps.patience(started=outgoing.started, now=now, moved=outgoing.sent)
            self._watch(select.EPOLLOUT)
            return
        self._outgoing = None
        outgoing.finish(self._stream)
        self._end(outgoing)
        self._go_on(keep_alive=outgoing.keep_alive)

    def _send_at_once(self, head: RequestHead, response: Response, data: bytes) -> bytes:
        """What is left of it: nearly always nothing, and then no state of a response is needed."""
        count = response.count
        try:
            left = data[self._stream.send(data) :]
        except BlockingIOError:
            return data
        except OSError:
            self._report(head.method, head.path, response, 0, self._started)
            raise
        if not left:
            self._account.sent += count
            self._report(head.method, head.path, response, count, self._started)
        return left

    def _go_on(self, *, keep_alive: bool) -> None:
        if keep_alive:
            self._enter(Phase.READING, self._hall.caps.head if self._buffer else self._hall.caps.idle)
        else:
            self._stream.finish()
            self._watch(select.EPOLLIN)
            self._enter(Phase.DRAINING, _DRAIN_SECONDS)

    def _drain(self) -> None:
        """Closing with unread input resets the connection, and the client would lose the answer in flight."""
        data = self._stream.recv(_READ)
        self._drained += len(data)
        if not data or self._drained > _DRAIN_BYTES:
            self.drop()

    def _end(self, outgoing: Outgoing) -> None:
        outgoing.close()
        self._hall.admission.end_download(outgoing.response.count)
        self._report(outgoing.method, outgoing.path, outgoing.response, outgoing.sent, outgoing.started)

    def _report(self, method: str, path: str, response: Response, sent: int, started: float) -> None:
        self._hall.observe(
            HttpEvent(
                client=self.address,
                method=method,
                path=path,
                status=response.status,
                sent=sent,
                total=response.count,
                seconds=self._hall.clock.monotonic() - started,
            )
        )


_FAILED = HttpReply(status=HTTPStatus.INTERNAL_SERVER_ERROR, body=b"the server failed; its log says why\n")
