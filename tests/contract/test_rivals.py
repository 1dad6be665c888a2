"""Two appliances on one segment, and a foreign server (dnsmasq) before and after we serve: on a real bridge."""

import os
import select
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from pxe.dhcp.frame import ETH_P_IP, Datagram, pack_datagram
from pxe.dhcp.packet import DhcpPacket, MessageType, pack
from pxe.dhcp.rival_watch import RivalWatch, frames_of
from pxe.dhcp.rivals import Active, Foreign, Passive, RivalEvent, RivalSeen, Stands, refusal
from tests.contract.segment import DEADLINE, DEVICE, RealClock, dnsmasq, inside, segment, udhcpc

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]
needs_dnsmasq = pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="dnsmasq is not installed")

FOREIGN = IPv4Address("10.20.0.3")
POOL = "10.20.0.100,10.20.0.120,255.255.255.0,5m"


@pytest.fixture(scope="module")
def hosts() -> Iterator[dict[str, str]]:
    addresses = {"one": "10.20.0.1/24", "two": "10.20.0.2/24", "foreign": f"{FOREIGN}/24", "client": ""}
    with segment(addresses) as hosts:
        yield hosts


@dataclass
class Appliance:
    watch: RivalWatch
    clock: RealClock
    events: list[RivalEvent] = field(default_factory=list)


@contextmanager
def appliance(hosts: dict[str, str], host: str, identity: bytes) -> Iterator[Appliance]:
    events: list[RivalEvent] = []
    clock, number = RealClock(), list(hosts).index(host) + 1
    with inside(hosts[host]):
        watch = RivalWatch(
            frames=frames_of(DEVICE),
            server=IPv4Address(f"10.20.0.{number}"),
            identity=identity,
            chaddr=bytes((2, 0, 0, 0, 0, number)),
            clock=clock,
            observe=events.append,
        )
    try:
        yield Appliance(watch, clock, events)
    finally:
        watch.close()


def serve_until(condition: Callable[[], bool], *appliances: Appliance) -> float:
    """The loops of all of them; how long it took."""
    begin = time.monotonic()
    while not condition():
        select.select([one.watch for one in appliances], [], [], 0.05)
        for one in appliances:
            one.watch.serve()
        assert time.monotonic() < begin + DEADLINE, [one.watch.standing for one in appliances]
    return time.monotonic() - begin


def settled(*appliances: Appliance) -> Callable[[], bool]:
    return lambda: all(isinstance(one.watch.standing, Active | Passive | Foreign) for one in appliances)


def test_second_appliance_is_passive_within_5_seconds_and_takes_over_only_when_told(hosts: dict[str, str]) -> None:
    with appliance(hosts, "one", b"\xff" * 16) as one:
        serve_until(settled(one), one)
        assert one.watch.standing == Active()
        with appliance(hosts, "two", bytes(16)) as two:
            took = serve_until(settled(two), one, two)
            assert took <= 5
            passive = Passive(identity=b"\xff" * 16, mac=bytes.fromhex("525400000100"))
            assert two.watch.standing == passive
            assert one.watch.standing == Active()
            # The operator is too early: the other one still serves.
            two.watch.take_over()
            serve_until(settled(two), one, two)
            assert two.events[-1] == Stands(standing=passive)
            # Now it is gone.
            two.watch.take_over()
            serve_until(settled(two), two)
            assert two.events[-1] == Stands(standing=Active())
    assert [event for event in one.events if not isinstance(event, Stands)] == []


@pytest.mark.parametrize("lower", ["one", "two"])
def test_of_two_that_start_together_the_lower_identity_serves(hosts: dict[str, str], lower: str) -> None:
    identities = {host: bytes(16) if host == lower else b"\1" * 16 for host in ("one", "two")}
    with appliance(hosts, "one", identities["one"]) as one, appliance(hosts, "two", identities["two"]) as two:
        took = serve_until(settled(one, two), one, two)
        standing = {"one": one.watch.standing, "two": two.watch.standing}
        assert standing.pop(lower) == Active()
        assert isinstance(standing.popitem()[1], Passive)
        assert took < 6


@needs_dnsmasq
def test_foreign_server_is_found_before_we_serve_although_it_pings_first(hosts: dict[str, str], tmp_path: Path) -> None:
    with dnsmasq(hosts["foreign"], tmp_path, POOL), appliance(hosts, "one", bytes(16)) as one:
        begin = time.monotonic()
        serve_until(settled(one), one)
        standing = one.watch.standing
        assert isinstance(standing, Foreign)
        assert time.monotonic() - begin <= 10
        assert standing == Foreign(server=FOREIGN, mac=bytes.fromhex("525400000102"), vendor="")
        assert "10.20.0.3" in refusal(standing).evidence


@needs_dnsmasq
@pytest.mark.skipif(shutil.which("busybox") is None, reason="busybox is not installed")
def test_foreign_server_that_comes_later_is_told_and_we_go_on(hosts: dict[str, str], tmp_path: Path) -> None:
    with appliance(hosts, "one", bytes(16)) as one:
        serve_until(settled(one), one)
        with dnsmasq(hosts["foreign"], tmp_path, POOL, "--no-ping"):
            assert "lease of 10.20.0." in udhcpc(hosts["client"], "-B")
            seen = RivalSeen(rival=Foreign(server=FOREIGN, mac=bytes.fromhex("525400000102"), vendor=""))
            assert serve_until(lambda: seen in one.events, one) <= 10
        assert one.watch.standing == Active()


@needs_dnsmasq
def test_foreign_server_that_nobody_uses_is_found_by_the_next_question(hosts: dict[str, str], tmp_path: Path) -> None:
    with appliance(hosts, "one", bytes(16)) as one:
        serve_until(settled(one), one)
        with dnsmasq(hosts["foreign"], tmp_path, POOL, "--no-ping"):
            one.clock.ahead += 61
            serve_until(lambda: any(isinstance(event, RivalSeen) for event in one.events), one)


def test_other_traffic_does_not_wake_the_watch(hosts: dict[str, str]) -> None:
    with inside(hosts["client"]):
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.bind((DEVICE, ETH_P_IP))

    def send(payload: bytes, source_port: int, target_port: int) -> None:
        datagram = Datagram(
            source_mac=sender.getsockname()[4],
            target_mac=b"\xff" * 6,
            source=IPv4Address(0),
            target=IPv4Address("255.255.255.255"),
            source_port=source_port,
            target_port=target_port,
            payload=payload,
        )
        sender.send(pack_datagram(datagram))

    discover = pack(DhcpPacket(op=1, xid=1, chaddr=bytes(6), options={60: b"PXEClient", 53: b"\1"}))
    offer = pack(DhcpPacket(op=2, xid=1, chaddr=bytes(6), options={53: bytes((MessageType.NAK,)), 54: FOREIGN.packed}))
    with sender, appliance(hosts, "one", bytes(16)) as one:
        for _ in range(20):
            send(discover, 68, 67)
            send(offer, 67, 67)
            send(offer, 5353, 68)
            send(b"", 68, 67)
        assert select.select([one.watch], [], [], 0.2)[0] == []
        send(offer, 67, 68)
        assert select.select([one.watch], [], [], DEADLINE)[0] == [one.watch]
