from ipaddress import IPv4Address, IPv4Network

import pytest

from pxe.dns.limit import RateLimit, Verdict, own_networks

STRANGER = IPv4Address("203.0.113.7").packed
NEIGHBOUR = IPv4Address("203.0.113.200").packed
SEND, SLIP, DROP = Verdict.SEND, Verdict.SLIP, Verdict.DROP


def limit(rate: int = 2) -> RateLimit:
    return RateLimit(own_networks((IPv4Network("198.51.100.0/25"),)), rate)


def test_a_network_shares_its_second() -> None:
    judge = limit().judge
    assert [judge(source) for source in (STRANGER, NEIGHBOUR) * 3] == [SEND, SEND, SLIP, DROP, SLIP, DROP]
    assert judge(IPv4Address("203.0.114.7").packed) is SEND


def test_the_next_second_is_new() -> None:
    ours = limit()
    first = [ours.judge(STRANGER) for _ in range(3)]
    ours.next_second()
    assert first == [ours.judge(STRANGER) for _ in range(3)] == [SEND, SEND, SLIP]


@pytest.mark.parametrize(
    "own", ["198.51.100.1", "198.51.100.200", "10.1.2.3", "172.31.0.1", "192.168.9.9", "127.0.0.1", "169.254.1.1"]
)
def test_our_own_networks_are_not_counted(own: str) -> None:
    judge = limit(rate=1).judge
    assert {judge(IPv4Address(own).packed) for _ in range(1000)} == {SEND}


def test_forged_networks_do_not_fill_the_memory() -> None:
    ours = limit()
    for number in range(40_000):
        ours.judge((0xCB000000 + number * 256).to_bytes(4))
        ours.judge((0x0A000000 + number * 256).to_bytes(4))
    assert len(ours._left) + len(ours.free) <= 16_384
