"""The DHCP server with its guards, and the boot services in proxy mode, among other hosts on a real bridge."""

import os
import queue
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
import tftpy

from pxe.boot import BootIntent, Endpoints, LocalDisk, Mode
from pxe.client import Client, Mac
from pxe.content import BytesContent, ContentTable
from pxe.dhcp.conflict import AddressInUse
from pxe.dhcp.event import DhcpEvent
from pxe.dhcp.flood import FloodAlarm
from pxe.dhcp.guards import Guards
from pxe.dhcp.packet import MessageType
from pxe.dhcp.proxy import BOOT_SERVER_PORT
from pxe.dhcp.proxy_server import ProxyEvent, ProxyKind
from pxe.dhcp.rivals import Active, Foreign, Passive, RivalSeen, Stands
from pxe.dhcp.server import DhcpServer, Observed
from pxe.dhcp.subnet import DhcpConfig, Subnet
from pxe.dhcp.watch import ProxyIgnored, Why
from pxe.dns.responder import Zone
from pxe.http.responder import HttpReply, HttpRequest
from pxe.service import BootServices, PxeEvent, ServiceConfig
from pxe.tftp.server import TftpEvent
from tests.contract.firmware import EFI, Firmware, firmware
from tests.contract.segment import DEADLINE, DEVICE, RealClock, dnsmasq, inside, ip, segment

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
needs_dnsmasq = pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="dnsmasq is not installed")

US, TWIN, THEM = (IPv4Address(f"10.20.0.{number}") for number in (1, 2, 3))
POOL = "10.20.0.200,10.20.0.220,255.255.255.0,5m"
FIRST = IPv4Address("10.20.0.10")
LEASE_SECONDS = 600


@pytest.fixture(scope="module")
def hosts() -> Iterator[dict[str, str]]:
    addresses = {"ours": f"{US}/24", "twin": f"{TWIN}/24", "theirs": f"{THEM}/24", "client": ""}
    with segment(addresses) as hosts:
        yield hosts


@dataclass
class Running:
    server: DhcpServer
    events: "queue.Queue[Observed]"
    clock: RealClock

    def await_event(self, wanted: Callable[[Observed], bool]) -> Observed:
        while not wanted(event := self.events.get(timeout=DEADLINE)):
            pass
        return event


@contextmanager
def serving(
    hosts: dict[str, str], journal: Path, *, host: str = "ours", address: IPv4Address = US, guards: Guards
) -> Iterator[Running]:
    events: queue.Queue[Observed] = queue.Queue()
    subnet = Subnet(
        network=IPv4Network("10.20.0.0/24"),
        server=address,
        pool_first=FIRST,
        pool_last=IPv4Address("10.20.0.99"),
        lease_seconds=LEASE_SECONDS,
    )
    clock = RealClock()
    server = DhcpServer(
        device=DEVICE,
        config=DhcpConfig(local=(subnet,)),
        endpoints=Endpoints(address=address),
        journal=journal,
        clock=clock,
        observe=events.put,
        guards=guards,
    )
    with inside(hosts[host]):
        server.start()
    try:
        yield Running(server, events, clock)
    finally:
        server.stop()


def offered(client: Firmware) -> IPv4Address:
    client.ask(MessageType.DISCOVER, EFI)
    return IPv4Address(client.hear()[0].yiaddr)


def lease(client: Firmware, server: IPv4Address) -> IPv4Address:
    address = offered(client)
    client.ask(MessageType.REQUEST, {**EFI, 50: address.packed, 54: server.packed})
    assert client.hear()[0].message_type is MessageType.ACK
    return address


def test_address_that_a_host_owns_is_never_offered(hosts: dict[str, str], tmp_path: Path) -> None:
    taken = {FIRST, FIRST + 1}
    for address in taken:
        ip("-n", hosts["theirs"], "addr", "add", f"{address}/24", "dev", DEVICE)
    try:
        with serving(hosts, tmp_path / "leases", guards=Guards()) as running:
            got = set[IPv4Address]()
            for number in range(3):
                with firmware(hosts["client"], f"52:54:00:ab:00:0{number}") as client:
                    got.add(lease(client, US))
            assert got == {FIRST + 2, FIRST + 3, FIRST + 4}
            with firmware(hosts["client"], "52:54:00:ab:00:09") as client:
                client.ask(MessageType.DISCOVER, {**EFI, 50: FIRST.packed})
                assert IPv4Address(client.hear()[0].yiaddr) not in taken | got, "nor when a machine asks for it"
            holder = Mac("52:54:00:00:01:02")
            told = [event for event in running.events.queue if isinstance(event, AddressInUse)]
            assert {(event.address, event.holder) for event in told} == {(address, holder) for address in taken}
            assert len(told) == len(taken)
    finally:
        for address in taken:
            ip("-n", hosts["theirs"], "addr", "del", f"{address}/24", "dev", DEVICE)


def test_second_appliance_is_passive_and_takes_over_when_told(hosts: dict[str, str], tmp_path: Path) -> None:
    twin = Guards(identity=bytes(16))
    with serving(hosts, tmp_path / "one", guards=Guards(identity=b"\xff" * 16)) as first:
        begin = time.monotonic()
        assert first.server.settle() == Active()
        assert 4 < time.monotonic() - begin < 6
        with serving(hosts, tmp_path / "two", host="twin", address=TWIN, guards=twin) as second:
            winner = Passive(identity=b"\xff" * 16, mac=bytes.fromhex("525400000100"))
            assert second.server.settle() == winner
            second.await_event(lambda event: event == Stands(standing=winner))
            with firmware(hosts["client"], "52:54:00:ab:01:01") as client:
                client.ask(MessageType.DISCOVER, EFI)
                assert client.hear()[1][0] == str(US)
                # If the second one were to answer, it would be before the next answer of the first.
                client.ask(MessageType.DISCOVER, EFI)
                assert client.hear()[1][0] == str(US)
            first.server.stop()
            second.server.take_over()
            second.await_event(lambda event: event == Stands(standing=Active()))
            with firmware(hosts["client"], "52:54:00:ab:01:02") as client:
                client.ask(MessageType.DISCOVER, EFI)
                assert client.hear()[1][0] == str(TWIN)
            assert not [event for event in second.events.queue if isinstance(event, RivalSeen)]


def test_questions_of_appliances_take_no_address(hosts: dict[str, str], tmp_path: Path) -> None:
    with serving(hosts, tmp_path / "one", guards=Guards(identity=b"\xff" * 16)) as first:
        first.server.settle()
        with serving(hosts, tmp_path / "two", host="twin", address=TWIN, guards=Guards(identity=bytes(16))) as second:
            second.server.settle()
        assert not [event for event in first.events.queue if isinstance(event, DhcpEvent)]


def test_restart_within_seconds_of_an_ack_does_not_listen_first(hosts: dict[str, str], tmp_path: Path) -> None:
    guards = Guards(identity=bytes(16))
    with serving(hosts, tmp_path / "leases", guards=guards) as running:
        running.server.settle()
        with firmware(hosts["client"], "52:54:00:ab:02:01") as client:
            lease(client, US)
    with serving(hosts, tmp_path / "leases", guards=guards) as running:
        begin = time.monotonic()
        assert running.server.settle() == Active()
        assert time.monotonic() - begin < 1


@needs_dnsmasq
def test_foreign_server_keeps_us_silent_until_it_is_gone(hosts: dict[str, str], tmp_path: Path) -> None:
    guards = Guards(identity=bytes(16))
    with dnsmasq(hosts["theirs"], tmp_path, POOL), serving(hosts, tmp_path / "leases", guards=guards) as running:
        standing = running.server.settle()
        assert isinstance(standing, Foreign)
        assert standing.server == THEM
        with firmware(hosts["client"], "52:54:00:ab:03:01") as client:
            assert offered(client) >= IPv4Address("10.20.0.200")
        assert not [event for event in running.events.queue if isinstance(event, DhcpEvent)]


def test_port_4011_is_answered_in_full_mode_too(hosts: dict[str, str], tmp_path: Path) -> None:
    with serving(hosts, tmp_path / "leases", guards=Guards()) as running:
        with firmware(hosts["client"], "52:54:00:ab:04:01") as client:
            address = lease(client, US)
            ip("-n", hosts["client"], "addr", "add", f"{address}/24", "dev", DEVICE)
            client.ask(MessageType.REQUEST, EFI, to=str(US), port=BOOT_SERVER_PORT)
            assert client.hear()[0].file == b"snponly.efi"
        told = running.await_event(lambda event: isinstance(event, ProxyEvent))
        assert isinstance(told, ProxyEvent)
        assert (told.kind, told.address, told.filename) == (ProxyKind.ACK, address, "snponly.efi")


def test_machine_that_never_stops_is_limited_and_told_once(hosts: dict[str, str], tmp_path: Path) -> None:
    with serving(hosts, tmp_path / "leases", guards=Guards(probe=False)) as running:
        with firmware(hosts["client"], "52:54:00:ab:05:01") as noisy:
            for _ in range(200):
                noisy.ask(MessageType.DISCOVER, EFI)
        with firmware(hosts["client"], "52:54:00:ab:05:02") as client:
            offered(client)
        alarm = running.await_event(lambda event: isinstance(event, FloodAlarm))
        assert isinstance(alarm, FloodAlarm)
        assert alarm.sender == "52:54:00:ab:05:01"
        assert not [event for event in running.events.queue if isinstance(event, FloodAlarm)]


class Policy:
    def intent_for(self, client: Client) -> BootIntent:
        return LocalDisk()


class Nobody:
    def handle(self, request: HttpRequest) -> HttpReply:
        return HttpReply(status=404)


@contextmanager
def proxying(hosts: dict[str, str]) -> Iterator[tuple[RealClock, "queue.Queue[PxeEvent]"]]:
    events: queue.Queue[PxeEvent] = queue.Queue()
    clock = RealClock()
    with inside(hosts["ours"]):
        services = BootServices(
            config=ServiceConfig(
                device=DEVICE,
                mode=Mode.PROXY,
                endpoints=Endpoints(address=US),
                zone=Zone(domain="rack.test", server=US, hosts={}),
                programs=ContentTable({"snponly.efi": BytesContent(data=b"program" * 1000)}),
            ),
            policy=Policy(),
            artifacts=ContentTable(),
            application=Nobody(),
            observe=events.put,
            clock=clock,
        )
        services.start()
    try:
        assert services.settle() == Active()
        yield clock, events
    finally:
        services.stop()


@needs_dnsmasq
def test_boot_services_in_proxy_mode_boot_machines_and_name_those_that_ignore_them(
    hosts: dict[str, str], tmp_path: Path
) -> None:
    with dnsmasq(hosts["theirs"], tmp_path, POOL, "--no-ping"), proxying(hosts) as (clock, events):
        with firmware(hosts["client"], "52:54:00:ab:06:01") as client:
            address = proxied(client)
            ip("-n", hosts["client"], "addr", "add", f"{address}/24", "dev", DEVICE)
            client.ask(MessageType.REQUEST, EFI, to=str(US), port=BOOT_SERVER_PORT)
            assert client.hear()[0].file == b"snponly.efi"
        with firmware(hosts["client"], "52:54:00:ab:06:02") as client:
            address = proxied(client)
            ip("-n", hosts["client"], "addr", "add", f"{address}/24", "dev", DEVICE)
            with inside(hosts["client"]):
                tftp = tftpy.TftpClient(str(US), 69)
                tftp.download("snponly.efi", str(tmp_path / "got"), timeout=5)
        assert (tmp_path / "got").read_bytes() == b"program" * 1000
        with firmware(hosts["client"], "52:54:00:ab:06:03") as client:
            proxied(client)
        seen = list[PxeEvent]()
        while not (any(isinstance(event, TftpEvent) for event in seen) and heard(seen, "52:54:00:ab:06:03")):
            seen.append(events.get(timeout=DEADLINE))
        clock.ahead += 31
        while not isinstance(event := events.get(timeout=DEADLINE), ProxyIgnored):
            pass
        assert (event.mac, event.why) == (Mac("52:54:00:ab:06:03"), Why.NOT_FOLLOWED)
        assert not [event for event in seen if isinstance(event, DhcpEvent)]


def heard(events: list[PxeEvent], mac: str) -> bool:
    """Its REQUEST to the other server."""
    return any(isinstance(event, ProxyEvent) and event.mac == Mac(mac) and event.address for event in events)


def proxied(client: Firmware) -> IPv4Address:
    """The boot file is ours, the address theirs."""
    client.ask(MessageType.DISCOVER, EFI)
    offers = client.offers(2)
    assert (offers[str(US)].yiaddr, offers[str(US)].file) == (bytes(4), b"snponly.efi")
    address = offers[str(THEM)].yiaddr
    client.ask(MessageType.REQUEST, {**EFI, 50: address, 54: THEM.packed})
    assert client.hear()[0].message_type is MessageType.ACK
    return IPv4Address(address)
