"""Probing as a DHCP server does it: which OFFERs may leave, which are held, and what comes of those.

In each round the server first takes its `turn`, then decides packets, `avoid`ing what is in use, and lets each OFFER of
an unproven address leave only if it `passes`.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pxe.dhcp.address import Address, Hardware
from pxe.dhcp.probe import ARP_TIMING, ECHO_TIMING, Holds, InUse, ProbeLedger, Released, Verdict
from pxe.dhcp.prober import Prober
from pxe.ports import Clock

_BUSY_PERIOD = 0.05
_IDLE_PERIOD = 1.0
_LOCAL_AHEAD = 64
_RELAYED_AHEAD = 16

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Side(Generic[T]):
    prober: Prober
    ledger: ProbeLedger
    holds: Holds[T]

    def turn(self, upcoming: Iterable[Address], now: float) -> list[Released[T]]:
        for address, mac in self.prober.answers():
            self.ledger.answered(address, mac, now)
        released = self.holds.released(self.ledger, now)
        self.prober.ask(self.ledger.due(now, upcoming))
        return released


@dataclass(frozen=True, slots=True)
class _Avoided:
    local: InUse
    relayed: InUse

    def __contains__(self, address: object) -> bool:
        return address in self.local or address in self.relayed


class Conflicts(Generic[T]):
    """`T` is what the server needs to answer a DISCOVER again. Used by the server's thread alone."""

    def __init__(self, *, local: Prober, relayed: Prober, clock: Clock) -> None:
        """`local` asks on our own segment, `relayed` behind routers."""
        self._clock = clock
        self._local = _Side(local, ProbeLedger(ARP_TIMING, ahead=_LOCAL_AHEAD), Holds[T]())
        self._relayed = _Side(relayed, ProbeLedger(ECHO_TIMING, ahead=_RELAYED_AHEAD), Holds[T]())

    @property
    def period(self) -> float:
        """Seconds after which the next `turn` is due even if neither prober is readable."""
        busy = self._local.ledger.busy or self._relayed.ledger.busy
        return _BUSY_PERIOD if busy else _IDLE_PERIOD

    def avoid(self, mac: Hardware) -> Container[Address]:
        """What cannot be offered to this machine: for `Request.avoid`."""
        now = self._clock.monotonic()
        return _Avoided(self._local.ledger.in_use(mac, now), self._relayed.ledger.in_use(mac, now))

    def passes(self, address: Address, mac: Hardware, item: T, *, relayed: bool) -> bool:
        """Whether this OFFER may leave now. If not, it is held, and `item` comes back from a later `turn`."""
        side = self._relayed if relayed else self._local
        if side.ledger.check(address, mac, self._clock.monotonic()) is Verdict.FREE:
            side.ledger.given()
            return True
        side.holds.hold(address, mac, item)
        return False

    def turn(self, local: Iterable[Address], relayed: Iterable[Address]) -> list[Released[T]]:
        """Hears the answers, asks what is due, returns what need not be held any more: FREE is to be sent now, TAKEN to
        be decided again. The arguments are the addresses that the pools give out next, the next one first.
        """
        now = self._clock.monotonic()
        return self._local.turn(local, now) + self._relayed.turn(relayed, now)

    def close(self) -> None:
        self._local.prober.close()
        self._relayed.prober.close()
