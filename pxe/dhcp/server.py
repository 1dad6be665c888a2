"""The DHCP socket: receive, decide, make durable, send.

All packets that wait in the socket form one group: each is answered in turn against the lease tables, the new
leases of the whole group go to disk with one flush, and only then do their replies leave; offers leave before it. A
thousand machines that start at once therefore cost a few flushes, and an acknowledged lease survives a power cut.

When the disk refuses, the replies that depend on it are withheld, renewals too: an ACK promises a time that would not
survive us, and a machine at half its lease asks again until the disk is well. What the disk refused is kept and
written with the next group.

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
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import NamedTuple, assert_never

from pxe.batch import Datagrams, Peer, datagrams, host, peer
from pxe.boot import Chain, Endpoints, answer
from pxe.dhcp.address import LIMITED_BROADCAST, Address, Hardware
from pxe.dhcp.alarm import Level, PoolAlarm, level_of
from pxe.dhcp.event import DhcpEvent
from pxe.dhcp.exchange import (
    CLIENT_PORT,
    SERVER_PORT,
    Destination,
    Ignore,
    Outcome,
    Reply,
    Request,
    Route,
)
from pxe.dhcp.journal import Journal, Recovery, open_journal
from pxe.dhcp.leases import Lease, LeaseTable, Offer
from pxe.dhcp.packet import DhcpPacket, Option, parse, traits_of
from pxe.dhcp.policy import Policy, Segment
from pxe.dhcp.responder import respond
from pxe.dhcp.subnet import DhcpConfig
from pxe.errors import PacketError, PxeError, ServiceError
from pxe.ports import Clock

_log = logging.getLogger(__name__)

_GROUP = 512
_GROUP_SECONDS = 0.005
_LARGEST_DATAGRAM = 9216
_BUFFER_BYTES = 8 << 20
_REWRITE_AFTER_LINES = 100_000
_STOP_SECONDS = 10
_SO_RCVBUFFORCE = 33
_SO_SNDBUFFORCE = 32
_SIOCSARP = 0x8955
_ARPHRD_ETHER = 1
_ATF_COM = 2
_ARPREQ = struct.Struct("=HH4s8xH6s8xi16x16s")  # struct arpreq, net/if_arp.h
_TO = {port: bytes(peer(IPv4Address(0), port)[:4]) for port in (SERVER_PORT, CLIENT_PORT)}
_ADDRESS_IN_PEER = slice(4, 8)
_UUID = int(Option.CLIENT_UUID)
_RELAY = int(Option.RELAY_INFORMATION)

Observed = DhcpEvent | PoolAlarm


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    socket: socket.socket
    datagrams: Datagrams
    journal: Journal
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
        chain_of: Callable[[Hardware], Chain] = lambda _: Chain.IPXE,
        open_journal: Callable[[Path], tuple[Journal, Recovery]] = open_journal,
    ) -> None:
        self._device = device
        self._endpoints = endpoints
        self._path = journal
        self._clock = clock
        self._observe = observe
        self._chain_of = chain_of
        self._open_journal = open_journal
        self._lock = threading.Lock()
        self._serving = self._prepared(config, ())
        self._unsaved: dict[Address, Lease] = {}
        self._failing = False
        self._levels: dict[Segment, Level] = {}
        self._running: _Running | None = None

    def _prepared(self, config: DhcpConfig, leases: Iterable[Lease]) -> _Serving:
        policy = Policy(config, lambda client, chain: answer(client, self._endpoints, chain), self._chain_of)
        return _Serving(policy, *policy.tables(leases))

    def start(self) -> None:
        """Returns when packets are being received. ServiceError when the journal or the socket refuses."""
        endpoint = self._open_socket()
        try:
            journal, recovery = self._open_journal(self._path)
        except ServiceError:
            endpoint.close()
            raise
        if recovery.damaged_lines:
            _log.warning("lease journal %s: %d damaged lines dropped", self._path, recovery.damaged_lines)
        with self._lock:
            self._serving = self._prepared(self._serving.policy.config, recovery.leases)
        source = IPv4Address(self._serving.policy.server)
        self._running = _Running(
            socket=endpoint,
            datagrams=datagrams(endpoint, size=_LARGEST_DATAGRAM, source=source),
            journal=journal,
            wake=os.eventfd(0),
            thread=threading.Thread(target=self._run, name=f"dhcp-{self._device}"),
        )
        self._running.thread.start()

    def _open_socket(self) -> socket.socket:
        """Before the journal: whoever has the port is the one writer."""
        try:
            return _open_socket(self._device)
        except OSError as error:
            raise ServiceError(
                "cannot open the DHCP port",
                evidence=f"{self._device}: {error}",
                next_action="check the device name, the privileges and that no other DHCP server runs here",
            ) from error

    def stop(self) -> None:
        """Answers the group in hand, then closes everything. May be called twice."""
        running, self._running = self._running, None
        if running is None:
            return
        os.eventfd_write(running.wake, 1)
        running.thread.join(_STOP_SECONDS)
        if running.thread.is_alive():
            raise ServiceError("the DHCP server does not stop", next_action="look for a disk that hangs")
        running.socket.close()
        running.journal.close()
        os.close(running.wake)

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
            while running.wake not in {key.fileobj for key, _ in selector.select()}:
                try:
                    self._serve(running)
                except PxeError as error:
                    _log.error("%s (%s); %s", error, error.evidence, error.next_action)
                except Exception:
                    _log.exception("DHCP group failed")

    def _serve(self, running: _Running) -> None:
        """One group."""
        with self._lock:
            answered = self._decide(running.datagrams)
            alarms = self._alarms()
        for alarm in alarms:
            self._tell(alarm)
        self._finish(running, [one for one in answered if one.lease is None])
        leases = [one.lease for one in answered if one.lease is not None]
        if leases:
            self._commit(running.journal, leases)
            self._finish(running, [one for one in answered if one.lease is not None])
        self._compact(running.journal)

    def _decide(self, source: Datagrams) -> list[_Answered]:
        """Until nothing waits any more, or the group is large or old enough: those at its head wait for all of it."""
        now, end = self._clock.now(), self._clock.monotonic() + _GROUP_SECONDS
        for table in self._serving.tables:
            table.expire(now)
        answered: list[_Answered] = []
        while batch := source.receive():
            answered += [one for data, sender in batch if (one := self._answer(data, sender, now)) is not None]
            if len(answered) >= _GROUP or self._clock.monotonic() >= end:
                break
        return answered

    def _answer(self, data: bytes, sender: Peer, now: float) -> _Answered | None:
        """None for what is not from a client that we can name, and for our own mistakes."""
        policy, tables, _ = self._serving
        try:
            packet = parse(data)
            outcome = respond(Request(packet, Address(sender[_ADDRESS_IN_PEER]), now), policy, tables)
            if isinstance(outcome, Ignore):
                return _Answered(packet, outcome, None)
            change = outcome.change
            if change is not None:
                tables[outcome.link].apply(change)
        except PacketError as error:
            _log.debug("packet from %s dropped: %s (%s)", host(sender), error, error.evidence)
            return None
        except Exception:
            _log.exception("packet from %s not answered", host(sender))
            _log.debug("it was %s", data.hex())
            return None
        return _Answered(packet, outcome, change if isinstance(change, Lease) else None)

    def _commit(self, journal: Journal, leases: Iterable[Lease]) -> None:
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
        policy, tables, _ = self._serving
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
    endpoint = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        # The default buffer holds about 200 packets: a boot storm loses the rest and every client waits seconds.
        for forced, polite in ((_SO_RCVBUFFORCE, socket.SO_RCVBUF), (_SO_SNDBUFFORCE, socket.SO_SNDBUF)):
            try:
                endpoint.setsockopt(socket.SOL_SOCKET, forced, _BUFFER_BYTES)
            except PermissionError:
                endpoint.setsockopt(socket.SOL_SOCKET, polite, _BUFFER_BYTES)
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
        endpoint.bind(("0.0.0.0", SERVER_PORT))
    except OSError:
        endpoint.close()
        raise
    return endpoint


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
    )
