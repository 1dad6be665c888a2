"""What a DHCP server does beside answering: it looks for rivals, proves addresses, limits floods, serves port 4011.

    starting   answers nothing for the first 4.5 s, while it asks who else serves
    active     answers, and goes on asking
    passive    another appliance or a foreign server serves: answers nothing, and goes on listening

A server that comes back within seconds of its last ACK does not listen first: machines are in the middle of their
boot, and a rival is found and told all the same.
"""

import os
import secrets
from collections.abc import Callable, Collection, Container, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import NamedTuple, Protocol

from pxe.batch import Peer
from pxe.dhcp.address import UNSPECIFIED, Address, Hardware
from pxe.dhcp.conflict import AddressInUse, Conflicts
from pxe.dhcp.flood import FloodAlarm, FloodGuard, Limits
from pxe.dhcp.packet import DhcpPacket, MessageType, Option
from pxe.dhcp.prober import ArpProber, EchoProber
from pxe.dhcp.proxy import BootOf
from pxe.dhcp.proxy_server import BootServerPort, ProxyEvent
from pxe.dhcp.rival_packet import IDENTITY_SIZE, VENDOR_CLASS
from pxe.dhcp.rival_watch import RivalWatch, frames_of
from pxe.dhcp.rivals import Active, RivalEvent, Standing, Starting
from pxe.errors import ConfigError
from pxe.ports import Clock

_STARTING_PERIOD = 0.1
_PERIOD = 1.0
_VENDOR = int(Option.VENDOR_CLASS)
_SERVER = int(Option.SERVER_IDENTIFIER)

Guarded = RivalEvent | ProxyEvent | AddressInUse | FloodAlarm


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """`identity`: 16 random bytes, the same for the life of the appliance, by which other ones know it; None where this
    segment is ours alone: nobody looks for rivals, and the server answers as soon as it is started.

    `probe`: ask for an address before it is offered. `limits` None: floods are let through.
    """

    identity: bytes | None = None
    probe: bool = True
    limits: Limits | None = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.identity is not None and len(self.identity) != IDENTITY_SIZE:
            raise ConfigError(
                f"an identity has {IDENTITY_SIZE} bytes",
                evidence=f"{len(self.identity)} bytes",
                next_action="make it once, at random, and keep it",
            )


ALONE = Guards()
"""No rivals are looked for; all else is."""


class Arrived(NamedTuple):
    """A packet as it is decided: once, or again when its OFFER was held."""

    packet: DhcpPacket
    sender: Peer


class Watch(Protocol):
    """See `RivalWatch`."""

    @property
    def standing(self) -> Standing: ...

    def fileno(self) -> int: ...

    def serve(self) -> None: ...

    def named(self, server: IPv4Address) -> None: ...

    def take_over(self) -> None: ...


class BootServer(Protocol):
    """See `BootServerPort`."""

    def fileno(self) -> int: ...

    def serve(self, *, answers: bool) -> list[ProxyEvent]: ...


class Sentry:
    """The guards of one running server. Used by its thread alone, but for `take_over` and `standing`."""

    def __init__(
        self,
        *,
        watch: Watch | None,
        boot_server: BootServer,
        conflicts: Conflicts[Arrived] | None,
        flood: FloodGuard,
        clock: Clock,
        observe: Callable[[Guarded], None],
    ) -> None:
        self._watch = watch
        self._boot_server = boot_server
        self._conflicts = conflicts
        self._flood = flood
        self._clock = clock
        self._observe = observe
        self._takes_over = False
        self._due = clock.monotonic()

    @property
    def standing(self) -> Standing:
        return Active() if self._watch is None else self._watch.standing

    @property
    def sources(self) -> tuple[Watch | BootServer, ...]:
        """What is to be waited for beside the server's own socket, for at most `period` seconds."""
        return (self._boot_server,) if self._watch is None else (self._boot_server, self._watch)

    @property
    def period(self) -> float:
        if isinstance(self.standing, Starting):
            return _STARTING_PERIOD
        return _PERIOD if self._conflicts is None else min(self._conflicts.period, _PERIOD)

    def turn(self, readable: Collection[object]) -> None:
        """Once in each round, with those of `sources` that are readable."""
        self._look_for_rivals(readable)
        events: list[Guarded] = []
        if self._boot_server in readable:
            events += self._boot_server.serve(answers=isinstance(self.standing, Active))
        if self._conflicts is not None:
            events += self._conflicts.found()
        for event in (*events, *self._flood.alarms()):
            self._observe(event)

    def released(self, local: Iterable[Address], relayed: Iterable[Address]) -> list[Arrived]:
        """The packets whose OFFERs were held and are to be decided again; the arguments as for `Conflicts.turn`."""
        released = [] if self._conflicts is None else self._conflicts.turn(local, relayed)
        return released if isinstance(self.standing, Active) else []

    def admits(
        self, packet: DhcpPacket, own: Container[Address], now: float, known: Callable[[Hardware], bool]
    ) -> bool:
        """Whether this packet is to be answered at all. `own`: the servers that we call ourselves; `now`: monotonic."""
        watch = self._watch
        if watch is None:
            return not self._flood.refuses(packet, now, known=known)
        if packet.options.get(_VENDOR, b"").startswith(VENDOR_CLASS):
            return False  # another appliance asks who serves, and wants no address: the watch answers it
        if self._flood.refuses(packet, now, known=known):
            return False
        server = _named(packet)
        if server is not None and server not in own:
            watch.named(IPv4Address(server))
        return isinstance(watch.standing, Active)

    def avoid(self, mac: Hardware) -> Container[Address]:
        """For `Request.avoid`."""
        return () if self._conflicts is None else self._conflicts.avoid(mac)

    def passes(self, address: Address, arrived: Arrived, *, relayed: bool) -> bool:
        """Whether the OFFER of this unproven address may leave now; if not, `arrived` is `released` later."""
        if self._conflicts is None:
            return True
        return self._conflicts.passes(address, Hardware(arrived.packet.chaddr), arrived, relayed=relayed)

    def take_over(self) -> None:
        """From any thread: the operator's word, heard within a second."""
        self._takes_over = True

    def _look_for_rivals(self, readable: Collection[object]) -> None:
        now = self._clock.monotonic()
        if self._watch is None or (self._watch not in readable and now < self._due):
            return
        if self._takes_over:
            self._takes_over = False
            self._watch.take_over()
        self._watch.serve()
        self._due = now + (_STARTING_PERIOD if isinstance(self.standing, Starting) else _PERIOD)


def open_sentry(
    guards: Guards,
    sockets: ExitStack,
    *,
    device: str,
    server: IPv4Address,
    boot_of: BootOf,
    clock: Clock,
    observe: Callable[[Guarded], None],
    resumes: bool,
) -> Sentry:
    """With its sockets, which `sockets` closes. `boot_of` as for `BootServerPort`, `resumes` as for `RivalWatch`.

    ServiceError when a socket refuses.
    """
    flood = FloodGuard(guards.limits)
    boot_server = BootServerPort(device=device, server=server, boot_of=boot_of, clock=clock, flood=flood)
    sockets.callback(boot_server.close)
    watch: RivalWatch | None = None
    if guards.identity is not None:
        watch = RivalWatch(
            frames=frames_of(device),
            server=server,
            identity=guards.identity,
            chaddr=_random_hardware(),
            clock=clock,
            observe=observe,
            resumes=resumes,
        )
        sockets.callback(watch.close)
    conflicts = _conflicts(device, sockets, clock) if guards.probe else None
    return Sentry(watch=watch, boot_server=boot_server, conflicts=conflicts, flood=flood, clock=clock, observe=observe)


def _conflicts(device: str, sockets: ExitStack, clock: Clock) -> Conflicts[Arrived]:
    local = ArpProber(device)
    sockets.callback(local.close)
    relayed = EchoProber(os.getpid() & 0xFFFF)
    sockets.callback(relayed.close)
    return Conflicts(local=local, relayed=relayed, clock=clock)


def _named(packet: DhcpPacket) -> Address | None:
    """The server that a machine of our own segment takes: its REQUEST is broadcast, and all of them hear it."""
    server = packet.options.get(_SERVER, b"")
    if len(server) != len(UNSPECIFIED) or packet.giaddr != UNSPECIFIED:
        return None
    return Address(server) if packet.message_type is MessageType.REQUEST else None


def _random_hardware() -> bytes:
    """Unicast and locally administered (IEEE 802, section 8.4)."""
    return b"\x02" + secrets.token_bytes(5)
