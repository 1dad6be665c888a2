"""The four services together, each test in a network namespace of its own."""

import ctypes
import http.client
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
import tftpy
from dnslib import DNSRecord

from pxe.boot import BootIntent, Endpoints, Mode, RunKernel
from pxe.client import Client, Mac
from pxe.content import BytesContent, ContentTable
from pxe.dhcp.event import DhcpEvent
from pxe.dhcp.subnet import DhcpConfig, Subnet
from pxe.dns.packet import Address
from pxe.dns.responder import Zone
from pxe.errors import ConfigError, ServiceError
from pxe.http.responder import HttpReply, HttpRequest
from pxe.http.server import HttpEvent
from pxe.routes import ScriptEvent
from pxe.service import BootServices, PxeEvent, ServiceConfig
from pxe.tftp.server import TftpEvent

SERVER = IPv4Address("10.9.0.1")
MACHINE = IPv4Address("10.9.0.50")
DEADLINE = 10.0

_CLONE_NEWNET = 0x40000000

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class Policy:
    def intent_for(self, client: Client) -> BootIntent:
        return RunKernel(kernel="/artifact/kernel", initrd="/artifact/initrd", arguments=(f"mac={client.mac}",))


class Application:
    def handle(self, request: HttpRequest) -> HttpReply:
        return HttpReply(status=201, body=request.body[::-1])


class Events:
    def __init__(self) -> None:
        self.seen: list[PxeEvent] = []
        self._changed = threading.Condition()

    def observe(self, event: PxeEvent) -> None:
        with self._changed:
            self.seen.append(event)
            self._changed.notify_all()

    def await_kinds(self, *kinds: type[PxeEvent]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: set(kinds) <= set(map(type, self.seen)), DEADLINE), self.seen

    def await_response(self, path: str) -> None:
        def ended() -> bool:
            return any(isinstance(event, HttpEvent) and event.path == path for event in self.seen)

        with self._changed:
            assert self._changed.wait_for(ended, DEADLINE), self.seen


def in_namespace(act: Callable[[], None]) -> None:
    """Threads and processes that `act` starts are in the namespace too; it ends with the last of them."""
    trouble: list[BaseException] = []

    def run() -> None:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.unshare(_CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            for command in ("link set lo up", f"address add {SERVER}/24 dev lo", f"address add {MACHINE}/24 dev lo"):
                subprocess.run(["ip", *command.split()], check=True, timeout=10)
            act()
        except BaseException as error:
            trouble.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if trouble:
        raise trouble[0]


def config(journal: Path) -> ServiceConfig:
    return ServiceConfig(
        device="lo",
        dhcp=DhcpConfig(
            local=(
                Subnet(
                    network=IPv4Network("10.9.0.0/24"),
                    server=SERVER,
                    pool_first=IPv4Address("10.9.0.100"),
                    pool_last=IPv4Address("10.9.0.200"),
                ),
            )
        ),
        endpoints=Endpoints(address=SERVER),
        journal=journal,
        zone=Zone(domain="rack.test", server=SERVER, hosts={"node-1": MACHINE}),
        programs=ContentTable({"snponly.efi": BytesContent(data=b"program" * 1000)}),
    )


def services(tmp_path: Path, events: Events) -> BootServices:
    return BootServices(
        config=config(tmp_path / "leases"),
        policy=Policy(),
        artifacts=ContentTable({"kernel": BytesContent(data=b"kernel-1")}),
        application=Application(),
        observe=events.observe,
        clock=SystemClock(),
    )


def fetch(path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(str(SERVER), timeout=DEADLINE, source_address=(str(MACHINE), 0))
    connection.request(method, path, body)
    response = connection.getresponse()
    found = response.status, response.read()
    connection.close()
    return found


def resolve(name: str) -> list[str]:
    return [str(rr.rdata) for rr in DNSRecord.parse(DNSRecord.question(name).send(str(SERVER), timeout=DEADLINE)).rr]


def inform(mac: Mac) -> bytes:
    """A firmware's DHCPINFORM: the server answers to the address that the machine has already."""
    head = b"\1\1\6\0" + b"\x12\x34\x56\x78" + bytes(4) + MACHINE.packed + bytes(12) + bytes(mac).ljust(16, b"\0")
    options = b"\x35\1\x08" + b"\x3c\x09PXEClient" + b"\x5d\2\0\7" + b"\xff"
    return head + bytes(192) + b"\x63\x82\x53\x63" + options


def ask_dhcp(mac: Mac) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(DEADLINE)
        client.bind((str(MACHINE), 68))
        client.sendto(inform(mac), (str(SERVER), 67))
        return client.recv(4096)


def test_a_machine_boots(tmp_path: Path) -> None:
    events = Events()

    def act() -> None:
        running = services(tmp_path, events)
        running.start()
        try:
            assert b"snponly.efi" in ask_dhcp(Mac("52:54:00:00:00:01"))
            tftp = tftpy.TftpClient(str(SERVER), 69, {"blksize": 1428})
            for name in ("snponly.efi", "autoexec.ipxe"):
                tftp.download(name, str(tmp_path / name), timeout=5)
            assert (tmp_path / "snponly.efi").read_bytes() == b"program" * 1000
            assert f"http://{SERVER}/boot.ipxe?mac=" in (tmp_path / "autoexec.ipxe").read_text()
            status, script = fetch("/boot.ipxe?mac=52-54-00-00-00-01&uuid=")
            assert (status, script[:6]) == (200, b"#!ipxe")
            assert b"mac=52:54:00:00:00:01" in script
            assert fetch("/artifact/kernel") == (200, b"kernel-1")
            assert fetch("/nbp/snponly.efi")[0] == 200
            assert fetch("/agent/hello", "POST", b"abc") == (201, b"cba")
            assert resolve("node-1.rack.test") == [str(MACHINE)]
            events.await_response("/agent/hello")
            assert running.sent_bytes(MACHINE) == len(script) + 8 + 7000 + 3
            assert running.sent_in_all() == running.sent_bytes(MACHINE)
            events.await_kinds(DhcpEvent, TftpEvent, HttpEvent, ScriptEvent)
        finally:
            running.stop()

    in_namespace(act)


def test_swaps(tmp_path: Path) -> None:
    def act() -> None:
        running = services(tmp_path, Events())
        running.start()
        try:
            assert resolve("node-2.rack.test") == []
            running.set_zone(Zone(domain="rack.test", server=SERVER, hosts={"node-2": MACHINE}))
            assert resolve("node-2.rack.test") == [str(MACHINE)]
            assert resolve("node-1.rack.test") == []
            running.set_names((Address(name="*.apps.prod.rack.test", address=SERVER),))
            running.set_zone(Zone(domain="rack.test", server=SERVER))
            assert resolve("node-2.rack.test") == []
            assert resolve("any.apps.prod.rack.test") == [str(SERVER)], "names stay, whatever zone is set"
            running.set_artifacts(ContentTable({"kernel": BytesContent(data=b"kernel-2")}))
            assert fetch("/artifact/kernel") == (200, b"kernel-2")
        finally:
            running.stop()

    in_namespace(act)


@pytest.mark.parametrize(
    ("kind", "port"),
    [(socket.SOCK_STREAM, 80), (socket.SOCK_DGRAM, 69), (socket.SOCK_DGRAM, 53), (socket.SOCK_DGRAM, 67)],
)
def test_start_is_all_or_nothing(tmp_path: Path, kind: socket.SocketKind, port: int) -> None:
    def act() -> None:
        running = services(tmp_path, Events())
        with socket.socket(socket.AF_INET, kind) as other:
            other.bind(("0.0.0.0", port))
            if kind is socket.SOCK_STREAM:
                other.listen()
            with pytest.raises(ServiceError) as caught:
                running.start()
        assert caught.value.next_action
        if port != 67:
            assert f"port {port} " in str(caught.value)
        again = services(tmp_path, Events())
        again.start()
        again.stop()

    in_namespace(act)


def test_config_without_programs_is_refused(tmp_path: Path) -> None:
    good = config(tmp_path / "leases")
    with pytest.raises(ConfigError, match="no network boot program"):
        ServiceConfig(
            device=good.device,
            dhcp=good.dhcp,
            endpoints=good.endpoints,
            journal=good.journal,
            zone=good.zone,
            programs=ContentTable(),
        )


def test_full_mode_without_subnets_or_a_journal_is_refused(tmp_path: Path) -> None:
    good = config(tmp_path / "leases")
    with pytest.raises(ConfigError, match="without subnets or a journal"):
        replace(good, dhcp=None)
    with pytest.raises(ConfigError, match="without subnets or a journal"):
        replace(good, journal=None)
    assert replace(good, mode=Mode.PROXY, dhcp=None, journal=None).dhcp is None


def test_config_with_a_server_out_of_reach_is_refused(tmp_path: Path) -> None:
    good = config(tmp_path / "leases")
    with pytest.raises(ConfigError, match="could not reach"):
        ServiceConfig(
            device=good.device,
            dhcp=good.dhcp,
            endpoints=Endpoints(address=IPv4Address("192.168.1.1")),
            journal=good.journal,
            zone=good.zone,
            programs=good.programs,
        )
