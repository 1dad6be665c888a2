"""What a server does with OFFERs of unproven addresses, with probers made of tables."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

from pxe.client import Mac
from pxe.dhcp.address import Address, Hardware
from pxe.dhcp.conflict import AddressInUse, Conflicts

MAC = Hardware(bytes.fromhex("525400000001"))
SQUATTER = Hardware(bytes.fromhex("525400000bad"))
LOCAL = [Address(bytes((10, 0, 0, number))) for number in range(10, 200)]
REMOTE = [Address(bytes((10, 1, 0, number))) for number in range(10, 200)]


class FakeClock:
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class FakeProber:
    """Everybody in `holders` answers by the next turn."""

    def __init__(self, holders: dict[Address, Hardware]) -> None:
        self.holders = holders
        self.asked: list[Address] = []
        self._unheard: list[Address] = []

    def fileno(self) -> int:
        return -1

    def ask(self, addresses: Iterable[Address]) -> None:
        for address in addresses:
            self.asked.append(address)
            self._unheard += [address] if address in self.holders else []

    def answers(self) -> Iterator[tuple[Address, Hardware]]:
        while self._unheard:
            address = self._unheard.pop()
            yield address, self.holders[address]

    def close(self) -> None:
        pass


class Bench:
    def __init__(self, **holders: dict[Address, Hardware]) -> None:
        self.clock = FakeClock()
        self.local = FakeProber(holders.get("local", {}))
        self.relayed = FakeProber(holders.get("relayed", {}))
        self.conflicts = Conflicts[str](local=self.local, relayed=self.relayed, clock=self.clock)

    def turns(self, seconds: float) -> list[tuple[float, str]]:
        released, end = list[tuple[float, str]](), self.clock.time + seconds
        while self.clock.time < end:
            released += [(self.clock.time, one) for one in self.conflicts.turn(LOCAL, REMOTE)]
            self.clock.time += 0.05
        return released


def test_proven_address_is_offered_at_once() -> None:
    bench = Bench()
    bench.turns(1)
    assert bench.conflicts.passes(LOCAL[0], MAC, "offer", relayed=False)
    assert not bench.conflicts.passes(LOCAL[-1], MAC, "offer", relayed=False), "the pool's last one is not yet proven"


def test_unproven_offer_is_held_for_a_quarter_of_a_second() -> None:
    bench = Bench()
    assert not bench.conflicts.passes(LOCAL[-1], MAC, "offer", relayed=False)
    ((after, released),) = bench.turns(1)
    assert released == "offer"
    assert after <= 0.31
    assert bench.conflicts.passes(LOCAL[-1], MAC, "offer", relayed=False)


def test_relayed_machine_waits_for_an_echo() -> None:
    bench = Bench(relayed={REMOTE[-1]: Hardware(b"")})
    assert not bench.conflicts.passes(REMOTE[-1], MAC, "taken", relayed=True)
    assert not bench.conflicts.passes(REMOTE[-2], SQUATTER, "free", relayed=True)
    released = bench.turns(2)
    assert [one for _, one in released] == ["taken", "free"]
    assert released[0][0] <= 0.1
    assert 1.0 <= released[1][0] <= 1.2
    assert REMOTE[-1] not in bench.local.asked


def test_what_is_in_use_is_avoided_on_both_sides_and_by_all_others() -> None:
    bench = Bench(local={LOCAL[0]: SQUATTER}, relayed={REMOTE[0]: Hardware(b"")})
    bench.turns(2)
    assert LOCAL[0] in bench.conflicts.avoid(MAC)
    assert LOCAL[0] not in bench.conflicts.avoid(SQUATTER)
    assert REMOTE[0] in bench.conflicts.avoid(SQUATTER)
    assert LOCAL[1] not in bench.conflicts.avoid(MAC)


def test_server_turns_often_only_while_something_is_open() -> None:
    bench = Bench()
    bench.turns(2)
    assert bench.conflicts.period == 1.0
    bench.conflicts.passes(LOCAL[-1], MAC, "offer", relayed=False)
    assert bench.conflicts.period == 0.05


def test_who_answers_is_told_once_by_address_and_holder() -> None:
    bench = Bench(local={LOCAL[0]: SQUATTER}, relayed={REMOTE[0]: Hardware(b"")})
    bench.turns(2)
    assert bench.conflicts.found() == [
        AddressInUse(address=IPv4Address(LOCAL[0]), holder=Mac.from_bytes(SQUATTER)),
        AddressInUse(address=IPv4Address(REMOTE[0]), holder=None),
    ]
    bench.turns(120)
    assert bench.conflicts.found() == []
    bench.local.holders[LOCAL[0]] = MAC
    bench.turns(120)
    (found,) = bench.conflicts.found()
    assert found.holder == Mac.from_bytes(MAC)


def test_storm_of_rounds_is_no_storm_of_turns() -> None:
    bench = Bench()
    bench.conflicts.turn(LOCAL, REMOTE)
    assert not bench.conflicts.passes(LOCAL[-1], MAC, "offer", relayed=False)
    asked = len(bench.local.asked)
    for _ in range(1000):
        assert bench.conflicts.turn(LOCAL, REMOTE) == []
    assert len(bench.local.asked) == asked
