"""Who holds which address of one link: the memory of the DHCP server.

Every question takes the time and changes nothing; only `apply` and `expire` change the table. An address of a
pool is in exactly one place: free (least recently used first), offered, bound, or in quarantine. `expire`
moves addresses back to free, so it is called before each group of packets; a claim that has run out counts
as none even before that.
"""

import heapq
import math
from collections import OrderedDict
from collections.abc import Container, Iterable, Iterator, Sequence
from enum import Enum
from typing import Final, NamedTuple, assert_never

from pxe.dhcp.address import Address, Hardware


class LeaseState(Enum):
    BOUND = "bound"
    RELEASED = "released"
    DECLINED = "declined"


class Lease(NamedTuple):
    """`expires` in seconds since the epoch, infinite for ever; of a declined address, the end of its quarantine.

    `hostname` is one DNS label, or empty.
    """

    address: Address
    mac: Hardware
    state: LeaseState
    expires: float
    hostname: str = ""


class Offer(NamedTuple):
    """An address held for a client that has not asked for it yet; never outlives the process."""

    address: Address
    mac: Hardware
    expires: float


class Withdrawal(NamedTuple):
    """The client took another server's offer."""

    mac: Hardware


_RELEASED: Final = LeaseState.RELEASED  # Python 3.11 is slow to look up the members of an enum
_DECLINED: Final = LeaseState.DECLINED


def _excludes(lease: Lease, mac: Hardware) -> bool:
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
    """At most one lease per machine, plus the quarantined addresses. Pools are named by their position."""

    def __init__(self, pools: Sequence[Iterable[Address]], leases: Iterable[Lease] = ()) -> None:
        """Each pool has the addresses to give to anyone, in order; `leases` the oldest first."""
        self._free: list[OrderedDict[Address, None]] = [OrderedDict.fromkeys(pool) for pool in pools]
        self._pool_of = {address: number for number, pool in enumerate(self._free) for address in pool}
        self._quarantined = [0] * len(self._free)
        self._leases: dict[Address, Lease] = {}
        self._address_of: dict[Hardware, Address] = {}
        self._offers: dict[Hardware, Offer] = {}
        self._offered: dict[Address, Offer] = {}
        self._scheduled: dict[Address, float] = {}
        self._ends: list[tuple[float, Address]] = []
        for lease in leases:
            self.apply(lease)

    def leases(self) -> tuple[Lease, ...]:
        """The least recently changed first, also those that have run out."""
        return tuple(self._leases.values())

    def offers(self) -> tuple[Offer, ...]:
        return tuple(self._offers.values())

    def lease_of(self, mac: Hardware) -> Lease | None:
        """The last lease of this machine, even if it has run out."""
        address = self._address_of.get(mac)
        return None if address is None else self._leases[address]

    def offer_of(self, mac: Hardware, now: float) -> Offer | None:
        offer = self._offers.get(mac)
        return offer if offer is not None and offer.expires > now else None

    def available(self, address: Address, mac: Hardware, now: float) -> bool:
        """Nobody else holds it and it is not in quarantine. Says nothing about the pools."""
        lease = self._leases.get(address)
        if lease is not None and lease.expires > now and _excludes(lease, mac):
            return False
        offer = self._offered.get(address)
        return offer is None or offer.mac == mac or offer.expires <= now

    def least_recently_used(self, pool: int, avoid: Container[Address] = ()) -> Address | None:
        """None when the pool has no other address free."""
        for address in self._free[pool]:
            if address not in avoid:
                return address
        return None

    def upcoming(self, pool: int) -> Iterator[Address]:
        """What `least_recently_used` gives out next, the next one first."""
        return iter(self._free[pool])

    def pool_of(self, address: Address) -> int | None:
        return self._pool_of.get(address)

    def free(self, pool: int) -> int:
        return len(self._free[pool])

    def quarantined(self, pool: int) -> int:
        return self._quarantined[pool]

    def apply(self, change: Change) -> None:
        match change:
            case Lease():
                self._withdraw(change.mac, but=change.address)
                self._grant(change)
            case Offer():
                self._withdraw(change.mac, but=change.address)
                previous = self._offered.get(change.address)
                if previous is not None:
                    self._offers.pop(previous.mac, None)
                self._offers[change.mac] = self._offered[change.address] = change
                self._settle(change.address)
            case Withdrawal():
                self._withdraw(change.mac)
            case _:
                assert_never(change)

    def expire(self, now: float) -> None:
        """Frees what has run out by `now`; costs nothing when nothing has."""
        while self._ends and self._ends[0][0] <= now:
            end, address = heapq.heappop(self._ends)
            if self._scheduled.get(address) != end:
                continue
            del self._scheduled[address]
            if self._held_until(address) > now:
                self._settle(address)
            else:
                self._clear(address)

    def _grant(self, lease: Lease) -> None:
        """One machine, one lease: drops the last holder of the address and the last address of the machine."""
        address, mac = lease.address, lease.mac
        previous = self._forget(address)
        if previous is not None and previous.mac != mac and self._address_of.get(previous.mac) == address:
            del self._address_of[previous.mac]
        left = self._address_of.pop(mac, address)
        if left != address:
            self._forget(left)
            self._settle(left)
        self._leases[address] = lease
        if lease.state is _DECLINED:
            self._count_quarantine(address, 1)
        else:
            self._address_of[mac] = address
        self._settle(address)

    def _forget(self, address: Address) -> Lease | None:
        lease = self._leases.pop(address, None)
        if lease is not None and lease.state is _DECLINED:
            self._count_quarantine(address, -1)
        return lease

    def _count_quarantine(self, address: Address, step: int) -> None:
        pool = self._pool_of.get(address)
        if pool is not None:
            self._quarantined[pool] += step

    def _withdraw(self, mac: Hardware, but: Address | None = None) -> None:
        """`but` is an address that the caller settles."""
        offer = self._offers.pop(mac, None)
        if offer is not None and self._offered.get(offer.address) is offer:
            del self._offered[offer.address]
            if offer.address != but:
                self._settle(offer.address)

    def _clear(self, address: Address) -> None:
        """Nothing holds it any more. The lease of a machine stays, so that it gets the same address again."""
        offer = self._offered.pop(address, None)
        if offer is not None and self._offers.get(offer.mac) is offer:
            del self._offers[offer.mac]
        lease = self._leases.get(address)
        if lease is not None and lease.state is LeaseState.DECLINED:
            self._forget(address)
        self._release(address)

    def _held_until(self, address: Address) -> float:
        """When the last claim ends; 0 when there is none."""
        lease, offer = self._leases.get(address), self._offered.get(address)
        lease_end = 0.0 if lease is None or lease.state is _RELEASED else lease.expires
        return lease_end if offer is None or offer.expires < lease_end else offer.expires

    def _settle(self, address: Address) -> None:
        """Puts the address where its claims say: free, or held until the last of them ends."""
        end = self._held_until(address)
        if not end:
            self._release(address)
            return
        pool = self._pool_of.get(address)
        if pool is not None:
            self._free[pool].pop(address, None)
        # One entry an address, unless a claim ends sooner than the one before: a flood cannot grow the heap.
        if end < math.inf and end < self._scheduled.get(address, math.inf):
            self._scheduled[address] = end
            heapq.heappush(self._ends, (end, address))

    def _release(self, address: Address) -> None:
        pool = self._pool_of.get(address)
        if pool is not None:
            self._free[pool][address] = None
            self._free[pool].move_to_end(address)
