"""The DHCP server without its socket: the real decisions and lease tables, over a simulated lease journal.

As in `pxe.dhcp.server`: packets form a group, the leases of the group go to disk with one flush, then the replies
leave; what the disk refuses is kept for the next group. The file is in the real format and is read by the real code.
"""

import asyncio
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import NamedTuple, Protocol

from appliance.sim.journal import Condition, Loss
from pxe.boot import Endpoints, answer
from pxe.dhcp.address import UNSPECIFIED, Address, Hardware
from pxe.dhcp.event import DhcpEvent
from pxe.dhcp.exchange import Ignore, Outcome, Reply, Request
from pxe.dhcp.guards import Sentry
from pxe.dhcp.journal import recover
from pxe.dhcp.leases import Lease, Offer
from pxe.dhcp.packet import DhcpPacket, Option, parse, traits_of
from pxe.dhcp.policy import Policy
from pxe.dhcp.responder import respond
from pxe.dhcp.subnet import DhcpConfig
from pxe.errors import PacketError
from pxe.ports import Clock

_MAGIC = b"innervate-leases 1\n"
_GROUP_SECONDS = 0.002


class LeaseWatcher(Protocol):
    def lease_durable(self, lease: Lease) -> None: ...


@dataclass(slots=True, kw_only=True)
class LeaseDisk:
    """The lease journal's file: what outlives the appliance."""

    condition: Condition = field(default_factory=Condition)
    data: bytearray = field(default_factory=lambda: bytearray(_MAGIC))

    def write(self, leases: Iterable[Lease], *, torn: bool = False) -> None:
        lines = b"".join(map(_line, leases))
        self.data += lines[: len(lines) // 2] if torn else lines


def _line(lease: Lease) -> bytes:
    """As `pxe.dhcp.journal` describes it."""
    words = (lease.state.value, IPv4Address(lease.address), lease.mac.hex(":"), repr(lease.expires), lease.hostname)
    text = " ".join(map(str, words)).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


class SimLeases:
    """The journal of one life of the appliance."""

    def __init__(self, disk: LeaseDisk, loop: asyncio.AbstractEventLoop, watcher: LeaseWatcher) -> None:
        self._disk, self._loop, self._watcher = disk, loop, watcher
        self._under_way: tuple[Lease, ...] = ()
        self.dead = False

    def recover(self) -> tuple[Lease, ...]:
        found = recover(bytes(self._disk.data), "simulated leases")
        self._disk.data = bytearray(_MAGIC)
        self._disk.write(found.leases)
        return found.leases

    def append(self, leases: tuple[Lease, ...], done: Callable[[bool], None]) -> None:
        """`done` hears whether they are on disk."""
        self._under_way = leases
        self._loop.call_later(self._disk.condition.fsync_seconds, self._end, done)

    def die(self, loss: Loss) -> None:
        self.dead = True
        if self._under_way and loss is not Loss.NOT_WRITTEN:
            self.store(self._under_way, torn=loss is Loss.TORN)

    def _end(self, done: Callable[[bool], None]) -> None:
        if self.dead:
            return
        leases, self._under_way = self._under_way, ()
        if self._disk.condition.full:
            done(False)
            return
        self.store(leases)
        done(True)

    def store(self, leases: tuple[Lease, ...], *, torn: bool = False) -> None:
        self._disk.write(leases, torn=torn)
        if not torn:
            for lease in leases:
                self._watcher.lease_durable(lease)


class _Answered(NamedTuple):
    packet: DhcpPacket
    outcome: Outcome
    lease: Lease | None


class DhcpDesk:
    """`send` gets the bytes of each reply, `observe` what was done."""

    def __init__(
        self,
        *,
        config: DhcpConfig,
        endpoints: Endpoints,
        leases: SimLeases,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        send: Callable[[bytes], None],
        observe: Callable[[DhcpEvent], None],
        sentry: Sentry | None = None,
    ) -> None:
        self._policy = Policy(config, lambda client, chain: answer(client, endpoints, chain))
        self._tables, _ = self._policy.tables(leases.recover())
        self._leases, self._loop, self._clock = leases, loop, clock
        self._send, self._observe = send, observe
        self._sentry, self._own = sentry, frozenset((Address(endpoints.address.packed),))
        if sentry is not None:
            self._look_around(sentry)
        self._waiting: list[bytes] = []
        self._busy = False
        self._unsaved: dict[Address, Lease] = {}

    def receive(self, data: bytes) -> None:
        self._waiting.append(data)
        if not self._busy:
            self._busy = True
            self._loop.call_later(_GROUP_SECONDS, self._group)

    def _look_around(self, sentry: Sentry) -> None:
        if not self._leases.dead:
            sentry.turn(())
            self._loop.call_later(sentry.period, self._look_around, sentry)

    def _group(self) -> None:
        if self._leases.dead:
            return
        now = self._clock.now()
        for table in self._tables:
            table.expire(now)
        packets, self._waiting = self._waiting, []
        answered = [one for data in packets if (one := self._answer(data, now)) is not None]
        self._finish([one for one in answered if one.lease is None])
        durable = [one for one in answered if one.lease is not None]
        if not durable:
            self._next()
            return
        for one in durable:
            if one.lease is not None:
                self._unsaved.pop(one.lease.address, None)
                self._unsaved[one.lease.address] = one.lease
        self._leases.append(tuple(self._unsaved.values()), lambda kept: self._stored(durable, kept))

    def _stored(self, answered: list[_Answered], kept: bool) -> None:
        if kept:
            self._unsaved.clear()
            self._finish(answered)
        self._next()

    def _next(self) -> None:
        self._busy = bool(self._waiting)
        if self._busy:
            self._loop.call_later(_GROUP_SECONDS, self._group)

    def _answer(self, data: bytes, now: float) -> _Answered | None:
        try:
            packet = parse(data)
        except PacketError:
            return None
        if self._sentry is not None and not self._sentry.admits(packet, self._own, self._clock.monotonic(), _anybody):
            return None
        outcome = respond(Request(packet, UNSPECIFIED, now), self._policy, self._tables)
        if isinstance(outcome, Ignore):
            return _Answered(packet, outcome, None)
        change = outcome.change
        if change is not None:
            self._tables[outcome.link].apply(change)
        return _Answered(packet, outcome, change if isinstance(change, Lease) else None)

    def _finish(self, answered: list[_Answered]) -> None:
        for one in answered:
            if isinstance(one.outcome, Reply):
                self._send(one.outcome.data)
            self._observe(_event(one))


def _anybody(_mac: Hardware) -> bool:
    return True


def _event(answered: _Answered) -> DhcpEvent:
    packet, outcome, _ = answered
    traits, change = traits_of(packet), outcome.change
    return DhcpEvent(
        kind=outcome.kind,
        hardware=Hardware(packet.chaddr),
        stage=traits.stage,
        arch=traits.arch,
        guid=packet.options.get(Option.CLIENT_UUID, b""),
        given=change.address if isinstance(change, Lease | Offer) else None,
        file=outcome.filename if isinstance(outcome, Reply) else b"",
        reason=outcome.reason,
    )
