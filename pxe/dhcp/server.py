"""The DHCP socket: receive, decide, make durable, send.

All packets that wait in the socket form one group: each is answered in turn against the lease tables, the new
leases of the whole group go to disk with one flush, and only then do their replies leave; offers leave before it. A
thousand machines that start at once therefore cost a few flushes, and an acknowledged lease survives a power cut.

When the disk refuses, the replies that depend on it are withheld, renewals too: an ACK promises a time that would not
survive us, and a machine at half its lease asks again until the disk is well. What the disk refused is kept and
written with the next group.

An OFFER of an address that nobody has asked for lately is held, and its DISCOVER decided anew once it is known whether
somebody uses it. While another server has the segment, packets are heard and not answered (`pxe.dhcp.guards`).

A reply to a client without an address needs its hardware address: it is entered into the kernel's ARP table
first. This is what dnsmasq does, so firmware, iPXE, udhcpc and systemd-networkd are all used to it, and a boot
storm does not wake every machine of the segment. When the kernel refuses (table full, no privilege) the reply
is broadcast, which RFC 2131 section 4.1 allows and the same clients accept.
"""

import fcntl
import logging
import os
import selectors
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import chain, zip_longest
from pathlib import Path
from typing import NamedTuple, assert_never

from pxe.batch import Datagrams, Peer, datagrams, host, peer
from pxe.boot import Chain, Endpoints, answer
from pxe.dhcp.address import LIMITED_BROADCAST, UNSPECIFIED, Address, Hardware
from pxe.dhcp.alarm import Level, PoolAlarm, level_of
from pxe.dhcp.event import DhcpEvent
from pxe.dhcp.exchange import CLIENT_PORT, SERVER_PORT, Destination, Ignore, Outcome, Reply, Request, Route
from pxe.dhcp.guards import ALONE, Arrived, Guarded, Guards, Sentry, open_sentry
from pxe.dhcp.journal import Journal, Recovery, open_journal
from pxe.dhcp.leases import Lease, LeaseState, LeaseTable, Offer
from pxe.dhcp.packet import DhcpPacket, Option, hardware_of, parse, traits_of
from pxe.dhcp.policy import Boot, Policy, Segment
from pxe.dhcp.responder import respond
from pxe.dhcp.rivals import Standing, Starting
from pxe.dhcp.subnet import DhcpConfig
from pxe.errors import PacketError, PxeError, ServiceError
from pxe.ports import Clock
from pxe.sockets import bind, deepen

_log = logging.getLogger(__name__)

_GROUP = 512
_GROUP_SECONDS = 0.005
_LARGEST_DATAGRAM = 9216
_REWRITE_AFTER_LINES = 100_000
_STOP_SECONDS = 10
_RESUME_SECONDS = 30.0
_SIOCSARP = 0x8955
_ARPHRD_ETHER = 1
_ATF_COM = 2
_ARPREQ = struct.Struct("=HH4s8xH6s8xi16x16s")  # struct arpreq, net/if_arp.h
_TO = {port: bytes(peer(IPv4Address(0), port)[:4]) for port in (SERVER_PORT, CLIENT_PORT)}
_UUID = int(Option.CLIENT_UUID)
_RELAY = int(Option.RELAY_INFORMATION)
_VENDOR = int(Option.VENDOR_CLASS)

Observed = DhcpEvent | PoolAlarm | Guarded


class _Answered(NamedTuple):
    """`lease` must be on disk before anybody hears of it."""

    packet: DhcpPacket
    outcome: Outcome
    lease: Lease | None


class _Serving(NamedTuple):
    """What packets are decided by: replaced whole, between two groups."""

    policy: Policy
    tables: tuple[LeaseTable, ...]
    homeless: tuple[Lease, ...]
    own: frozenset[Address]

    def knows(self, mac: Hardware) -> bool:
        """By a reservation, by a lease that it has or had, or by name."""
        policy = self.policy
        if policy.names(mac) or any(mac in reserved for reserved in policy.reservations):
            return True
        return any(table.lease_of(mac) is not None for table in self.tables)

    def upcoming(self, link: int) -> Iterator[Address]:
        """What its pools give out next."""
        table = self.tables[link]
        return chain.from_iterable(table.upcoming(segment.pool) for segment in self.policy.links[link])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    sockets: ExitStack
    socket: socket.socket
    datagrams: Datagrams
    journal: Journal
    sentry: Sentry
    wake: int
    thread: threading.Thread


class DhcpServer:
    """Serves one interface from a thread of its own. `observe` and `chain_of` are called there and must be quick."""

    def __init__(
        self,
        *,
        device: str,
        config: DhcpConfig,
        endpoints: Endpoints,
        journal: Path,
        clock: Clock,
        observe: Callable[[Observed], None],
        guards: Guards = ALONE,
        chain_of: Callable[[Hardware], Chain] = lambda _: Chain.IPXE,
        open_journal: Callable[[Path], tuple[Journal, Recovery]] = open_journal,
    ) -> None:
        self._device = device
        self._endpoints = endpoints
        self._path = journal
        self._clock = clock
        self._observe = observe
        self._guards = guards
        self._chain_of = chain_of
        self._open_journal = open_journal
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._serving = self._prepared(config, ())
        self._unsaved: dict[Address, Lease] = {}
        self._failing = False
        self._levels: dict[Segment, Level] = {}
        self._running: _Running | None = None
        self._standing: Standing = Starting()
        self._settled = threading.Event()

    def _prepared(self, config: DhcpConfig, leases: Iterable[Lease]) -> _Serving:
        policy = Policy(config, lambda client, chain: answer(client, self._endpoints, chain), self._chain_of)
        return _Serving(policy, *policy.tables(leases), frozenset(segment.server for segment in policy.segments))

    def start(self) -> None:
        """Returns when packets are being received. ServiceError when the journal or a socket refuses.

        Whether they are answered is another matter: see `settle`.
        """
        with ExitStack() as opened:
            # Before the journal: whoever has the port is the one writer.
            endpoint = opened.enter_context(_open_socket(self._device))
            journal, recovery = self._open_journal(self._path)
            opened.callback(journal.close)
            self._recover(recovery)
            sentry = self._open_sentry(opened)
            wake = os.eventfd(0)
            opened.callback(os.close, wake)
            source = IPv4Address(self._serving.policy.server)
            self._running = _Running(
                sockets=opened.pop_all(),
                socket=endpoint,
                datagrams=datagrams(endpoint, size=_LARGEST_DATAGRAM, source=source),
                journal=journal,
                sentry=sentry,
                wake=wake,
                thread=threading.Thread(target=self._run, name=f"dhcp-{self._device}"),
            )
        self._running.thread.start()

    def _recover(self, recovery: Recovery) -> None:
        if recovery.damaged_lines:
            _log.warning("lease journal %s: %d damaged lines dropped", self._path, recovery.damaged_lines)
        with self._lock:
            self._serving = self._prepared(self._serving.policy.config, recovery.leases)

    def _open_sentry(self, sockets: ExitStack) -> Sentry:
        return open_sentry(
            self._guards,
            sockets,
            device=self._device,
            server=IPv4Address(self._serving.policy.server),
            boot_of=self._boot_of,
            clock=self._clock,
            observe=self._tell,
            resumes=_served_lately(self._serving, self._clock.now()),
        )

    def _boot_of(self, packet: DhcpPacket) -> Boot | None:
        policy, traits = self._serving.policy, traits_of(packet)
        group = policy.class_of(traits, hardware_of(packet))
        return None if group is not None and group.ignore else policy.boot_of(packet, traits, group)

    def settle(self) -> Standing:
        """Blocks until it is known who serves this segment: at once without an identity, else mostly 4.5 s.

        `Starting` only if it is stopped meanwhile. Whatever comes later is told as an event.
        """
        self._settled.wait()
        return self._standing

    def take_over(self) -> None:
        """From any thread, the operator's word: passive or blocked, it looks again who serves, and if nobody does,
        it does."""
        if self._running is not None:
            self._running.sentry.take_over()

    def stop(self) -> None:
        """Answers the group in hand, then closes everything. May be called twice."""
        running, self._running = self._running, None
        if running is None:
            return
        os.eventfd_write(running.wake, 1)
        running.thread.join(_STOP_SECONDS)
        if running.thread.is_alive():
            raise ServiceError("the DHCP server does not stop", next_action="look for a disk that hangs")
        running.sockets.close()
        self._settled.set()

    def reconfigure(self, config: DhcpConfig) -> None:
        """From any thread, between two groups. The interface's own first `server` address cannot change.

        No lease is dropped: one whose address is no longer given away lasts as long as it was granted for, one of a
        subnet that is gone stays in the journal. Changed reservations count from the next renewal.
        """
        with self._lock:
            before = self._serving
            if config.local[0].server != before.policy.config.local[0].server:
                raise ServiceError(
                    "the server's address cannot change while it serves",
                    evidence=str(config.local[0].server),
                    next_action="stop it and start it anew",
                )
            after = self._prepared(config, _leases(before))
            for offer in (offer for table in before.tables for offer in table.offers()):
                segment = after.policy.segment_of(offer.address)
                if segment is not None:
                    after.tables[segment.link].apply(offer)
            self._serving, self._levels = after, {}

    def forget(self, mac: Hardware) -> None:
        """From any thread: the machine holds no address any more, and that is on disk. ServiceError when the disk
        refuses, or when nothing is served."""
        if (running := self._running) is None:
            raise ServiceError("the DHCP server does not run", next_action="start it first")
        now = self._clock.now()
        with self._lock:
            given_up = list(_given_up(self._serving.tables, mac, now))
        self._commit(running.journal, given_up)

    def leases(self) -> tuple[Lease, ...]:
        """The least recently changed first in each link, also those that have run out."""
        with self._lock:
            return _leases(self._serving)

    def _run(self) -> None:
        running = self._running
        if running is None:
            return
        with selectors.DefaultSelector() as selector:
            selector.register(running.socket, selectors.EVENT_READ)
            selector.register(running.wake, selectors.EVENT_READ)
            for source in running.sentry.sources:
                selector.register(source, selectors.EVENT_READ)
            ready: set[object] = set()
            while running.wake not in ready:
                try:
                    running.sentry.turn(ready)
                    self._settle(running.sentry.standing)
                    self._serve(running)
                except PxeError as error:
                    _log.error("%s (%s); %s", error, error.evidence, error.next_action)
                except Exception:
                    _log.exception("DHCP group failed")
                ready = {key.fileobj for key, _ in selector.select(running.sentry.period)}

    def _settle(self, standing: Standing) -> None:
        if not isinstance(standing, Starting):
            self._standing = standing
            self._settled.set()

    def _serve(self, running: _Running) -> None:
        """One group."""
        with self._lock:
            answered = self._decide(running.datagrams, running.sentry)
            alarms = self._alarms()
        for alarm in alarms:
            self._tell(alarm)
        self._finish(running, [one for one in answered if one.lease is None])
        leases = [one.lease for one in answered if one.lease is not None]
        if leases:
            self._commit(running.journal, leases)
            self._finish(running, [one for one in answered if one.lease is not None])
        self._compact(running.journal)

    def _decide(self, source: Datagrams, sentry: Sentry) -> list[_Answered]:
        """Until nothing waits any more, or the group is large or old enough: those at its head wait for all of it."""
        now, begin = self._clock.now(), self._clock.monotonic()
        for table in self._serving.tables:
            table.expire(now)
        answered = self._answers(self._released(sentry), sentry, now)
        while batch := source.receive():
            admitted = [one for raw in batch if (one := self._admitted(*raw, sentry, begin)) is not None]
            answered += self._answers(admitted, sentry, now)
            if len(answered) >= _GROUP or self._clock.monotonic() >= begin + _GROUP_SECONDS:
                break
        return answered

    def _released(self, sentry: Sentry) -> list[Arrived]:
        serving = self._serving
        relayed = zip_longest(*map(serving.upcoming, range(1, len(serving.tables))))
        return sentry.released(serving.upcoming(0), (one for few in relayed for one in few if one is not None))

    def _admitted(self, data: bytes, sender: Peer, sentry: Sentry, monotonic: float) -> Arrived | None:
        serving = self._serving
        try:
            packet = parse(data)
        except PacketError as error:
            _log.debug("packet from %s dropped: %s (%s)", host(sender), error, error.evidence)
            return None
        return Arrived(packet, sender) if sentry.admits(packet, serving.own, monotonic, serving.knows) else None

    def _answers(self, arrived: Iterable[Arrived], sentry: Sentry, now: float) -> list[_Answered]:
        return [answered for one in arrived if (answered := self._answer(one, sentry, now)) is not None]

    def _answer(self, arrived: Arrived, sentry: Sentry, now: float) -> _Answered | None:
        """None for an OFFER that is held, and for our own mistakes."""
        serving, (packet, sender) = self._serving, arrived
        try:
            avoid = sentry.avoid(Hardware(packet.chaddr))
            request = Request(packet, Address(sender[4:8]), now, avoid)
            outcome = respond(request, serving.policy, serving.tables)
            if isinstance(outcome, Ignore):
                return _Answered(packet, outcome, None)
            change = outcome.change
            if change is not None:
                serving.tables[outcome.link].apply(change)
            if isinstance(outcome, Reply) and outcome.unproven and not _proven(outcome, arrived, sentry):
                return None
        except Exception:
            _log.exception("packet from %s not answered: %s", host(sender), packet)
            return None
        return _Answered(packet, outcome, change if isinstance(change, Lease) else None)

    def _commit(self, journal: Journal, leases: Iterable[Lease]) -> None:
        with self._writing:
            self._append(journal, leases)

    def _append(self, journal: Journal, leases: Iterable[Lease]) -> None:
        unsaved = self._unsaved
        for lease in leases:
            # Later lines win, so the order counts: a second change of an address goes behind the first.
            unsaved.pop(lease.address, None)
            unsaved[lease.address] = lease
        try:
            journal.append(list(unsaved.values()))
        except ServiceError:
            self._failing = True
            raise
        unsaved.clear()
        if self._failing:
            self._failing = False
            _log.warning("the lease journal is written again: %s", self._path)

    def _compact(self, journal: Journal) -> None:
        """Each renewal is a line; a file that only grows stalls the start and fills the disk."""
        if journal.lines > _REWRITE_AFTER_LINES:
            leases = self.leases()
            if journal.lines > 4 * len(leases):
                with self._writing:
                    journal.rewrite(leases)

    def _finish(self, running: _Running, answered: list[_Answered]) -> None:
        messages = [
            (one.outcome.data, self._reach(running.socket, one.outcome.destination, one.packet.chaddr))
            for one in answered
            if isinstance(one.outcome, Reply)
        ]
        if messages:
            sent = running.datagrams.send(messages)
            if sent < len(messages):
                _log.warning("%d of %d replies not sent", len(messages) - sent, len(messages))
        for one in answered:
            self._tell(_event(one))

    def _tell(self, observed: Observed) -> None:
        try:
            self._observe(observed)
        except Exception:
            _log.exception("observer failed")

    def _alarms(self) -> list[PoolAlarm]:
        policy, tables = self._serving.policy, self._serving.tables
        alarms: list[PoolAlarm] = []
        for segment in policy.segments:
            used = segment.pool_size - tables[segment.link].free(segment.pool)
            before = self._levels.get(segment, Level.NORMAL)
            level = level_of(used, segment.pool_size, before)
            if level is not before:
                self._levels[segment] = level
                alarms.append(PoolAlarm(network=segment.network, level=level, used=used, size=segment.pool_size))
        return alarms

    def _reach(self, endpoint: socket.socket, destination: Destination, chaddr: bytes) -> Peer:
        route, address, port = destination
        match route:
            case Route.UNICAST | Route.BROADCAST:
                pass
            case Route.HARDWARE:
                try:
                    _enter_arp(endpoint, self._device, address, chaddr)
                except OSError:
                    address = LIMITED_BROADCAST
            case _:
                assert_never(route)
        return Peer(_TO[port] + address + bytes(8))


def _open_socket(device: str) -> socket.socket:
    endpoint = bind("udp", IPv4Address(0), SERVER_PORT, device=device)
    endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    deepen(endpoint, both=True)
    return endpoint


def _proven(reply: Reply, arrived: Arrived, sentry: Sentry) -> bool:
    """Link 0 is the wire of our own device, the others are behind relays."""
    address = reply.change.address if reply.change else UNSPECIFIED
    return sentry.passes(address, arrived, relayed=reply.link != 0)


def _served_lately(serving: _Serving, now: float) -> bool:
    """Whether the last ACK is seconds old: what a lease was granted for tells when it was granted."""
    for table in serving.tables:
        for lease in reversed(table.leases()):
            segment = serving.policy.segment_of(lease.address)
            if lease.state is LeaseState.BOUND and segment is not None:
                if now - _RESUME_SECONDS <= lease.expires - segment.lease_seconds <= now:
                    return True
                break
    return False


def _given_up(tables: Iterable[LeaseTable], mac: Hardware, now: float) -> Iterator[Lease]:
    for table in tables:
        lease = table.lease_of(mac)
        if lease is not None and lease.state is LeaseState.BOUND:
            released = lease._replace(state=LeaseState.RELEASED, expires=now)
            table.apply(released)
            yield released


def _enter_arp(endpoint: socket.socket, device: str, address: Address, chaddr: bytes) -> None:
    request = _ARPREQ.pack(socket.AF_INET, 0, address, _ARPHRD_ETHER, chaddr, _ATF_COM, device.encode())
    fcntl.ioctl(endpoint, _SIOCSARP, request)


def _leases(serving: _Serving) -> tuple[Lease, ...]:
    return serving.homeless + tuple(lease for table in serving.tables for lease in table.leases())


def _event(answered: _Answered) -> DhcpEvent:
    packet, outcome, _ = answered
    traits, find = traits_of(packet), packet.options.get
    change = outcome.change
    return DhcpEvent(
        outcome.kind,
        Hardware(packet.chaddr),
        traits.stage,
        traits.arch,
        find(_UUID, b""),
        change.address if isinstance(change, Lease | Offer) else None,
        outcome.filename if isinstance(outcome, Reply) else b"",
        outcome.reason,
        find(_RELAY, b""),
        find(_VENDOR, b""),
    )
