"""Flood limits: who is never limited, who is, and how much memory a flood costs."""

import random

import pytest

from pxe.dhcp.address import Address, Hardware
from pxe.dhcp.flood import FloodAlarm, FloodGate, FloodGuard, Limits, Rate, port_of
from pxe.dhcp.packet import DhcpPacket, MessageType, Option
from pxe.errors import ConfigError

MAC = Hardware(bytes.fromhex("525400000001"))
LOCAL = bytes(4)
RELAY = Address(bytes((10, 0, 0, 2)))


def mac(number: int) -> Hardware:
    return Hardware(number.to_bytes(6))


def test_a_boot_is_never_limited() -> None:
    """Firmware that gets no answer, then iPXE, the agent and the system, three boots in a row."""
    gate = FloodGate()
    once = [0, 4, 12, 28, 28.1, 30, 31, 33, 37, 37.1, 50, 50.1, 53, 53.1, 90, 90.1, 93, 93.1]
    for boot in range(3):
        for second in once:
            assert gate.refusal(MAC, LOCAL, boot * 120 + second, known=False) is None


@pytest.mark.parametrize("port", [LOCAL, RELAY, RELAY + b"vlan 7"])
def test_a_thousand_machines_behind_one_relay_are_never_limited(port: bytes) -> None:
    """All at once after a power cut: DISCOVER and REQUEST of the firmware, two bursts of iPXE, the agent; retries."""
    gate = FloodGate()
    for second in (0, 0, 2, 2, 3, 3, 4, 6, 10, 10, 12, 28):
        for number in range(1000):
            assert gate.refusal(mac(number), port, second + number / 10_000, known=False) is None


def test_one_machine_that_never_stops_gets_its_rate() -> None:
    gate = FloodGate()
    passed = [now / 1000 for now in range(60_000) if gate.refusal(MAC, LOCAL, now / 1000, known=False) is None]
    assert len(passed) == pytest.approx(32 + 60 * 2, abs=2)
    assert gate.refusal(mac(2), LOCAL, 60, known=False) is None


def test_refusal_explains_itself() -> None:
    gate = FloodGate(Limits(machine=Rate(burst=1, per_second=0.25)))
    assert gate.refusal(MAC, LOCAL, 5, known=False) is None
    assert gate.refusal(MAC, LOCAL, 5, known=False) == "packets of one machine: more than 1 at once and 0.25 a second"
    assert gate.refusal(MAC, LOCAL, 8.9, known=False) is not None
    assert gate.refusal(MAC, LOCAL, 9.1, known=False) is None


def test_random_hardware_addresses_hit_the_port_and_not_the_known_machines() -> None:
    gate, rng = FloodGate(), random.Random(1)
    passed = 0
    for packet in range(50_000):
        now = packet / 5000
        stranger = Hardware(rng.randbytes(6))
        passed += gate.refusal(stranger, LOCAL, now, known=False) is None
        if packet % 500 == 0:
            assert gate.refusal(MAC, LOCAL, now, known=True) is None
            assert gate.refusal(mac(packet), RELAY, now, known=False) is None, "another port is not touched"
    assert passed == pytest.approx(8192 + 10 * 500, rel=0.01)


def test_memory_is_bounded_under_random_addresses_and_forged_ports() -> None:
    gate, rng = FloodGate(Limits(port=Rate(burst=2, per_second=0.01))), random.Random(2)
    passed = 0
    for packet in range(60_000):
        port = rng.randbytes(12)
        passed += gate.refusal(Hardware(rng.randbytes(6)), port, packet / 10_000, known=False) is None
        gate.decline_refusal(Hardware(rng.randbytes(6)), port, packet / 10_000, known=False)
    assert len(gate) <= 3 * 8192 + 2 * 4096
    assert passed <= 4096 + 3, "ports beyond the bound share one bucket"


def test_a_port_that_was_quiet_makes_room() -> None:
    gate = FloodGate(Limits(port=Rate(burst=1, per_second=1)))
    for number in range(4096):
        assert gate.refusal(mac(number), number.to_bytes(8), 0, known=False) is None
    for number in range(4096, 8192):
        assert gate.refusal(mac(number), number.to_bytes(8), 10, known=False) is None


def test_declines_of_strangers_cannot_empty_a_pool() -> None:
    gate, rng = FloodGate(), random.Random(3)
    passed = sum(
        gate.decline_refusal(Hardware(rng.randbytes(6)), LOCAL, second / 10, known=False) is None
        for second in range(36_000)
    )
    assert passed <= 16 + 12


def test_a_machine_that_meets_a_squatter_may_decline() -> None:
    gate = FloodGate()
    for second in (0, 12, 24, 36):
        assert gate.decline_refusal(MAC, LOCAL, second, known=False) is None
    assert gate.decline_refusal(MAC, LOCAL, 37, known=False) is not None
    assert gate.decline_refusal(mac(2), LOCAL, 37, known=True) is None


def test_the_same_packets_are_judged_the_same() -> None:
    def run() -> list[str | None]:
        gate, rng = FloodGate(), random.Random(4)
        return [gate.refusal(mac(rng.randrange(50)), LOCAL, packet / 1000, known=False) for packet in range(5000)]

    assert run() == run()
    assert None in run()
    assert any(run())


@pytest.mark.parametrize(
    ("information", "port"),
    [
        (None, RELAY),
        (b"\1\4eth1\2\3abc", RELAY + b"eth1"),
        (b"\2\3abc\1\4eth1", RELAY + b"eth1"),
        (b"\2\3abc", RELAY),
        (b"\1\xffeth1", RELAY),
    ],
)
def test_port_is_the_relay_and_its_circuit_id(information: bytes | None, port: bytes) -> None:
    options = {} if information is None else {82: information}
    assert port_of(DhcpPacket(op=1, xid=1, chaddr=MAC, giaddr=RELAY, options=options)) == port


@pytest.mark.parametrize(("burst", "per_second"), [(0, 1.0), (1, 0.0)])
def test_a_rate_lets_something_through(burst: int, per_second: float) -> None:
    with pytest.raises(ConfigError):
        Rate(burst=burst, per_second=per_second)


def packet(kind: MessageType = MessageType.DISCOVER, machine: Hardware = MAC) -> DhcpPacket:
    return DhcpPacket(op=1, xid=1, chaddr=machine, options={Option.MESSAGE_TYPE: bytes((kind,))})


def test_guard_tells_once_and_then_once_a_minute_how_many_it_refused() -> None:
    guard = FloodGuard(Limits(machine=Rate(burst=1, per_second=0.001)))
    refused = [guard.refuses(packet(), second, known=lambda _: False) for second in range(100)]
    assert refused == [False, *[True] * 99]
    reason = "packets of one machine: more than 1 at once and 0.001 a second"
    first = FloodAlarm(reason=reason, sender="52:54:00:00:00:01", refused=1)
    assert guard.alarms() == [first, FloodAlarm(reason=reason, sender="52:54:00:00:00:01", refused=60)]
    assert guard.alarms() == []
    assert first.sentence == f"{reason}: 1 dropped, the last of 52:54:00:00:00:01"


def test_guard_judges_declines_and_known_machines_by_their_own_rates() -> None:
    once = Rate(burst=1, per_second=0.001)
    guard = FloodGuard(Limits(machine=once, port_declines=once))
    for number in (1, 2):
        assert not guard.refuses(packet(machine=mac(number)), 0, known=lambda _: False)
        assert guard.refuses(packet(MessageType.DECLINE, mac(number)), 0, known=lambda _: False) is (number == 2)
    assert not guard.refuses(packet(machine=mac(1)), 0, known=lambda each: each == mac(1))


def test_guard_without_limits_lets_all_through() -> None:
    guard = FloodGuard(None)
    assert not any(guard.refuses(packet(), 0, known=lambda _: False) for _ in range(1000))
