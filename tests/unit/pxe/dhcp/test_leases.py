from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pxe.dhcp.address import Address, Hardware
from pxe.dhcp.leases import Lease, LeaseState, LeaseTable, Offer, Withdrawal

POOL = [Address(bytes((10, 0, 0, i))) for i in (10, 11, 12)]
A, B, C = POOL
ONE, TWO, THREE = (Hardware(bytes((2, 0, 0, 0, 0, i))) for i in (1, 2, 3))


def bound(address: Address, mac: Hardware, expires: float) -> Lease:
    return Lease(address=address, mac=mac, state=LeaseState.BOUND, expires=expires)


def test_never_used_addresses_come_first_and_in_order() -> None:
    table = LeaseTable([POOL])
    for expected in POOL:
        assert table.least_recently_used(0) == expected
        table.apply(bound(expected, Hardware(b"\0\0" + expected), 100))
    assert table.least_recently_used(0) is None


def test_expired_addresses_return_in_the_order_of_their_end_and_are_remembered() -> None:
    table = LeaseTable([POOL], [bound(A, ONE, 200), bound(B, TWO, 100)])
    assert table.least_recently_used(0) == C
    table.apply(Offer(address=C, mac=THREE, expires=1000))
    table.expire(150)
    assert table.least_recently_used(0) == B
    assert table.lease_of(TWO) == bound(B, TWO, 100)
    table.expire(250)
    assert table.least_recently_used(0) == B


def test_released_address_goes_behind_those_never_used() -> None:
    table = LeaseTable([POOL], [Lease(address=A, mac=ONE, state=LeaseState.RELEASED, expires=100)])
    assert table.least_recently_used(0) == B
    assert table.available(A, TWO, 0)


def test_renewal_keeps_the_address_beyond_the_first_end() -> None:
    table = LeaseTable([[A]], [bound(A, ONE, 100)])
    table.apply(bound(A, ONE, 200))
    table.expire(150)
    assert table.least_recently_used(0) is None
    table.expire(200)
    assert table.least_recently_used(0) == A


def test_offer_holds_and_expires() -> None:
    table = LeaseTable([[A]])
    table.apply(Offer(address=A, mac=ONE, expires=30))
    assert not table.available(A, TWO, 29)
    assert table.available(A, ONE, 29)
    assert table.available(A, TWO, 30)
    table.expire(30)
    assert table.least_recently_used(0) == A
    assert table.offer_of(ONE, 29) is None


def test_withdrawal_frees_the_offer_but_not_the_lease() -> None:
    table = LeaseTable([POOL], [bound(A, ONE, 100)])
    table.apply(Offer(address=B, mac=ONE, expires=30))
    table.apply(Withdrawal(mac=ONE))
    assert table.offer_of(ONE, 0) is None
    assert table.available(B, TWO, 0)
    assert not table.available(A, TWO, 0)


def test_declined_address_is_nobodys_until_the_end_of_its_quarantine() -> None:
    table = LeaseTable([[A]], [bound(A, ONE, 9000)])
    table.apply(Lease(address=A, mac=ONE, state=LeaseState.DECLINED, expires=3600))
    assert not table.available(A, ONE, 3599)
    assert table.lease_of(ONE) is None
    assert table.least_recently_used(0) is None
    table.expire(3600)
    assert table.least_recently_used(0) == A
    assert table.leases() == ()


def test_machine_that_moves_leaves_its_old_address() -> None:
    table = LeaseTable([POOL], [bound(A, ONE, 100), bound(B, ONE, 100)])
    assert table.leases() == (bound(B, ONE, 100),)
    assert table.available(A, TWO, 0)


def test_address_that_is_taken_over_is_forgotten_for_its_last_holder() -> None:
    table = LeaseTable([POOL], [bound(A, ONE, 100), bound(A, TWO, 300)])
    assert table.lease_of(ONE) is None
    assert table.leases() == (bound(A, TWO, 300),)


def test_address_outside_of_the_pool_is_never_given_to_anyone_else() -> None:
    reserved = Address(bytes((10, 0, 0, 99)))
    table = LeaseTable([[]], [bound(reserved, ONE, 100)])
    table.expire(200)
    assert table.least_recently_used(0) is None


def test_flood_of_renewals_does_not_grow_the_memory() -> None:
    table = LeaseTable([[A]])
    for second in range(1000):
        table.apply(bound(A, ONE, 3600 + second))
    assert len(table._ends) == 1


def test_pools_are_apart() -> None:
    table = LeaseTable([[A], [B]], [bound(A, ONE, 100)])
    assert (table.least_recently_used(0), table.least_recently_used(1)) == (None, B)
    assert (table.free(0), table.free(1)) == (0, 1)
    assert (table.pool_of(A), table.pool_of(B), table.pool_of(C)) == (0, 1, None)


def test_address_to_avoid_is_passed_over_and_stays_first() -> None:
    table = LeaseTable([POOL])
    assert table.least_recently_used(0, {A}) == B
    assert table.least_recently_used(0, set(POOL)) is None
    assert table.least_recently_used(0) == A


def test_quarantine_is_counted() -> None:
    table = LeaseTable([[A, B], [C]])
    for address in (A, B, A):
        table.apply(Lease(address=address, mac=ONE, state=LeaseState.DECLINED, expires=50))
    assert (table.quarantined(0), table.quarantined(1)) == (2, 0)
    table.expire(50)
    assert table.quarantined(0) == 0


class Table(RuleBasedStateMachine):
    """Any history: an address is free exactly when no claim holds it, and no two machines share one."""

    macs = [Hardware(bytes((2, 0, 0, 0, 0, i))) for i in range(4)]

    def __init__(self) -> None:
        super().__init__()
        self.table = LeaseTable([POOL])
        self.now = 0.0

    @rule(seconds=st.integers(0, 50))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds

    @rule(mac=st.sampled_from(macs), address=st.sampled_from(POOL), seconds=st.integers(1, 60))
    def offer(self, mac: Hardware, address: Address, seconds: int) -> None:
        if self.table.available(address, mac, self.now):
            self.table.apply(Offer(address=address, mac=mac, expires=self.now + seconds))

    @rule(
        mac=st.sampled_from(macs),
        address=st.sampled_from(POOL),
        state=st.sampled_from(LeaseState),
        seconds=st.integers(1, 99),
    )
    def lease(self, mac: Hardware, address: Address, state: LeaseState, seconds: int) -> None:
        if self.table.available(address, mac, self.now):
            self.table.apply(Lease(address=address, mac=mac, state=state, expires=self.now + seconds))

    @rule(mac=st.sampled_from(macs))
    def withdraw(self, mac: Hardware) -> None:
        self.table.apply(Withdrawal(mac=mac))

    @invariant()
    def free_is_what_nobody_holds(self) -> None:
        self.table.expire(self.now)
        stranger = Hardware(b"\2\0\0\0\0\xff")
        free = {address for address in POOL if self.table.available(address, stranger, self.now)}
        assert set(self.table._free[0]) == free

    @invariant()
    def quarantine_is_counted(self) -> None:
        declined = [lease for lease in self.table.leases() if lease.state is LeaseState.DECLINED]
        assert self.table.quarantined(0) == len(declined)

    @invariant()
    def nothing_remembers_an_offer_that_was_replaced(self) -> None:
        assert len(self.table.offers()) <= len(POOL)

    @invariant()
    def one_lease_a_machine(self) -> None:
        live = [lease.mac for lease in self.table.leases() if lease.state is not LeaseState.DECLINED]
        assert len(live) == len(set(live))
        assert all(self.table.lease_of(mac) is not None for mac in live)


TestTable = Table.TestCase
TestTable.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
