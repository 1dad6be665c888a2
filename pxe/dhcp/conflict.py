"""Probing as a DHCP server does it: which OFFERs may leave, which are held, and what comes of those.

In each round the server first takes its `turn`, then decides packets, `avoid`ing what is in use, and lets each OFFER of
an unproven address leave only if it `passes`.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Generic, TypeVar

from pxe.client import Mac
from pxe.dhcp.address import Address, Hardware
from pxe.dhcp.probe import ARP_TIMING, ECHO_TIMING, Holds, InUse, ProbeLedger, Verdict
from pxe.dhcp.prober import Prober
from pxe.ports import Clock

_BUSY_PERIOD = 0.05
_IDLE_PERIOD = 1.0
_SHORTEST_PERIOD = 0.02
_LOCAL_AHEAD = 64
_RELAYED_AHEAD = 16
_TOLD = 1024

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressInUse:
    """Somebody answers for an address that we would give out. `holder` is None behind a relay, where nobody tells."""

    address: IPv4Address
    holder: Mac | None

    @property
    def sentence(self) -> str:
        who = "a machine behind a relay" if self.holder is None else str(self.holder)
        return (
            f"{who} answers for {self.address}, which is ours to give: it is offered to nobody else; take it from that "
            "machine or out of the pool"
        )


Answered = tuple[Address, Hardware]


@dataclass(frozen=True, slots=True)
class _Side(Generic[T]):
    prober: Prober
    ledger: ProbeLedger
    holds: Holds[T]

    def answers(self, now: float) -> list[Answered]:
        return [answer for answer in self.prober.answers() if self.ledger.answered(*answer, now)]

    def turn(self, upcoming: Iterable[Address], now: float) -> list[T]:
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
        self._due = clock.monotonic()
        self._told: dict[Address, Hardware] = {}
        self._found: list[AddressInUse] = []

    @property
    def period(self) -> float:
        """Seconds after which the next `turn` is due. The probers need not be waited for: silence takes longer."""
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

    def turn(self, local: Iterable[Address], relayed: Iterable[Address]) -> list[T]:
        """Hears the answers, asks what is due, and returns what need not be held any more: to be decided anew, when
        either the same address `passes` or another one is found. The arguments are the addresses that the pools give
        out next, the next one first.
        """
        now = self._clock.monotonic()
        if now < self._due:
            return []  # a storm makes many rounds a second
        self._due = now + _SHORTEST_PERIOD
        for address, holder in (*self._local.answers(now), *self._relayed.answers(now)):
            self._note(address, holder)
        return self._local.turn(local, now) + self._relayed.turn(relayed, now)

    def found(self) -> list[AddressInUse]:
        """Since it was last asked, and each holder once."""
        found, self._found = self._found, []
        return found

    def _note(self, address: Address, holder: Hardware) -> None:
        if self._told.get(address) == holder:
            return
        if len(self._told) >= _TOLD:
            self._told.clear()
        self._told[address] = holder
        mac = Mac.from_bytes(holder) if holder else None
        self._found.append(AddressInUse(address=IPv4Address(address), holder=mac))
