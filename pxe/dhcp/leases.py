"""Who holds which address: the memory of the DHCP server.

Every question takes the time and changes nothing; only `apply` and `expire` change the table. An address of
the pool is in exactly one place: free (least recently used first), offered, bound, or in quarantine. `expire`
moves addresses back to free, so it is called before each batch of packets; a claim that has run out counts
as none even before that.
"""

import heapq
import math
import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address
from typing import assert_never

from pxe.client import Mac
from pxe.errors import ConfigError

_HOSTNAME = re.compile(r"[A-Za-z0-9-]{0,63}")


class LeaseState(Enum):
    BOUND = "bound"
    RELEASED = "released"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """`expires` in seconds since the epoch, infinite for ever; of a declined address, the end of its quarantine."""

    address: IPv4Address
    mac: Mac
    state: LeaseState
    expires: float
    hostname: str = ""

    def __post_init__(self) -> None:
        if math.isnan(self.expires) or not _HOSTNAME.fullmatch(self.hostname):
            raise ConfigError("not a lease", evidence=f"{self.address} {self.expires} {self.hostname[:64]!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An address held for a client that has not asked for it yet; never outlives the process."""

    address: IPv4Address
    mac: Mac
    expires: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """The client took another server's offer."""

    mac: Mac


def _excludes(lease: Lease, mac: Mac) -> bool:
    match lease.state:
        case LeaseState.BOUND:
            return lease.mac != mac
        case LeaseState.DECLINED:
            return True
        case LeaseState.RELEASED:
            return False
        case _:
            assert_never(lease.state)


Change = Lease | Offer | Withdrawal


class LeaseTable:
    """At most one lease per machine, plus the quarantined addresses."""

    def __init__(self, pool: Iterable[IPv4Address], leases: Iterable[Lease] = ()) -> None:
        """`pool` are the addresses to give to anyone, in order; `leases` the oldest first."""
        self._free: OrderedDict[IPv4Address, None] = OrderedDict.fromkeys(pool)
        self._pool = frozenset(self._free)
        self._leases: dict[IPv4Address, Lease] = {}
        self._address_of: dict[Mac, IPv4Address] = {}
        self._offers: dict[Mac, Offer] = {}
        self._offered: dict[IPv4Address, Offer] = {}
        self._scheduled: dict[IPv4Address, float] = {}
        self._ends: list[tuple[float, int]] = []
        for lease in leases:
            self.apply(lease)

    def leases(self) -> tuple[Lease, ...]:
        """The least recently changed first, also those that have run out."""
        return tuple(self._leases.values())

    def lease_of(self, mac: Mac) -> Lease | None:
        """The last lease of this machine, even if it has run out."""
        address = self._address_of.get(mac)
        return None if address is None else self._leases[address]

    def offer_of(self, mac: Mac, now: float) -> Offer | None:
        offer = self._offers.get(mac)
        return offer if offer is not None and offer.expires > now else None

    def available(self, address: IPv4Address, mac: Mac, now: float) -> bool:
        """Nobody else holds it and it is not in quarantine. Says nothing about the pool."""
        lease = self._leases.get(address)
        if lease is not None and lease.expires > now and _excludes(lease, mac):
            return False
        offer = self._offered.get(address)
        return offer is None or offer.mac == mac or offer.expires <= now

    def least_recently_used(self) -> IPv4Address | None:
        """None when the pool is exhausted."""
        return next(iter(self._free), None)

    def apply(self, change: Change) -> None:
        match change:
            case Lease():
                self._withdraw(change.mac)
                self._grant(change)
            case Offer():
                self._withdraw(change.mac)
                self._offers[change.mac] = self._offered[change.address] = change
                self._settle(change.address)
            case Withdrawal():
                self._withdraw(change.mac)
            case _:
                assert_never(change)

    def expire(self, now: float) -> None:
        """Frees what has run out by `now`; costs nothing when nothing has."""
        while self._ends and self._ends[0][0] <= now:
            end, number = heapq.heappop(self._ends)
            address = IPv4Address(number)
            if self._scheduled.get(address) != end:
                continue
            del self._scheduled[address]
            if self._held_until(address) > now:
                self._settle(address)
            else:
                self._clear(address)

    def _grant(self, lease: Lease) -> None:
        """One machine, one lease: drops the last holder of the address and the last address of the machine."""
        previous = self._leases.pop(lease.address, None)
        if previous is not None and self._address_of.get(previous.mac) == lease.address:
            del self._address_of[previous.mac]
        left = self._address_of.pop(lease.mac, None)
        if left is not None:
            del self._leases[left]
            self._settle(left)
        self._leases[lease.address] = lease
        if lease.state is not LeaseState.DECLINED:
            self._address_of[lease.mac] = lease.address
        self._settle(lease.address)

    def _withdraw(self, mac: Mac) -> None:
        offer = self._offers.pop(mac, None)
        if offer is not None and self._offered.get(offer.address) is offer:
            del self._offered[offer.address]
            self._settle(offer.address)

    def _clear(self, address: IPv4Address) -> None:
        """Nothing holds it any more. The lease of a machine stays, so that it gets the same address again."""
        offer = self._offered.pop(address, None)
        if offer is not None and self._offers.get(offer.mac) is offer:
            del self._offers[offer.mac]
        lease = self._leases.get(address)
        if lease is not None and lease.state is LeaseState.DECLINED:
            del self._leases[address]
        self._release(address)

    def _held_until(self, address: IPv4Address) -> float:
        """When the last claim ends; 0 when there is none."""
        lease, offer = self._leases.get(address), self._offered.get(address)
        lease_end = 0.0 if lease is None or lease.state is LeaseState.RELEASED else lease.expires
        return max(lease_end, 0.0 if offer is None else offer.expires)

    def _settle(self, address: IPv4Address) -> None:
        """Puts the address where its claims say: free, or held until the last of them ends."""
        end = self._held_until(address)
        if not end:
            self._release(address)
            return
        self._free.pop(address, None)
        # One entry an address, unless a claim ends sooner than the one before: a flood cannot grow the heap.
        if end < math.inf and end < self._scheduled.get(address, math.inf):
            self._scheduled[address] = end
            heapq.heappush(self._ends, (end, int(address)))

    def _release(self, address: IPv4Address) -> None:
        if address in self._pool:
            self._free[address] = None
            self._free.move_to_end(address)
