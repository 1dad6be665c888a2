"""proxyDHCP on one segment: ports 67 and 4011 from one thread, without leases and without a journal.

`BootServerPort` alone is for a full DHCP server: some firmware asks port 4011 even of the server that gave it its
address.
"""

import contextlib
import logging
import select
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address
from queue import SimpleQueue
from uuid import UUID

from pxe.boot import BootAnswer
from pxe.client import Arch, Client, Mac, Stage
from pxe.dhcp.address import Address, packed
from pxe.dhcp.exchange import SERVER_PORT
from pxe.dhcp.flood import FloodAlarm, FloodGuard, Limits
from pxe.dhcp.packet import DhcpPacket, MessageType, Option, pack, parse
from pxe.dhcp.proxy import BOOT_SERVER_PORT, BootOf, ProxyReply, Silence, acknowledge, boot_by, offer
from pxe.dhcp.watch import ProxyIgnored, ProxyWatch
from pxe.errors import PacketError
from pxe.ports import Clock
from pxe.sockets import Loop, bind, deepen

_log = logging.getLogger(__name__)

_GROUP = 512
_LARGEST_DATAGRAM = 9216
_IP_PKTINFO = 8
_TICK_SECONDS = 1.0


class ProxyKind(Enum):
    OFFER = "proxy-offer"
    ACK = "proxy-ack"
    IGNORED = "proxy-ignored"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyEvent:
    """What was asked and answered, `filename` what we named. `address` is the sender's once it has one."""

    kind: ProxyKind
    mac: Mac
    stage: Stage
    arch: Arch | None
    uuid: UUID | None
    address: IPv4Address | None = None
    filename: str = ""
    reason: str = ""


ProxyObserved = ProxyEvent | ProxyIgnored | FloodAlarm


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrived:
    packet: DhcpPacket
    source: Address
    port: int


class BootServerPort:
    """Port 4011 of one address. Used by the one thread that calls `serve`."""

    def __init__(self, *, device: str, server: IPv4Address, boot_of: BootOf, clock: Clock, flood: FloodGuard) -> None:
        """ServiceError when the port cannot be had."""
        self._server = packed(server)
        self._boot_of = boot_of
        self._clock = clock
        self._flood = flood
        # Bound to our address: the reply comes from the address that was asked, which firmware checks.
        self._socket = bind("udp", server, BOOT_SERVER_PORT, device=device)

    def fileno(self) -> int:
        return self._socket.fileno()

    def serve(self, *, answers: bool = True) -> list[ProxyEvent]:
        """Answers all that wait, or drops them. Whenever `fileno` is readable."""
        arrived = _drain(self._socket)
        events = map(self._answer, _passed(arrived, self._flood, self._clock.monotonic()) if answers else ())
        return [event for event in events if event is not None]

    def close(self) -> None:
        self._socket.close()

    def _answer(self, arrived: _Arrived) -> ProxyEvent | None:
        outcome = acknowledge(arrived.packet, arrived.source, arrived.port, self._server, self._boot_of)
        if isinstance(outcome, ProxyReply):
            outcome = _sent(outcome, self._socket.sendto)
        return _event(outcome, ProxyKind.ACK, IPv4Address(arrived.source))


class ProxyServer:
    """`observe` is called in the server's thread and must be quick. Start once, stop once."""

    def __init__(
        self,
        *,
        device: str,
        server: IPv4Address,
        answer: Callable[[Client], BootAnswer | None],
        clock: Clock,
        observe: Callable[[ProxyObserved], None],
        limits: Limits | None,
    ) -> None:
        """`server` is our address on the device, `answer` what each machine boots; `limits` as for `FloodGuard`."""
        self._device = device
        self._server = server
        self._boot_of = boot_by(answer)
        self._clock = clock
        self._observe = observe
        self._flood = FloodGuard(limits)
        self._watch = ProxyWatch(server)
        self._fetched: SimpleQueue[IPv4Address] = SimpleQueue()
        self._source = [(socket.IPPROTO_IP, _IP_PKTINFO, struct.pack("=i4s4x", 0, server.packed))]
        self._loop: Loop | None = None
        self._sockets = contextlib.ExitStack()

    def start(self) -> None:
        """Returns when packets are being received. ServiceError when a port cannot be had."""
        with contextlib.ExitStack() as opened:
            boot_server = BootServerPort(
                device=self._device,
                server=self._server,
                boot_of=self._boot_of,
                clock=self._clock,
                flood=self._flood,
            )
            opened.callback(boot_server.close)
            offers = opened.enter_context(bind("udp", IPv4Address(0), SERVER_PORT, device=self._device))
            offers.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            deepen(offers)
            self._sockets = opened.pop_all()
        self._loop = Loop(name=f"proxydhcp-{self._device}", tick=self._tick, period=_TICK_SECONDS)
        self._loop.watch(offers.fileno(), select.EPOLLIN, lambda _: self._serve(offers))
        self._loop.watch(boot_server.fileno(), select.EPOLLIN, lambda _: self._serve_boot(boot_server))
        self._loop.start()

    def stop(self) -> None:
        """May be called twice."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.stop()
            self._sockets.close()

    def fetched(self, address: IPv4Address) -> None:
        """From any thread: somebody at this address fetched a boot file by TFTP or HTTP."""
        self._fetched.put(address)

    def _serve(self, endpoint: socket.socket) -> None:
        def send(data: bytes, address: tuple[str, int]) -> int:
            return endpoint.sendmsg([data], self._source, 0, address)

        now = self._clock.monotonic()
        for arrived in _passed(_drain(endpoint), self._flood, now):
            outcome = offer(arrived.packet, packed(self._server), self._boot_of)
            if isinstance(outcome, ProxyReply):
                outcome = _sent(outcome, send)
            self._note(arrived.packet, outcome, now)
            self._tell(_event(outcome, ProxyKind.OFFER, _wanted(arrived.packet)))

    def _note(self, packet: DhcpPacket, outcome: ProxyReply | Silence, now: float) -> None:
        client = outcome.client
        if client is None:
            return
        if client.stage is Stage.IPXE:
            self._watch.followed(client.mac)
        elif isinstance(outcome, ProxyReply):
            self._watch.offered(client.mac, client.arch, outcome.filename, now)
        elif packet.message_type is MessageType.REQUEST:
            address = _wanted(packet)
            if address is not None:
                self._watch.requested(client.mac, address, now)

    def _serve_boot(self, boot_server: BootServerPort) -> None:
        for event in boot_server.serve():
            if event.kind is ProxyKind.ACK:
                self._watch.followed(event.mac)
            self._tell(event)

    def _tick(self) -> None:
        while not self._fetched.empty():
            self._watch.fetched(self._fetched.get())
        for ignored in self._watch.tick(self._clock.monotonic()):
            self._tell(ignored)
        for alarm in self._flood.alarms():
            self._tell(alarm)

    def _tell(self, event: ProxyObserved | None) -> None:
        if event is not None:
            self._observe(event)


def _drain(endpoint: socket.socket) -> list[_Arrived]:
    """The packets that wait, at most one group; what is no DHCP is dropped."""
    arrived: list[_Arrived] = []
    with contextlib.suppress(BlockingIOError):
        for _ in range(_GROUP):
            data, (address, port) = endpoint.recvfrom(_LARGEST_DATAGRAM)
            try:
                arrived.append(_Arrived(packet=parse(data), source=packed(IPv4Address(address)), port=port))
            except PacketError as error:
                _log.debug("packet from %s dropped: %s (%s)", address, error, error.evidence)
    return arrived


def _passed(arrived: list[_Arrived], flood: FloodGuard, now: float) -> list[_Arrived]:
    return [one for one in arrived if not flood.refuses(one.packet, now, known=lambda _: False)]


def _sent(reply: ProxyReply, send: Callable[[bytes, tuple[str, int]], int]) -> ProxyReply | Silence:
    try:
        send(pack(reply.packet), (str(reply.address), reply.port))
    except (OSError, PacketError) as error:
        _log.warning("reply to %s not sent: %s", reply.client.mac, error)
        return Silence(client=reply.client, reason=f"reply not sent: {error}")
    return reply


def _wanted(packet: DhcpPacket) -> IPv4Address | None:
    """The address that a machine asks the other server for; a DISCOVER merely wishes for one."""
    requested = packet.options.get(Option.REQUESTED_ADDRESS, b"")
    if packet.message_type is not MessageType.REQUEST or len(requested) != 4:
        return None
    return IPv4Address(requested)


def _event(outcome: ProxyReply | Silence, kind: ProxyKind, address: IPv4Address | None) -> ProxyEvent | None:
    """None for what is from nobody that we can name."""
    client = outcome.client
    if client is None:
        return None
    return ProxyEvent(
        kind=kind if isinstance(outcome, ProxyReply) else ProxyKind.IGNORED,
        mac=client.mac,
        stage=client.stage,
        arch=client.arch,
        uuid=client.uuid,
        address=address,
        filename=outcome.filename if isinstance(outcome, ProxyReply) else "",
        reason=outcome.reason if isinstance(outcome, Silence) else "",
    )
