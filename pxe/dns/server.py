"""The rack's DNS server: one thread, UDP and TCP, answers cached by their bytes.

The cache key is the query behind its id, so equal questions cost one dictionary look-up. It is filled only with
questions about names that exist and emptied when full: neither random names nor cookies can make it grow.
"""

import logging
import select
import socket
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from pxe.dns.responder import Zone, ZoneTable, respond
from pxe.ports import Clock
from pxe.sockets import Loop, bind

log = logging.getLogger(__name__)

PORT = 53

_TICK = 1.0
_BATCH = 256
_CACHED = 16_384
_TCP_IDLE = 10.0
_TCP_CONNECTIONS = 64
_LARGEST = 65_535


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """A zone and the answers remembered for it: swapped as one, so that no answer outlives its zone."""

    table: ZoneTable
    udp: dict[bytes, bytes] = field(default_factory=dict)
    tcp: dict[bytes, bytes] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Stream:
    sock: socket.socket
    deadline: float
    inbox: bytearray
    outbox: bytearray


class DnsServer:
    """Authoritative only: no forwarding, no recursion."""

    def __init__(self, *, address: IPv4Address, zone: Zone, clock: Clock, port: int = PORT) -> None:
        self._clock = clock
        self._snapshot = _Snapshot(ZoneTable.from_zone(zone))
        self._streams: dict[int, _Stream] = {}
        self._udp = bind("udp", address, port)
        try:
            self._tcp = bind("tcp", address, self.port)
        except Exception:
            self._udp.close()
            raise
        self._loop = Loop(name="dns", tick=self._tick, period=_TICK)
        self._loop.watch(self._udp.fileno(), select.EPOLLIN, self._on_datagrams)
        self._loop.watch(self._tcp.fileno(), select.EPOLLIN, self._on_accept)

    @property
    def port(self) -> int:
        port: int = self._udp.getsockname()[1]
        return port

    def set_zone(self, zone: Zone) -> None:
        """From any thread: the next query sees the new zone whole."""
        self._snapshot = _Snapshot(ZoneTable.from_zone(zone))

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        self._loop.stop()
        for stream in self._streams.values():
            stream.sock.close()
        self._streams.clear()
        self._udp.close()
        self._tcp.close()

    def _on_datagrams(self, _: int) -> None:
        for _ in range(_BATCH):
            try:
                raw, peer = self._udp.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            reply = self._reply(raw, tcp=False)
            if reply:
                self._send_datagram(reply, peer)

    def _send_datagram(self, reply: bytes, peer: tuple[str, int]) -> None:
        try:
            self._udp.sendto(reply, peer)
        except OSError as cause:
            log.debug("answer not sent client=%s cause=%s", peer[0], cause)

    def _reply(self, raw: bytes, *, tcp: bool) -> bytes:
        """Empty for silence."""
        snapshot = self._snapshot
        cache = snapshot.tcp if tcp else snapshot.udp
        known = cache.get(raw[2:])
        if known is not None:
            return raw[:2] + known
        reply = respond(snapshot.table, raw, tcp=tcp)
        if reply is None:
            return b""
        if reply.lasting:
            if len(cache) >= _CACHED:
                cache.clear()
            cache[raw[2:]] = reply.raw[2:]
        return reply.raw

    # TCP (RFC 7766): messages behind a two-byte length, any number of them, answered in order

    def _on_accept(self, _: int) -> None:
        try:
            sock, _peer = self._tcp.accept()
        except OSError as cause:
            log.debug("no connection accepted cause=%s", cause)
            return
        if len(self._streams) >= _TCP_CONNECTIONS:
            sock.close()
            return
        sock.setblocking(False)
        deadline = self._clock.monotonic() + _TCP_IDLE
        stream = _Stream(sock=sock, deadline=deadline, inbox=bytearray(), outbox=bytearray())
        self._streams[sock.fileno()] = stream
        self._loop.watch(sock.fileno(), select.EPOLLIN, lambda _: self._on_stream(stream))

    def _on_stream(self, stream: _Stream) -> None:
        """While answers wait to be taken, no more questions are read."""
        try:
            if not stream.outbox:
                self._receive(stream)
            if stream.outbox:
                del stream.outbox[: stream.sock.send(stream.outbox)]
        except BlockingIOError:
            pass
        except (OSError, EOFError):
            self._close(stream)
            return
        self._loop.alter(stream.sock.fileno(), select.EPOLLOUT if stream.outbox else select.EPOLLIN)

    def _receive(self, stream: _Stream) -> None:
        data = stream.sock.recv(_LARGEST)
        if not data:
            raise EOFError
        stream.inbox += data
        stream.deadline = self._clock.monotonic() + _TCP_IDLE
        while len(stream.inbox) >= 2:
            length = int.from_bytes(stream.inbox[:2])
            if len(stream.inbox) < 2 + length:
                return
            reply = self._reply(bytes(stream.inbox[2 : 2 + length]), tcp=True)
            del stream.inbox[: 2 + length]
            if reply:
                stream.outbox += len(reply).to_bytes(2) + reply

    def _close(self, stream: _Stream) -> None:
        self._loop.forget(stream.sock.fileno())
        del self._streams[stream.sock.fileno()]
        stream.sock.close()

    def _tick(self) -> None:
        now = self._clock.monotonic()
        for stream in [s for s in self._streams.values() if now >= s.deadline]:
            self._close(stream)
