"""The TFTP server: one thread; requests come to port 69, transfers run from a few shared ports.

Transfers share `_PORTS` sockets, so that the ACKs of a whole rack come with one system call and its next blocks leave
with another. A transfer id is the pair of both ends' ports (RFC 1350 section 4): the transfers of one client get
different ports of ours, one after the other. The sockets are unconnected: the kernel would drop a packet with a wrong
transfer id on a connected one, and the RFC wants ERROR 5 sent to its source while the transfer lives on.

Some firmware, and some routers on the way, take the answer only from port 69. A client that repeats its request has
not seen our answer, so it gets the same one from port 69; the port that it then answers to is the transfer's.
"""

import heapq
import logging
import select
import socket
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Address
from itertools import count
from typing import Protocol, assert_never

from pxe import batch
from pxe.batch import Datagrams, Peer, datagrams
from pxe.content import Content, ContentTable
from pxe.errors import ConfigError, PacketError
from pxe.ports import Clock
from pxe.sockets import Loop, bind, deepen
from pxe.tftp.body import Bodies, Body
from pxe.tftp.packet import (
    MAX_REQUEST,
    Ack,
    Error,
    ErrorCode,
    Packet,
    ReadRequest,
    WriteRequest,
    candidates,
    pack,
    parse,
)
from pxe.tftp.responder import (
    SHORTEST_WAIT,
    Action,
    Close,
    Limits,
    Outcome,
    Phase,
    SendBlocks,
    SendPacket,
    Step,
    TimePassed,
    Transfer,
    answer_again,
    awaited,
    begin,
    caught_up,
    next_window_limit,
    refuse,
    step,
)
from pxe.tftp.sender import Run, Sender, sender

log = logging.getLogger(__name__)

PORT = 69

_PORTS = 4
_TICK = 0.1
_REPEATED_AFTER = 0.5
_REMEMBERED_CLIENTS = 4096
_LEAST_MTU = 576  # RFC 791: what every host takes
_IP_MTU = 14  # ip(7) and socket(7); Python does not name them
_ACK = b"\0\4"


class Lookup(Protocol):
    def content(self, name: str, client: IPv4Address) -> Content | None:
        """Called with each of `packet.candidates`; fast, without effects, from the server's thread."""
        ...


@dataclass(frozen=True, slots=True)
class SameForAll:
    """The names of a table, for every client."""

    table: ContentTable

    def content(self, name: str, client: IPv4Address) -> Content | None:
        return self.table.content(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """Transfers at once: in all, and from one address."""

    transfers: int = 512
    per_client: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TftpEvent:
    """A transfer has ended, or a request was refused. `sent` counts confirmed bytes; `name` is the client's text."""

    client: IPv4Address
    name: str
    outcome: Outcome
    reason: str = ""
    sent: int = 0
    seconds: float = 0.0
    block_size: int = 512
    window: int = 1
    retransmits: int = 0


class _Port:
    """One of our sockets, and the transfers that clients reach through it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        deepen(sock)
        self.sender: Sender = sender(sock)
        self.datagrams: Datagrams = datagrams(sock, size=MAX_REQUEST)
        self.sessions: dict[Peer, _Session] = {}
        self.runs: list[Run] = []
        self.full = False

    def send(self, raw: bytes, peer: Peer) -> None:
        """What the kernel does not take now is a lost packet, which TFTP repairs by itself."""
        self.datagrams.send([(raw, peer)])

    def serves(self, address: bytes) -> bool:
        return any(peer[4:8] == address for peer in self.sessions)


@dataclass(slots=True, kw_only=True, eq=False)
class _Session:
    """`port` is where we send from; `home` was chosen when the transfer began.

    The transfer is `transfer` and the ordinary ACKs since: blocks until `sent` have left, the last ACK came at `heard`,
    and `awaited` is the next one's number, where there is one.
    """

    peer: Peer
    request: ReadRequest
    body: Body
    transfer: Transfer
    started: float
    home: _Port
    port: _Port
    sent: int = 0
    heard: float = 0.0
    awaited: int = -1

    def go_on(self, now: float) -> Run:
        """After the ordinary ACK."""
        transfer, acked = self.transfer, self.sent
        sent = acked + transfer.window
        if sent >= transfer.last_block:
            sent = transfer.last_block
            self.awaited = -1
        else:
            self.awaited = sent & 0xFFFF
        self.sent = sent
        self.heard = now
        return self.body.run(acked + 1, sent, self.peer)

    def present(self) -> Transfer:
        return caught_up(self.transfer, self.sent, self.heard)

    def become(self, transfer: Transfer) -> None:
        self.transfer = transfer
        self.sent = transfer.sent
        self.awaited = awaited(transfer) if self.port is self.home else -1


@dataclass(slots=True, kw_only=True, eq=False)
class _Client:
    """What one transfer of an address teaches for the next. `window` in blocks is the most it is granted."""

    window: int
    last_home: _Port | None = None


class TftpServer:
    """Read-only, on one address: the answer comes from the address that was asked.

    `observe` is called from the server's thread.
    """

    def __init__(
        self,
        *,
        address: IPv4Address,
        lookup: Lookup,
        clock: Clock,
        observe: Callable[[TftpEvent], None],
        port: int = PORT,
        device: str = "",
        limits: Limits | None = None,
        caps: Caps | None = None,
    ) -> None:
        if address.is_unspecified:
            raise ConfigError(
                "a TFTP server without an address could answer from another one than was asked",
                evidence=str(address),
                next_action="run one server for each address",
            )
        self._lookup = lookup
        self._clock = clock
        self._observe = observe
        self._device = device
        self._limits = limits or Limits()
        self._caps = caps or Caps()
        self._sessions: dict[Peer, _Session] = {}
        self._clients: OrderedDict[bytes, _Client] = OrderedDict()
        self._timers: list[tuple[float, int, _Session]] = []
        self._numbers = count()
        self._listener = _Port(bind("udp", address, port, device=device))
        self._ports = [_Port(bind("udp", address, 0, device=device)) for _ in range(_PORTS)]
        self._probe = bind("udp", address, 0, device=device)
        self._bodies = Bodies(self._listener.sender.hold)
        self._loop = Loop(name="tftp", tick=self._tick, period=_TICK)
        for each in (self._listener, *self._ports):
            self._loop.watch(each.sock.fileno(), select.EPOLLIN, partial(self._on_port, each))

    @property
    def port(self) -> int:
        port: int = self._listener.sock.getsockname()[1]
        return port

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        self._loop.stop()
        for session in self._sessions.values():
            session.body.close()
        self._sessions.clear()
        for sock in (self._probe, *(port.sock for port in (self._listener, *self._ports))):
            sock.close()

    def _on_port(self, port: _Port, _: int) -> None:
        """One batch: the socket is polled again before it is read again, so no call finds it empty."""
        now = self._clock.monotonic()
        find, runs = port.sessions.get, port.runs
        for raw, peer in port.datagrams.receive():
            session = find(peer)
            if session is None or len(raw) != 4 or raw[2] << 8 | raw[3] != session.awaited or raw[:2] != _ACK:
                self._take(port, session, raw, peer, now)
                continue
            try:
                runs.append(session.go_on(now))
            except OSError as cause:
                self._fail(session, cause)
        self._flush(port)

    def _take(self, port: _Port, session: _Session | None, raw: bytes, peer: Peer, now: float) -> None:
        try:
            packet = parse(raw)
        except PacketError:
            return
        if isinstance(packet, ReadRequest | WriteRequest) and port is self._listener:
            self._admit(packet, peer, now)
        elif session is not None:
            self._receive(port, session, packet, now)
        elif port is not self._listener and not isinstance(packet, Error):
            # An error is never answered with an error: two servers could be set on each other.
            port.send(pack(Error(code=ErrorCode.UNKNOWN_TID, message="unknown transfer id")), peer)

    def _receive(self, port: _Port, session: _Session, packet: Packet, now: float) -> None:
        """The client answers to the port that it heard first, and refuses the other one with ERROR 5."""
        if isinstance(packet, Error):
            if port is not session.port:
                return
            if packet.code == ErrorCode.UNKNOWN_TID and port is not session.home:
                session.port = session.home
                return
        if isinstance(packet, Ack):
            session.port = port
            if port is session.home:
                self._listener.sessions.pop(session.peer, None)
        self._advance(session, packet, now)

    def _admit(self, request: ReadRequest | WriteRequest, peer: Peer, now: float) -> None:
        known = self._sessions.get(peer)
        if known is not None:
            if request == known.request:
                self._answer_from_listener(known, now)
                return
            self._close(known, Close(outcome=Outcome.PROBED, reason="the client asked anew"))
        client = batch.host(peer)
        content = self._find(request.name, client)
        problem = refuse(request, found=content is not None) or self._over_cap(peer)
        if isinstance(request, WriteRequest) or content is None or problem is not None:
            self._refuse(request.name, peer, problem or Error(code=ErrorCode.NOT_FOUND))
            return
        try:
            self._open(request, content, peer, now)
        except OSError as cause:
            log.error("cannot serve name=%r client=%s cause=%s", request.name, client, cause)
            self._refuse(request.name, peer, Error(code=ErrorCode.UNDEFINED, message="the server cannot read it"))

    def _answer_from_listener(self, session: _Session, now: float) -> None:
        """Once: whoever repeats a request for ever, perhaps with somebody else's address, gets no more for it.

        A copy that the network made comes at once, a client that waited in vain comes later.
        """
        early = now < session.started + _REPEATED_AFTER
        if early or session.transfer.proven or session.peer in self._listener.sessions:
            return
        self._listener.sessions[session.peer] = session
        session.port = self._listener
        self._move(session, answer_again(session.transfer, now))

    def _find(self, name: str, client: IPv4Address) -> Content | None:
        for candidate in candidates(name):
            content = self._lookup.content(candidate, client)
            if content is not None:
                return content
        return None

    def _over_cap(self, peer: Peer) -> Error | None:
        same = sum(other[4:8] == peer[4:8] for other in self._sessions)
        if same < self._caps.per_client and len(self._sessions) < self._caps.transfers:
            return None
        return Error(code=ErrorCode.UNDEFINED, message="too many transfers, try again")

    def _open(self, request: ReadRequest, content: Content, peer: Peer, now: float) -> None:
        transfer, actions = begin(request, content.size, self._limits_for(peer), now)
        body = self._bodies.open(content, transfer.terms.block_size)
        home = self._home_for(peer)
        session = _Session(peer=peer, request=request, body=body, transfer=transfer, started=now, home=home, port=home)
        self._sessions[peer] = home.sessions[peer] = session
        self._move(session, (transfer, actions))
        self._watch(session, now)
        self._flush(home)

    def _home_for(self, peer: Peer) -> _Port:
        """Not the one that this client had last: what still comes late for that transfer must find another TID. If
        possible one that does not serve it now; the busiest of those."""
        address = peer[4:8]
        last = self._known(address).last_home
        self._ports.append(self._ports.pop(0))
        return min(self._ports, key=lambda port: (port is last, port.serves(address), -len(port.sessions)))

    def _known(self, address: bytes) -> "_Client":
        client = self._clients.pop(address, None) or _Client(window=self._limits.window)
        self._clients[address] = client
        if len(self._clients) > _REMEMBERED_CLIENTS:
            self._clients.popitem(last=False)
        return client

    def _limits_for(self, peer: Peer) -> Limits:
        limits = self._limits.on_route(self._route_mtu(peer))
        return replace(limits, window=self._known(peer[4:8]).window)

    def _route_mtu(self, peer: Peer) -> int:
        """Connecting sends nothing: it looks up the route."""
        try:
            self._probe.connect((str(batch.host(peer)), batch.port(peer)))
            return self._probe.getsockopt(socket.IPPROTO_IP, _IP_MTU)
        except OSError:
            return _LEAST_MTU

    def _refuse(self, name: str, peer: Peer, error: Error) -> None:
        self._listener.send(pack(error), peer)
        self._observe(TftpEvent(client=batch.host(peer), name=name, outcome=Outcome.REFUSED, reason=error.message))

    def _watch(self, session: _Session, now: float) -> None:
        """A deadline moves with each ACK, so a session looks at its own each time the timer rings."""
        rings = min(session.present().deadline, now + SHORTEST_WAIT)
        heapq.heappush(self._timers, (rings, next(self._numbers), session))

    def _tick(self) -> None:
        if not self._timers:
            return
        now = self._clock.monotonic()
        while self._timers and self._timers[0][0] <= now:
            session = heapq.heappop(self._timers)[2]
            if session.present().deadline <= now:
                self._advance(session, TimePassed(), now)
                self._flush(session.port)
            if session.transfer.phase is not Phase.CLOSED:
                self._watch(session, now)

    def _advance(self, session: _Session, event: Packet | TimePassed, now: float) -> None:
        self._move(session, step(session.present(), event, now))

    def _move(self, session: _Session, moved: Step) -> None:
        transfer, actions = moved
        session.become(transfer)
        self._perform(session, actions)

    def _perform(self, session: _Session, actions: tuple[Action, ...]) -> None:
        for action in actions:
            match action:
                case SendPacket():
                    session.port.send(pack(action.packet), session.peer)
                case SendBlocks():
                    self._send_blocks(session, action.first, action.last)
                case Close():
                    self._close(session, action)
                case _:
                    assert_never(action)

    def _send_blocks(self, session: _Session, first: int, last: int) -> None:
        try:
            session.port.runs.append(session.body.run(first, last, session.peer))
        except OSError as cause:
            self._fail(session, cause)

    def _fail(self, session: _Session, cause: OSError) -> None:
        log.error("cannot read name=%r client=%s cause=%s", session.request.name, batch.host(session.peer), cause)
        error = Error(code=ErrorCode.UNDEFINED, message="the server cannot read it")
        session.port.send(pack(error), session.peer)
        self._close(session, Close(outcome=Outcome.FAILED, reason="the content could not be read"))

    def _flush(self, port: _Port) -> None:
        """What finds the send buffer full waits there until the kernel has room."""
        if port.runs:
            port.runs = port.sender.send(port.runs)
        if bool(port.runs) != port.full:
            port.full = not port.full
            self._loop.alter(port.sock.fileno(), select.EPOLLIN | (select.EPOLLOUT if port.full else 0))

    def _close(self, session: _Session, close: Close) -> None:
        """The phase is set here too: not every transfer ends by its own step."""
        transfer = session.present()._replace(phase=Phase.CLOSED)
        session.become(transfer)
        peer = session.peer
        del self._sessions[peer], session.home.sessions[peer]
        self._listener.sessions.pop(peer, None)
        session.body.close()
        self._learn(peer, transfer, session.home)
        self._observe(
            TftpEvent(
                client=batch.host(peer),
                name=session.request.name,
                outcome=close.outcome,
                reason=close.reason,
                sent=transfer.acked_bytes,
                seconds=self._clock.monotonic() - session.started,
                block_size=transfer.terms.block_size,
                window=transfer.window,
                retransmits=transfer.retransmits,
            )
        )

    def _learn(self, peer: Peer, transfer: Transfer, home: _Port) -> None:
        client = self._known(peer[4:8])
        client.last_home = home
        client.window = next_window_limit(client.window, self._limits.window, transfer)
