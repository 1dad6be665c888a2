"""The ledger of proven addresses, under a clock made of numbers."""

from collections.abc import Iterator, Mapping
from itertools import count

import pytest

from pxe.dhcp.address import Address, Hardware
from pxe.dhcp.probe import ARP_TIMING, ECHO_TIMING, FRESH_SECONDS, Holds, ProbeLedger, Timing, Verdict
from pxe.errors import ConfigError

MAC = Hardware(bytes.fromhex("525400000001"))
SQUATTER = Hardware(bytes.fromhex("525400000bad"))
POOL = [Address(bytes((10, 0, number >> 8, number & 255))) for number in range(1, 2001)]
FIRST = POOL[0]


class Segment:
    """Machines that answer ARP after `delay` seconds; counts the questions."""

    def __init__(self, holders: Mapping[Address, Hardware], *, delay: float = 0.01) -> None:
        self.holders = dict(holders)
        self.asked: list[tuple[float, Address]] = []
        self._delay = delay
        self._under_way: list[tuple[float, Address, Hardware]] = []

    def step(self, ledger: ProbeLedger, now: float, upcoming: list[Address]) -> None:
        for arrived in [answer for answer in self._under_way if answer[0] <= now]:
            self._under_way.remove(arrived)
            ledger.answered(arrived[1], arrived[2], now)
        for address in ledger.due(now, upcoming):
            self.asked.append((now, address))
            if address in self.holders:
                self._under_way.append((now + self._delay, address, self.holders[address]))


def clock(seconds: float, *, start: float = 0.0) -> Iterator[float]:
    return (start + tick * 0.01 for tick in range(round(seconds / 0.01)))


def test_silence_for_a_quarter_of_a_second_is_the_proof() -> None:
    ledger = ProbeLedger()
    assert ledger.check(FIRST, MAC, 0.0) is Verdict.UNPROVEN
    assert ledger.due(0.0) == [FIRST]
    assert ledger.due(0.05) == []
    assert ledger.due(0.09) == [FIRST], "asked twice, since a frame may get lost"
    assert ledger.check(FIRST, MAC, 0.24) is Verdict.UNPROVEN
    assert ledger.check(FIRST, MAC, 0.25) is Verdict.FREE
    assert not ledger.busy


def test_proof_does_not_last() -> None:
    ledger = ProbeLedger()
    ledger.check(FIRST, MAC, 0.0)
    ledger.due(0.0)
    ledger.due(0.1)
    assert ledger.check(FIRST, MAC, 0.25 + FRESH_SECONDS - 1) is Verdict.FREE
    assert ledger.check(FIRST, MAC, 0.25 + FRESH_SECONDS + 1) is Verdict.UNPROVEN


def test_answer_takes_the_address_until_it_is_found_silent() -> None:
    segment, ledger = Segment({FIRST: SQUATTER}), ProbeLedger()
    ledger.check(FIRST, MAC, 0.0)
    for now in clock(300):
        segment.step(ledger, now, [])
        assert ledger.check(FIRST, MAC, now) is not Verdict.FREE
    del segment.holders[FIRST]
    verdicts = []
    for now in clock(FRESH_SECONDS + 1, start=300):
        segment.step(ledger, now, [])
        verdicts.append(ledger.check(FIRST, MAC, now))
    assert verdicts[-1] is Verdict.FREE


def test_the_machines_own_answer_is_no_conflict() -> None:
    segment, ledger = Segment({FIRST: MAC}), ProbeLedger()
    ledger.check(FIRST, MAC, 0.0)
    for now in clock(0.1):
        segment.step(ledger, now, [])
    assert ledger.check(FIRST, MAC, 0.1) is Verdict.FREE
    assert ledger.check(FIRST, SQUATTER, 0.1) is Verdict.TAKEN
    assert FIRST not in ledger.in_use(MAC, 0.1)
    assert FIRST in ledger.in_use(SQUATTER, 0.1)
    assert POOL[1] not in ledger.in_use(SQUATTER, 0.1)


def test_answer_without_hardware_address_is_a_conflict() -> None:
    ledger = ProbeLedger(ECHO_TIMING)
    ledger.check(FIRST, MAC, 0.0)
    ledger.due(0.0)
    ledger.answered(FIRST, Hardware(b""), 0.3)
    assert ledger.check(FIRST, MAC, 0.3) is Verdict.TAKEN


def test_late_last_question_is_given_its_time() -> None:
    ledger = ProbeLedger()
    ledger.check(FIRST, MAC, 0.0)
    ledger.due(0.0)
    ledger.due(5.0)  # the disk was slow
    assert ledger.check(FIRST, MAC, 5.05) is Verdict.UNPROVEN
    ledger.answered(FIRST, SQUATTER, 5.06)
    assert ledger.check(FIRST, MAC, 6.0) is Verdict.TAKEN


def test_answers_to_nothing_asked_leave_no_trace() -> None:
    ledger = ProbeLedger()
    ledger.answered(FIRST, SQUATTER, 0.0)
    assert ledger.check(FIRST, MAC, 0.0) is Verdict.UNPROVEN


def test_next_addresses_are_proven_before_anyone_asks() -> None:
    segment, ledger = Segment({POOL[5]: SQUATTER}), ProbeLedger(ahead=64)
    for now in clock(1):
        segment.step(ledger, now, POOL)
    for now in clock(600, start=1):
        segment.step(ledger, now, POOL)
        verdicts = {ledger.check(address, MAC, now) for address in POOL[:5] + POOL[6:64]}
        assert verdicts == {Verdict.FREE}
        assert ledger.check(POOL[5], MAC, now) is not Verdict.FREE


def test_idle_segment_sees_a_few_packets_a_second() -> None:
    segment, ledger = Segment({}), ProbeLedger(ahead=64)
    for now in clock(600):
        segment.step(ledger, now, POOL)
    seconds = [int(now) for now, _ in segment.asked]
    assert len(seconds) / 600 < 4
    assert max(map(seconds.count, set(seconds))) <= 2 * 64
    assert {address for _, address in segment.asked} == set(POOL[:64])


def test_storm_is_followed() -> None:
    """A thousand machines within two seconds: each is answered within a quarter of a second, the first ones at once."""
    segment, ledger = Segment({}), ProbeLedger(ahead=64)
    for now in clock(2):
        segment.step(ledger, now, POOL)
    pool, waits = list(POOL), list[float]()
    pending: dict[Address, float] = {}
    arrivals = iter(range(1000))
    for now in clock(3, start=2):
        for _ in range(5):
            if next(arrivals, None) is not None:
                pending[pool.pop(0)] = now
        for address, since in list(pending.items()):
            if ledger.check(address, MAC, now) is Verdict.FREE:
                ledger.given()
                waits.append(now - since)
                del pending[address]
        segment.step(ledger, now, pool)
    assert len(waits) == 1000
    assert max(waits) <= 0.28
    assert sum(wait == 0 for wait in waits) > 800
    assert len(segment.asked) <= 2 * (1000 + 1024 + 64)


def test_no_address_that_answers_is_offered_in_500_tries() -> None:
    """Every third address has a squatter, some of whom come and go; the pool gives out the least recently used."""
    squatters = {address: SQUATTER for address in POOL[:600:3]}
    segment, ledger = Segment(squatters, delay=0.1), ProbeLedger()
    free, offered, wanted = POOL[:600], 0, POOL[0]
    for now in clock(300):
        segment.step(ledger, now, free)
        verdict = ledger.check(wanted, MAC, now)
        if verdict is Verdict.FREE:
            assert wanted not in segment.holders
            offered += 1
        if verdict is not Verdict.UNPROVEN:
            free.append(free.pop(0))
            wanted = free[0]
        if offered >= 500:
            return
    pytest.fail(f"only {offered} offers")


def test_memory_is_bounded_by_what_was_asked_lately() -> None:
    ledger = ProbeLedger()
    for number in count():
        now = number * 1.0
        if now > 3000:
            break
        ledger.check(Address(number.to_bytes(4)), MAC, now)
        ledger.due(now)
    assert len(ledger._entries) < 300


def test_held_offers_are_released_in_order() -> None:
    ledger, holds = ProbeLedger(), Holds[str]()
    for number, address in enumerate(POOL[:3]):
        mac = Hardware(bytes((2, 0, 0, 0, 0, number)))
        assert ledger.check(address, mac, 0.0) is Verdict.UNPROVEN
        holds.hold(address, mac, f"offer {number}")
    ledger.due(0.0)
    ledger.answered(POOL[1], SQUATTER, 0.05)
    ledger.due(0.1)
    assert holds.released(ledger, 0.1) == ["offer 1"]
    assert holds.released(ledger, 0.25) == ["offer 0", "offer 2"]
    assert len(holds) == 0


def test_repeated_discover_takes_the_place_of_the_one_before() -> None:
    ledger, holds = ProbeLedger(), Holds[str]()
    holds.hold(FIRST, MAC, "first")
    holds.hold(FIRST, MAC, "second")
    ledger.check(FIRST, MAC, 0.0)
    ledger.due(0.0)
    ledger.due(0.1)
    assert holds.released(ledger, 0.3) == ["second"]


def test_holds_are_bounded() -> None:
    holds = Holds[int]()
    for number in range(10_000):
        holds.hold(FIRST, Hardware(number.to_bytes(6)), number)
    assert len(holds) == 4096


@pytest.mark.parametrize("timing", [ARP_TIMING, ECHO_TIMING])
def test_offers_are_held_for_less_than_firmware_waits(timing: Timing) -> None:
    assert timing.wait <= 1.0


def test_a_question_needs_time_for_its_answer() -> None:
    with pytest.raises(ConfigError):
        Timing(tries=3, gap=0.1, wait=0.2)
