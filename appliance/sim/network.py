"""What lies between the rack and the appliance: packets and requests get lost, come twice, or come too late."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Protocol

from appliance.sim.chance import Chance, Stream
from images.agent.errors import LinkError
from pxe.boot import BootIntent
from pxe.client import Client
from pxe.dhcp.packet import DhcpPacket
from pxe.http.responder import HttpReply, HttpRequest
from pxe.service import PxeEvent

Span = tuple[float, float]
"""From and until, in virtual seconds."""


class Doors(Protocol):
    """One life of the appliance, as the rack sees it."""

    def handle(self, request: HttpRequest) -> HttpReply: ...

    def content(self, path: str) -> bytes | None: ...

    def intent_for(self, client: Client) -> BootIntent: ...

    def packet(self, data: bytes) -> None: ...

    def observe(self, event: PxeEvent) -> None: ...


class Stranger(Protocol):
    """Somebody else's DHCP server; its frames go to `heard_by`."""

    heard_by: Callable[[bytes], None]

    def hear(self, data: bytes) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """Chances of one message; `until` then all is calm. `partitions`: nothing gets through."""

    lost: float = 0.0
    twice: float = 0.0
    late: float = 0.0
    until: float = 0.0
    partitions: tuple[Span, ...] = ()


CALM = Weather()


@dataclass(slots=True, kw_only=True)
class Cable:
    """Of one machine. `dead`: when its port passes nothing; `cut`: there is no link at all."""

    name: str
    dead: tuple[Span, ...] = ()
    cut: bool = False


def _within(spans: tuple[Span, ...], at: float) -> bool:
    return any(begin <= at < end for begin, end in spans)


def _is_dead(cable: Cable, at: float) -> bool:
    return cable.cut or _within(cable.dead, at)


class Network:
    """`doors` is None while the appliance is down; `returns` is when it is to come back."""

    def __init__(self, loop: asyncio.AbstractEventLoop, chance: Chance, weather: Weather = CALM) -> None:
        self._loop, self._chance, self._weather = loop, chance, weather
        self._ports: dict[str, Callable[[DhcpPacket], None]] = {}
        self._learnt: dict[bytes, Cable] = {}
        self.doors: Doors | None = None
        self.returns = 0.0
        self.rogue: Stranger | None = None

    def plug(self, cable: Cable, receive: Callable[[DhcpPacket], None]) -> None:
        self._ports[cable.name] = receive

    def reachable(self, cable: Cable, at: float) -> bool:
        """Also for a moment to come: what is planned for it is known."""
        is_up = self.doors is not None or at >= self.returns > 0
        return is_up and not _within(self._weather.partitions, at) and not _is_dead(cable, at)

    def post(self, cable: Cable, request: HttpRequest) -> HttpReply:
        """Raises LinkError; then the request may have arrived, or may still arrive."""
        doors = self._doors(cable)
        stream, weather = self._stream(cable), self._now()
        if stream.happens(weather.lost):
            raise LinkError("the server does not answer", evidence="request lost")
        if stream.happens(weather.late):
            self._loop.call_later(stream.between(0.5, 12.0), self._deliver, request)
            raise LinkError("the server does not answer", evidence="timed out")
        if stream.happens(weather.twice):
            doors.handle(request)
        reply = doors.handle(request)
        if stream.happens(weather.lost):
            raise LinkError("the connection broke off", evidence="reply lost")
        return reply

    def intent_for(self, cable: Cable, client: Client) -> BootIntent:
        """Raises LinkError."""
        doors = self._doors(cable)
        if self._stream(cable).happens(self._now().lost):
            raise LinkError("the server does not answer", evidence="lost")
        return doors.intent_for(client)

    def observe(self, event: PxeEvent) -> None:
        if self.doors is not None:
            self.doors.observe(event)

    def content(self, cable: Cable, path: str, at: float) -> bytes | None:
        """Raises LinkError. None: there is no such file."""
        if not self.reachable(cable, at):
            raise LinkError("the server does not answer", evidence=f"at {at:.0f}")
        return None if self.doors is None else self.doors.content(path)

    def send(self, cable: Cable, mac: bytes, data: bytes) -> None:
        """A DHCP packet of a machine. As a switch does, its port is kept in mind for what goes to `mac`."""
        self._learnt[mac] = cable
        self._carry(cable, lambda: self._arrive(data))
        if self.rogue is not None:
            self.rogue.hear(data)

    def reply(self, packet: DhcpPacket) -> None:
        """Of a server, to the machine that it names."""
        if (cable := self._learnt.get(packet.chaddr)) is not None:
            receive = self._ports[cable.name]
            self._carry(cable, lambda: receive(packet))

    def _carry(self, cable: Cable, deliver: Callable[[], None]) -> None:
        stream, weather = self._stream(cable), self._now()
        now = self._loop.time()
        if _within(self._weather.partitions, now) or _is_dead(cable, now) or stream.happens(weather.lost):
            return
        for _ in range(2 if stream.happens(weather.twice) else 1):
            delay = stream.between(0.5, 3.0) if stream.happens(weather.late) else stream.between(0.0002, 0.002)
            self._loop.call_later(delay, deliver)

    def _arrive(self, data: bytes) -> None:
        if self.doors is not None:
            self.doors.packet(data)

    def _deliver(self, request: HttpRequest) -> None:
        if self.doors is not None:
            self.doors.handle(request)

    def _doors(self, cable: Cable) -> Doors:
        if self.doors is None or not self.reachable(cable, self._loop.time()):
            raise LinkError("the server does not answer", evidence="no route")
        return self.doors

    def _now(self) -> Weather:
        return self._weather if self._loop.time() < self._weather.until else CALM

    def _stream(self, cable: Cable) -> Stream:
        return self._chance.stream("network", cable.name)


def request_of(client: IPv4Address, path: str, body: bytes, headers: dict[str, str]) -> HttpRequest:
    lower = {name.lower(): value for name, value in headers.items()}
    return HttpRequest(client=client, method="POST", path=path, query={}, headers=lower, body=body)
