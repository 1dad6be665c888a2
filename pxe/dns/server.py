"""The rack's DNS server: one thread, UDP by the batch and TCP.

Every answer is prepared with its zone. The commonest are kept whole besides, a few megabytes at most: equal questions
cost one look-up, and random names, spellings and cookies merely the preparation's.
"""

import logging
import secrets
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address
from typing import assert_never

from pxe.batch import Peer, datagrams, host
from pxe.dns.forward import Forwarding, question_of
from pxe.dns.limit import RateLimit, Verdict, own_networks
from pxe.dns.packet import Rcode, cut
from pxe.dns.responder import Zone, respond, table_of
from pxe.dns.streams import Streams
from pxe.dns.table import Table
from pxe.dns.upstream import Upstreams
from pxe.errors import ServiceError
from pxe.ports import Clock
from pxe.sockets import Loop, bind, deepen

log = logging.getLogger(__name__)

PORT = 53

_TICK = 1.0
_TRIES = 8
_TICK_FORWARDING = 0.25
_QUERY_SIZE = 1232
_KNOWN = 16_384
_KNOWN_QUERY = 96
_KNOWN_REPLY = 256
_RCODE = 0x0F
_TRUNCATED = 0x02


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """A zone's answers and its networks: swapped as one. `known` are UDP answers by their query, both behind the
    id: no errors, and no questions in upper case, which is a toss of coins (0x20)."""

    table: Table
    limit: RateLimit
    known: dict[bytes, bytes] = field(default_factory=dict)

    def remember(self, key: bytes, reply: bytes) -> None:
        """Emptied when full; long ones, with cookies for example, seldom come twice."""
        if len(key) > _KNOWN_QUERY or len(reply) > _KNOWN_REPLY or reply[2] & _TRUNCATED:
            return
        if len(self.known) >= _KNOWN:
            self.known.clear()
        self.known[key] = reply[2:]


class DnsServer:
    """Authoritative; questions about other names are forwarded for our own networks if `forwarding` says where to.

    `rate` in UDP answers per second is what a /24 that is not ours gets.
    """

    def __init__(
        self,
        *,
        address: IPv4Address,
        zone: Zone,
        clock: Clock,
        port: int = PORT,
        rate: int = 200,
        forwarding: Forwarding | None = None,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._clock = clock
        self._rate = rate
        self._recursive = forwarding is not None
        self._snapshot = self._prepared(zone)
        self._second = clock.monotonic()
        self._udp, tcp = _both(address, port)
        deepen(self._udp)
        self._datagrams = datagrams(self._udp, size=_QUERY_SIZE)
        self._loop = Loop(name="dns", tick=self._tick, period=_TICK_FORWARDING if forwarding else _TICK)
        self._loop.watch(self._udp.fileno(), select.EPOLLIN, self._on_datagrams)
        self._streams = Streams(tcp, loop=self._loop, clock=clock, on_query=self._on_stream_query)
        self._upstreams = (
            None if forwarding is None else Upstreams(forwarding, loop=self._loop, clock=clock, random=random)
        )

    @property
    def port(self) -> int:
        port: int = self._udp.getsockname()[1]
        return port

    def set_zone(self, zone: Zone) -> None:
        """From any thread: the next query sees the new zone whole."""
        self._snapshot = self._prepared(zone)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        self._loop.stop()
        if self._upstreams is not None:
            self._upstreams.close()
        self._streams.close()
        self._udp.close()

    def _prepared(self, zone: Zone) -> _Snapshot:
        limit = RateLimit(own_networks(zone.networks), self._rate)
        return _Snapshot(table_of(zone, recursive=self._recursive), limit)

    def _on_datagrams(self, _: int) -> None:
        """What is asked most, from where it is asked most, takes the short way."""
        snapshot, free_of_checks = self._snapshot, not self._recursive
        known, free, table = snapshot.known, snapshot.limit.free, snapshot.table
        replies: list[tuple[bytes, Peer]] = []
        for raw, peer in self._datagrams.receive():
            own, key = peer[4:7] in free, raw[2:]
            rest = known.get(key)
            if rest is not None and own:
                replies.append((raw[:2] + rest, peer))
                continue
            reply = respond(table, raw, tcp=False)
            if reply is not None and not (own and free_of_checks):
                reply = self._checked(snapshot, raw, reply, peer)
            if reply is not None:
                replies.append((reply, peer))
                if not reply[3] & _RCODE and key.islower():
                    snapshot.remember(key, reply)
        if replies:
            self._datagrams.send(replies)

    def _checked(self, snapshot: _Snapshot, raw: bytes, reply: bytes, peer: Peer) -> bytes | None:
        """What this client gets of the reply; None for nothing, or nothing yet."""
        match snapshot.limit.judge(peer[4:8]):
            case Verdict.DROP:
                return None
            case Verdict.SLIP:
                return cut(reply)
            case Verdict.SEND:
                return None if self._forward(raw, reply, peer) else reply
            case never:
                assert_never(never)

    def _forward(self, raw: bytes, reply: bytes, peer: Peer) -> bool:
        return self._forwarded(raw, reply, host(peer), tcp=False, done=partial(self._send_to, peer))

    def _send_to(self, peer: Peer, reply: bytes) -> None:
        self._datagrams.send([(reply, peer)])

    def _forwarded(
        self, raw: bytes, reply: bytes, client: IPv4Address, *, tcp: bool, done: Callable[[bytes], None]
    ) -> bool:
        """Whether the question went on its way."""
        if self._upstreams is None or reply[3] & _RCODE != Rcode.REFUSED or not self._snapshot.limit.is_own(client):
            return False
        question = question_of(raw, tcp=tcp)
        if question is None:
            return False
        self._upstreams.forward(question, done)
        return True

    def _on_stream_query(self, raw: bytes, client: str, answer: Callable[[bytes], None]) -> None:
        reply = respond(self._snapshot.table, raw, tcp=True)
        if reply is None:
            return
        if not self._forwarded(raw, reply, IPv4Address(client), tcp=True, done=answer):
            answer(reply)

    def _tick(self) -> None:
        """The loop calls after every round, so a second is counted here."""
        now = self._clock.monotonic()
        if now - self._second >= _TICK:
            self._second = now
            self._snapshot.limit.next_second()
            self._streams.tick()
        if self._upstreams is not None:
            self._upstreams.tick()


def _both(address: IPv4Address, port: int) -> tuple[socket.socket, socket.socket]:
    """UDP and TCP on one port; for port 0 on one that is free for both."""
    tries = 1 if port else _TRIES
    while True:
        tries -= 1
        udp = bind("udp", address, port)
        try:
            return udp, bind("tcp", address, udp.getsockname()[1])
        except ServiceError:
            udp.close()
            if not tries:
                raise
