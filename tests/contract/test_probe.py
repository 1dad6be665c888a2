"""Conflict probing against kernels that answer ARP and ICMP for addresses of the pool."""

import os
import select
import time
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from pxe.dhcp.address import Address, Hardware
from pxe.dhcp.probe import ECHO_TIMING, ProbeLedger, Verdict
from pxe.dhcp.prober import ArpProber, EchoProber, Prober
from pxe.errors import ServiceError
from tests.contract.segment import DEADLINE, DEVICE, inside, ip, segment

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

FIRST = int(IPv4Address("10.20.0.10"))
POOL = [Address((FIRST + number).to_bytes(4)) for number in range(700)]
SQUATTED = frozenset(POOL[::4])
MACHINE = Hardware(bytes.fromhex("525400aabb01"))


@pytest.fixture(scope="module")
def hosts() -> Iterator[dict[str, str]]:
    with segment({"server": "10.20.0.1/22", "squatter": "10.20.0.2/22"}) as hosts:
        lines = "".join(f"addr add {IPv4Address(address)}/22 dev {DEVICE}\n" for address in SQUATTED)
        ip("-n", hosts["squatter"], "-batch", "-", batch=lines)
        yield hosts


def turn(prober: Prober, ledger: ProbeLedger, upcoming: list[Address]) -> float:
    """One round of a server's loop; the time after it."""
    select.select([prober], [], [], 0.01)
    now = time.monotonic()
    for address, mac in prober.answers():
        ledger.answered(address, mac, now)
    prober.ask(ledger.due(now, upcoming))
    return now


def test_no_answering_address_is_offered_in_500_tries(hosts: dict[str, str]) -> None:
    with inside(hosts["server"]):
        prober = ArpProber(DEVICE)
    ledger, free = ProbeLedger(), list(POOL)
    offered, refused = list[Address](), set[Address]()
    end = time.monotonic() + 2 * DEADLINE
    while len(offered) < 500:
        now = turn(prober, ledger, free)
        assert now < end, (len(offered), len(refused))
        while len(offered) < 500 and (verdict := ledger.check(free[0], MACHINE, now)) is not Verdict.UNPROVEN:
            address = free.pop(0)
            if verdict is Verdict.FREE:
                ledger.given()
                offered.append(address)
            else:
                assert address in ledger.in_use(MACHINE, now)
                refused.add(address)
    prober.close()
    assert not SQUATTED & set(offered)
    assert refused <= SQUATTED
    assert len(refused) > 150


def test_the_machine_that_answers_may_have_its_own_address(hosts: dict[str, str]) -> None:
    with inside(hosts["server"]):
        prober = ArpProber(DEVICE)
    squatter = Hardware(bytes.fromhex("525400000101"))
    ledger = ProbeLedger()
    assert verdict(prober, ledger, POOL[0], squatter) is Verdict.FREE
    assert ledger.check(POOL[0], MACHINE, time.monotonic()) is Verdict.TAKEN
    prober.close()


def verdict(prober: Prober, ledger: ProbeLedger, address: Address, mac: Hardware) -> Verdict:
    end = time.monotonic() + DEADLINE
    while (found := ledger.check(address, mac, turn(prober, ledger, []))) is Verdict.UNPROVEN:
        assert time.monotonic() < end
    return found


def test_echo_finds_the_same_through_ip(hosts: dict[str, str]) -> None:
    with inside(hosts["server"]):
        prober, other = EchoProber(0x4242), EchoProber(0x4243)
    ledger = ProbeLedger(ECHO_TIMING)
    assert verdict(prober, ledger, POOL[0], MACHINE) is Verdict.TAKEN
    assert verdict(prober, ledger, POOL[1], MACHINE) is Verdict.FREE
    assert list(other.answers()) == [], "answers to others' questions are not ours"
    prober.close()
    other.close()


def test_no_route_is_silence(hosts: dict[str, str]) -> None:
    with inside(hosts["server"]):
        prober = EchoProber(1)
    prober.ask([Address(bytes((192, 0, 2, 1)))])
    assert list(prober.answers()) == []
    prober.close()


def test_unknown_device_is_a_service_error() -> None:
    with pytest.raises(ServiceError) as caught:
        ArpProber("absent0")
    assert "absent0" in caught.value.evidence
