"""The DHCP socket: drain, decide, make durable, send.

All packets that wait in the socket form one group: each is answered in turn against the lease table, the new
leases of the whole group go to disk with one flush, and only then do the replies leave. A thousand machines
that start at once therefore cost a few flushes, and an acknowledged lease survives a power cut.

A reply to a client without an address needs its hardware address: it is entered into the kernel's ARP table
first. This is what dnsmasq does, so firmware, iPXE, udhcpc and systemd-networkd are all used to it, and a boot
storm does not wake every machine of the segment. When the kernel refuses (table full, no privilege) the reply
is broadcast, which RFC 2131 section 4.1 allows and the same clients accept.
"""

import contextlib
import fcntl
import logging
import os
import selectors
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import assert_never
from uuid import UUID

from pxe.boot import Endpoints, answer
from pxe.client import Arch, Client, Mac, Stage
from pxe.dhcp.exchange import (
    LIMITED_BROADCAST,
    SERVER_PORT,
    Arrival,
    Destination,
    Ignore,
    Kind,
    Outcome,
    Reply,
    Request,
    Route,
)
from pxe.dhcp.journal import Journal, Recovery, open_journal
from pxe.dhcp.leases import Lease, LeaseTable, Offer
from pxe.dhcp.packet import DhcpPacket, Option, client_of, pack, parse
from pxe.dhcp.responder import respond
from pxe.dhcp.subnet import Subnet
from pxe.errors import PacketError, PxeError, ServiceError
from pxe.ports import Clock

_log = logging.getLogger(__name__)

_GROUP = 512
_LARGEST_DATAGRAM = 9216
_BUFFER_BYTES = 8 << 20
_REWRITE_AFTER_LINES = 100_000
_STOP_SECONDS = 10
_SO_RCVBUFFORCE = 33
_SO_SNDBUFFORCE = 32
_IP_PKTINFO = 8
_SIOCSARP = 0x8955
_ARPHRD_ETHER = 1
_ATF_COM = 2
_ARPREQ = struct.Struct("=HH4s8xH6s8xi16x16s")  # struct arpreq, net/if_arp.h


@dataclass(frozen=True, slots=True, kw_only=True)
class DhcpEvent:
    """What was seen and done. `address` is the one given, kept, declined or released; `filename` what DHCP named."""

    kind: Kind
    mac: Mac
    stage: Stage
    arch: Arch | None
    uuid: UUID | None
    address: IPv4Address | None = None
    filename: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    client: Client
    outcome: Outcome


class DhcpServer:
    """Serves one segment from a thread of its own. `observe` is called in that thread and must be quick."""

    def __init__(
        self,
        *,
        device: str,
        subnet: Subnet,
        endpoints: Endpoints,
        journal: Path,
        clock: Clock,
        observe: Callable[[DhcpEvent], None],
        open_journal: Callable[[Path], tuple[Journal, Recovery]] = open_journal,
    ) -> None:
        self._device = device
        self._subnet = subnet
        self._endpoints = endpoints
        self._path = journal
        self._clock = clock
        self._observe = observe
        self._open_journal = open_journal
        self._lock = threading.Lock()
        self._table = LeaseTable(subnet.dynamic_addresses())
        self._source = [(socket.IPPROTO_IP, _IP_PKTINFO, struct.pack("=i4s4x", 0, subnet.server.packed))]
        self._running: _Running | None = None

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
            self._table = LeaseTable(self._subnet.dynamic_addresses(), recovery.leases)
        wake = os.eventfd(0)
        thread = threading.Thread(target=self._run, name=f"dhcp-{self._device}")
        self._running = _Running(socket=endpoint, journal=journal, wake=wake, thread=thread)
        thread.start()

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

    def leases(self) -> tuple[Lease, ...]:
        """The least recently changed first, also those that have run out."""
        with self._lock:
            return self._table.leases()

    def _run(self) -> None:
        running = self._running
        if running is None:
            return
        with selectors.DefaultSelector() as selector:
            selector.register(running.socket, selectors.EVENT_READ)
            selector.register(running.wake, selectors.EVENT_READ)
            while running.wake not in {key.fileobj for key, _ in selector.select()}:
                try:
                    self._serve(running, _drain(running.socket))
                except PxeError as error:
                    _log.error(
                        "DHCP group failed, its unsent replies are withheld: %s (%s); %s",
                        error,
                        error.evidence,
                        error.next_action,
                    )
                except Exception:
                    _log.exception("DHCP group failed")

    def _serve(self, running: "_Running", group: Sequence[tuple[bytes, Arrival]]) -> None:
        now = self._clock.now()
        with self._lock:
            self._table.expire(now)
            answered = [one for data, arrival in group if (one := self._answer(data, arrival, now)) is not None]
        leases = [lease for one in answered if (lease := _durable(one.outcome)) is not None]
        if leases:
            running.journal.append(leases)
        for one in answered:
            self._finish(running.socket, one)
        self._compact(running.journal)

    def _compact(self, journal: Journal) -> None:
        """Each renewal is a line; a file that only grows stalls the start and fills the disk."""
        if journal.lines > _REWRITE_AFTER_LINES:
            leases = self._table.leases()
            if journal.lines > 4 * len(leases):
                journal.rewrite(leases)

    def _answer(self, data: bytes, arrival: Arrival, now: float) -> _Answered | None:
        """None for what is not from a client that we can name, and for our own mistakes."""
        try:
            packet = parse(data)
            client = client_of(packet)
            request = Request(
                packet=packet, client=client, arrival=arrival, answer=answer(client, self._endpoints), now=now
            )
            outcome = respond(request, self._subnet, self._table)
            if not isinstance(outcome, Ignore) and outcome.change is not None:
                self._table.apply(outcome.change)
        except PacketError as error:
            _log.debug("packet from %s dropped: %s (%s)", arrival.address, error, error.evidence)
            return None
        except Exception:
            _log.exception("packet from %s not answered", arrival.address)
            _log.debug("it was %s", data.hex())
            return None
        return _Answered(client=client, outcome=outcome)

    def _finish(self, endpoint: socket.socket, answered: _Answered) -> None:
        try:
            event = _event(answered)
            if isinstance(answered.outcome, Reply):
                self._send(endpoint, answered.outcome)
            self._observe(event)
        except (OSError, PacketError) as error:
            _log.warning("reply to %s not sent: %s", answered.client.mac, error)
        except Exception:
            _log.exception("observer failed")

    def _send(self, endpoint: socket.socket, reply: Reply) -> None:
        data = pack(reply.packet, maximum=reply.maximum)
        address = self._reach(endpoint, reply.destination, reply.packet.chaddr)
        endpoint.sendmsg([data], self._source, 0, (address, reply.destination.port))

    def _reach(self, endpoint: socket.socket, destination: Destination, chaddr: bytes) -> str:
        """The IP address to send to."""
        match destination.route:
            case Route.UNICAST | Route.BROADCAST:
                return str(destination.address)
            case Route.HARDWARE:
                with contextlib.suppress(OSError):
                    _enter_arp(endpoint, self._device, destination.address, chaddr)
                    return str(destination.address)
                return str(LIMITED_BROADCAST)
            case _:
                assert_never(destination.route)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    socket: socket.socket
    journal: Journal
    wake: int
    thread: threading.Thread


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


def _drain(endpoint: socket.socket) -> list[tuple[bytes, Arrival]]:
    """What waits in the socket, at most one group."""
    group: list[tuple[bytes, Arrival]] = []
    with contextlib.suppress(BlockingIOError):
        while len(group) < _GROUP:
            data, (address, port) = endpoint.recvfrom(_LARGEST_DATAGRAM)
            group.append((data, Arrival(address=IPv4Address(address), port=port)))
    return group


def _enter_arp(endpoint: socket.socket, device: str, address: IPv4Address, chaddr: bytes) -> None:
    request = _ARPREQ.pack(socket.AF_INET, 0, address.packed, _ARPHRD_ETHER, chaddr, _ATF_COM, device.encode())
    fcntl.ioctl(endpoint, _SIOCSARP, request)


def _durable(outcome: Outcome) -> Lease | None:
    if isinstance(outcome, Ignore) or not isinstance(outcome.change, Lease):
        return None
    return outcome.change


def _event(answered: _Answered) -> DhcpEvent:
    client, outcome = answered.client, answered.outcome
    change = None if isinstance(outcome, Ignore) else outcome.change
    return DhcpEvent(
        kind=Kind.IGNORED if isinstance(outcome, Ignore) else outcome.kind,
        mac=client.mac,
        stage=client.stage,
        arch=client.arch,
        uuid=client.uuid,
        address=change.address if isinstance(change, Lease | Offer) else None,
        filename=_filename(outcome.packet) if isinstance(outcome, Reply) else "",
        reason=outcome.reason,
    )


def _filename(packet: DhcpPacket) -> str:
    return (packet.file or packet.options.get(Option.BOOT_FILE, b"")).decode("ascii", "replace")
