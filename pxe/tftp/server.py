"""The TFTP server: one thread, one listening socket, one socket per transfer.

Transfer sockets stay unconnected on purpose: the kernel would drop a packet with the wrong transfer id on a connected
one, and RFC 1350 section 4 wants ERROR 5 sent to its source while the transfer lives on. Files are read with pread,
not mapped: a file cut short under a mapping kills the whole process (SIGBUS), a short read ends one transfer.
"""

import logging
import os
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Protocol, assert_never

from pxe.content import BytesContent, Content, FileContent
from pxe.errors import PacketError, ServiceError
from pxe.ports import Clock
from pxe.sockets import Loop, bind
from pxe.tftp.packet import Error, ErrorCode, Packet, ReadRequest, WriteRequest, candidates, pack, pack_data, parse
from pxe.tftp.responder import (
    Action,
    Close,
    Limits,
    Outcome,
    SendBlocks,
    SendPacket,
    TimePassed,
    Transfer,
    begin,
    refuse,
    step,
)

log = logging.getLogger(__name__)

PORT = 69

_TICK = 0.1
_LARGEST = 65_536
_BATCH = 64

Peer = tuple[str, int]


class Lookup(Protocol):
    def content(self, name: str) -> Content | None:
        """Called with each of `packet.candidates`; fast, without effects, from the server's thread."""
        ...


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


@dataclass(slots=True, kw_only=True)
class _Session:
    peer: Peer
    name: str
    sock: socket.socket
    body: "_Body"
    transfer: Transfer
    started: float


class TftpServer:
    """Read-only. `observe` is called from the server's thread."""

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
        self._address = address
        self._lookup = lookup
        self._clock = clock
        self._observe = observe
        self._device = device
        self._limits = limits or Limits()
        self._caps = caps or Caps()
        self._sessions: dict[Peer, _Session] = {}
        self._socket = bind("udp", address, port, device=device)
        self._loop = Loop(name="tftp", tick=self._tick, period=_TICK)
        self._loop.watch(self._socket.fileno(), select.EPOLLIN, self._on_request)

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        self._loop.stop()
        for session in self._sessions.values():
            session.body.close()
            session.sock.close()
        self._sessions.clear()
        self._socket.close()

    def _on_request(self, _: int) -> None:
        for _ in range(_BATCH):
            try:
                raw, peer = self._socket.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            try:
                self._admit(parse(raw), peer)
            except PacketError:
                continue

    def _admit(self, packet: Packet, peer: Peer) -> None:
        """A request that is repeated before our first answer arrived is the same transfer, not a second one."""
        if peer in self._sessions or not isinstance(packet, ReadRequest | WriteRequest):
            return
        content = self._find(packet.name)
        problem = refuse(packet, found=content is not None) or self._over_cap(peer)
        if isinstance(packet, WriteRequest) or content is None or problem is not None:
            self._refuse(packet.name, peer, problem or Error(code=ErrorCode.NOT_FOUND))
            return
        try:
            self._open(packet, content, peer)
        except (OSError, ServiceError) as cause:
            log.error("cannot serve name=%r client=%s cause=%s", packet.name, peer[0], cause)
            self._refuse(packet.name, peer, Error(code=ErrorCode.UNDEFINED, message="the server cannot read it"))

    def _find(self, name: str) -> Content | None:
        for candidate in candidates(name):
            content = self._lookup.content(candidate)
            if content is not None:
                return content
        return None

    def _over_cap(self, peer: Peer) -> Error | None:
        same = sum(other[0] == peer[0] for other in self._sessions)
        if same < self._caps.per_client and len(self._sessions) < self._caps.transfers:
            return None
        return Error(code=ErrorCode.UNDEFINED, message="too many transfers, try again")

    def _open(self, request: ReadRequest, content: Content, peer: Peer) -> None:
        body = _Body(content)
        try:
            sock = bind("udp", self._address, 0, device=self._device)
        except ServiceError:
            body.close()
            raise
        now = self._clock.monotonic()
        transfer, actions = begin(request, content.size, self._limits, now)
        session = _Session(peer=peer, name=request.name, sock=sock, body=body, transfer=transfer, started=now)
        self._sessions[peer] = session
        self._loop.watch(sock.fileno(), select.EPOLLIN, lambda _: self._on_packet(session))
        self._perform(session, actions)

    def _refuse(self, name: str, peer: Peer, error: Error) -> None:
        self._send(self._socket, pack(error), peer)
        self._observe(TftpEvent(client=IPv4Address(peer[0]), name=name, outcome=Outcome.REFUSED, reason=error.message))

    def _on_packet(self, session: _Session) -> None:
        for _ in range(_BATCH):
            try:
                raw, peer = session.sock.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            try:
                packet = parse(raw)
            except PacketError:
                continue
            if peer != session.peer:
                self._turn_away(session, packet, peer)
                continue
            self._advance(session, packet)
            if session.peer not in self._sessions:
                return

    def _turn_away(self, session: _Session, packet: Packet, peer: Peer) -> None:
        """An error is never answered with an error: two servers could be set on each other."""
        if not isinstance(packet, Error):
            error = Error(code=ErrorCode.UNKNOWN_TID, message="unknown transfer id")
            self._send(session.sock, pack(error), peer)

    def _tick(self) -> None:
        now = self._clock.monotonic()
        for session in [s for s in self._sessions.values() if now >= s.transfer.deadline]:
            self._advance(session, TimePassed())

    def _advance(self, session: _Session, event: Packet | TimePassed) -> None:
        session.transfer, actions = step(session.transfer, event, self._clock.monotonic())
        self._perform(session, actions)

    def _perform(self, session: _Session, actions: tuple[Action, ...]) -> None:
        for action in actions:
            match action:
                case SendPacket():
                    self._send(session.sock, pack(action.packet), session.peer)
                case SendBlocks():
                    self._send_blocks(session, action)
                case Close():
                    self._close(session, action)
                case _:
                    assert_never(action)

    def _send_blocks(self, session: _Session, action: SendBlocks) -> None:
        size = session.transfer.terms.block_size
        count = action.last - action.first + 1
        try:
            window = session.body.read((action.first - 1) * size, count * size)
        except OSError as cause:
            log.error("cannot read name=%r client=%s cause=%s", session.name, session.peer[0], cause)
            error = Error(code=ErrorCode.UNDEFINED, message="the server cannot read it")
            self._send(session.sock, pack(error), session.peer)
            self._close(session, Close(outcome=Outcome.FAILED, reason="the content could not be read"))
            return
        for index in range(count):
            payload = window[index * size : (index + 1) * size]
            if not self._send(session.sock, pack_data(action.first + index, payload), session.peer):
                return

    def _send(self, sock: socket.socket, raw: bytes, peer: Peer) -> bool:
        """What the kernel does not take now is a lost packet, which TFTP repairs by itself."""
        try:
            sock.sendto(raw, peer)
        except OSError as cause:
            log.debug("packet not sent client=%s cause=%s", peer[0], cause)
            return False
        return True

    def _close(self, session: _Session, close: Close) -> None:
        del self._sessions[session.peer]
        self._loop.forget(session.sock.fileno())
        session.sock.close()
        session.body.close()
        transfer = session.transfer
        self._observe(
            TftpEvent(
                client=IPv4Address(session.peer[0]),
                name=session.name,
                outcome=close.outcome,
                reason=close.reason,
                sent=transfer.acked_bytes,
                seconds=self._clock.monotonic() - session.started,
                block_size=transfer.terms.block_size,
                window=transfer.terms.window,
                retransmits=transfer.retransmits,
            )
        )


class _Body:
    """Random access to content; OSError when a file is not what its entry says."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._fd = -1
        if isinstance(content, FileContent):
            self._fd = os.open(content.path, os.O_RDONLY | os.O_CLOEXEC)
            if os.fstat(self._fd).st_size != content.size:
                self.close()
                raise OSError(f"{content.path} is not {content.size} bytes long")

    def read(self, offset: int, count: int) -> bytes:
        wanted = max(0, min(count, self._content.size - offset))
        if isinstance(self._content, BytesContent):
            return self._content.data[offset : offset + wanted]
        data = os.pread(self._fd, wanted, offset)
        if len(data) != wanted:
            raise OSError(f"{self._content.path} ended early")
        return data

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
