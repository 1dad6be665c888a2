"""The proxyDHCP server beside dnsmasq, which gives out the addresses; the client speaks as PXE firmware does."""

import os
import queue
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

import pytest
from scapy.layers.dhcp import DHCP
from scapy.layers.l2 import Ether

from pxe.boot import Endpoints, answer
from pxe.client import Mac
from pxe.dhcp.flood import FloodAlarm, FloodGuard, Limits
from pxe.dhcp.packet import DhcpPacket, pack
from pxe.dhcp.proxy import BOOT_SERVER_PORT, boot_by
from pxe.dhcp.proxy_server import BootServerPort, ProxyEvent, ProxyKind, ProxyObserved, ProxyServer
from pxe.dhcp.watch import ProxyIgnored, Why
from pxe.errors import ServiceError
from tests.contract.firmware import EFI, firmware
from tests.contract.segment import DEADLINE, DEVICE, RealClock, dnsmasq, inside, ip, segment, udhcpc

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="dnsmasq is not installed"),
]

US = IPv4Address("10.20.0.1")
THEM = IPv4Address("10.20.0.3")
ENDPOINTS = Endpoints(address=US)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with (
        segment({"ours": f"{US}/24", "theirs": f"{THEM}/24", "client": ""}) as hosts,
        dnsmasq(
            hosts["theirs"],
            tmp_path_factory.mktemp("dnsmasq"),
            "10.20.0.100,10.20.0.120,255.255.255.0,5m",
            "--no-ping",
        ),
    ):
        yield hosts


@dataclass
class Running:
    events: "queue.Queue[ProxyObserved]"
    clock: RealClock
    server: ProxyServer

    def event(self, kind: ProxyKind) -> ProxyEvent:
        while True:
            event = self.events.get(timeout=DEADLINE)
            if isinstance(event, ProxyEvent) and event.kind is kind:
                return event

    def complaint(self) -> ProxyIgnored:
        while True:
            event = self.events.get(timeout=DEADLINE)
            if isinstance(event, ProxyIgnored):
                return event


@pytest.fixture
def running(hosts: dict[str, str]) -> Iterator[Running]:
    events: queue.Queue[ProxyObserved] = queue.Queue()
    clock = RealClock()
    server = ProxyServer(
        device=DEVICE,
        server=US,
        answer=lambda client: answer(client, ENDPOINTS),
        clock=clock,
        observe=events.put,
        limits=Limits(),
    )
    with inside(hosts["ours"]):
        server.start()
    try:
        yield Running(events, clock, server)
    finally:
        server.stop()
        server.stop()


def test_firmware_boots_from_us_with_an_address_of_the_other_server(hosts: dict[str, str], running: Running) -> None:
    with firmware(hosts["client"], "52:54:00:aa:00:01") as client:
        client.ask(1, EFI)
        offers = client.offers(2)
        assert set(offers) == {str(US), str(THEM)}
        ours, theirs = offers[str(US)], offers[str(THEM)]
        assert (ours.yiaddr, ours.siaddr, ours.file) == (bytes(4), US.packed, b"snponly.efi")
        assert (ours.options[60], ours.options[43]) == (b"PXEClient", b"\6\1\x08\xff")
        assert theirs.file == b""
        client.ask(3, {**EFI, 50: theirs.yiaddr, 54: THEM.packed})
        ack, sender = client.hear()
        assert (sender[0], ack.options[53], ack.yiaddr) == (str(THEM), b"\5", theirs.yiaddr)
        ip("-n", hosts["client"], "addr", "add", f"{IPv4Address(ack.yiaddr)}/24", "dev", DEVICE)
        client.ask(3, EFI, to=str(US), port=BOOT_SERVER_PORT)
        answered, sender = client.hear()
        assert sender == (str(US), BOOT_SERVER_PORT), "from the address and port that were asked"
        assert (answered.options[53], answered.file, answered.siaddr) == (b"\5", b"snponly.efi", US.packed)
    assert running.event(ProxyKind.OFFER).filename == "snponly.efi"
    assert running.event(ProxyKind.ACK).mac == Mac("52:54:00:aa:00:01")


def test_ipxe_is_offered_its_script(hosts: dict[str, str], running: Running) -> None:
    with firmware(hosts["client"], "52:54:00:aa:00:02") as client:
        client.ask(1, {**EFI, 77: b"iPXE", 175: b"\x13\1\1"})
        ours = client.offers(2)[str(US)]
        assert ours.options[67].startswith(b"http://10.20.0.1/boot.ipxe?mac=52-54-00-aa-00-02")
    assert running.event(ProxyKind.OFFER).filename.startswith("http://10.20.0.1/")


@pytest.mark.skipif(shutil.which("busybox") is None, reason="busybox is not installed")
def test_ordinary_client_hears_nothing_of_us(hosts: dict[str, str], running: Running) -> None:
    assert "lease of 10.20.0." in udhcpc(hosts["client"], "-B")
    assert running.event(ProxyKind.IGNORED).reason == "not a PXE client"
    with firmware(hosts["client"], "52:54:00:aa:00:03") as client:
        client.ask(1, {60: b"udhcp"})
        assert client.hear()[1][0] == str(THEM)
        # If ours were to come, it would be before the answer to the next question.
        client.ask(1, EFI)
        assert set(client.offers(2)) == {str(US), str(THEM)}


def test_our_offer_is_what_scapy_calls_an_offer(hosts: dict[str, str], running: Running) -> None:
    with inside(hosts["client"]):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    with wire, firmware(hosts["client"], "52:54:00:aa:00:04") as client:
        wire.bind((DEVICE, 0x0800))
        wire.settimeout(DEADLINE)
        client.ask(1, EFI)
        while True:
            frame = Ether(wire.recv(2000))
            if DHCP in frame and frame["IP"].src == str(US):
                break
        options: dict[str, object] = dict(option[:2] for option in frame[DHCP].options if isinstance(option, tuple))
        assert (frame.dst, frame["IP"].dst, frame["UDP"].sport) == ("ff:ff:ff:ff:ff:ff", "255.255.255.255", 67)
        assert (options["message-type"], options["vendor_class_id"]) == (2, b"PXEClient")
        assert frame["BOOTP"].yiaddr == "0.0.0.0"


def test_firmware_that_takes_the_lease_and_never_asks_us_is_named(hosts: dict[str, str], running: Running) -> None:
    with firmware(hosts["client"], "52:54:00:aa:00:05") as client:
        client.ask(1, EFI)
        theirs = client.offers(2)[str(THEM)]
        client.ask(3, {**EFI, 50: theirs.yiaddr, 54: THEM.packed})
        client.hear()
    while running.event(ProxyKind.IGNORED).mac != Mac("52:54:00:aa:00:05"):
        pass
    running.clock.ahead += 31
    complaint = running.complaint()
    assert (complaint.mac, complaint.why) == (Mac("52:54:00:aa:00:05"), Why.NOT_FOLLOWED)
    assert 'option 67 "snponly.efi"' in complaint.advice


def test_machine_that_fetches_its_file_is_not_named(hosts: dict[str, str], running: Running) -> None:
    for mac in ("52:54:00:aa:00:06", "52:54:00:aa:00:07"):
        with firmware(hosts["client"], mac) as client:
            client.ask(1, EFI)
            theirs = client.offers(2)[str(THEM)]
            client.ask(3, {**EFI, 50: theirs.yiaddr, 54: THEM.packed})
            client.hear()
        while running.event(ProxyKind.IGNORED).mac != Mac(mac):
            pass
        if mac.endswith("06"):
            running.server.fetched(IPv4Address(theirs.yiaddr))
    running.clock.ahead += 31
    assert running.complaint().mac == Mac("52:54:00:aa:00:07")


def test_repeated_discovers_are_named(hosts: dict[str, str], running: Running) -> None:
    with firmware(hosts["client"], "52:54:00:aa:00:08") as client:
        for pause in (4, 8, 16, 0):
            client.ask(1, EFI)
            client.offers(2)
            running.event(ProxyKind.OFFER)
            running.clock.ahead += pause
    complaint = running.complaint()
    assert (complaint.mac, complaint.why) == (Mac("52:54:00:aa:00:08"), Why.NO_REQUEST)


def test_hostile_bytes_do_not_end_the_service(hosts: dict[str, str], running: Running) -> None:
    with firmware(hosts["client"], "52:54:00:aa:00:09") as client:
        for data in (b"", b"x", bytes(240), bytes(1400), pack(DhcpPacket(1, 1, b"", options={53: b"\1"}))):
            client.socket.sendto(data, ("255.255.255.255", 67))
        client.ask(1, EFI)
        assert str(US) in client.offers(2)


def test_storm_of_one_machine_is_limited(hosts: dict[str, str], running: Running) -> None:
    with firmware(hosts["client"], "52:54:00:aa:00:0a") as client:
        for _ in range(100):
            client.ask(1, EFI)
    running.clock.ahead += 1
    seen = list[ProxyObserved]()
    while not isinstance(alarm := running.events.get(timeout=DEADLINE), FloodAlarm):
        seen.append(alarm)
    assert 32 <= len(seen) <= 40, "one event for each packet that passed, and one alarm for all others"
    assert (alarm.sender, alarm.refused) == ("52:54:00:aa:00:0a", 1)
    assert "one machine" in alarm.sentence


def test_boot_server_port_alone(hosts: dict[str, str]) -> None:
    """As a full DHCP server uses it."""
    with inside(hosts["ours"]):
        boot_of = boot_by(lambda client: answer(client, ENDPOINTS))
        port = BootServerPort(device=DEVICE, server=US, boot_of=boot_of, clock=RealClock(), flood=FloodGuard(Limits()))
        with pytest.raises(ServiceError) as caught:
            BootServerPort(device=DEVICE, server=US, boot_of=boot_of, clock=RealClock(), flood=FloodGuard(Limits()))
        assert "4011" in str(caught.value)
    with firmware(hosts["client"], "52:54:00:aa:00:0b") as client:
        ip("-n", hosts["client"], "addr", "add", "10.20.0.50/24", "dev", DEVICE)
        client.ask(3, EFI, to=str(US), port=BOOT_SERVER_PORT)
        end = time.monotonic() + DEADLINE
        while not (events := port.serve()):
            assert time.monotonic() < end
        assert client.hear()[0].file == b"snponly.efi"
    assert [event.kind for event in events] == [ProxyKind.ACK]
    port.close()
