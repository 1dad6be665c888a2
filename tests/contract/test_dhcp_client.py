"""The real DHCP server on a veth pair, against clients that we did not write: busybox udhcpc and scapy."""

import ctypes
import json
import os
import queue
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from pxe.boot import Endpoints
from pxe.client import Arch, Mac, Stage
from pxe.dhcp.exchange import Kind
from pxe.dhcp.journal import Journal, Recovery, open_journal, recover
from pxe.dhcp.leases import Lease
from pxe.dhcp.packet import DhcpPacket, MessageType, pack, parse
from pxe.dhcp.server import DhcpEvent, DhcpServer
from pxe.dhcp.subnet import Subnet
from pxe.errors import ServiceError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

SERVER = IPv4Address("10.20.0.1")
RELAY = IPv4Address("10.20.0.2")
SUBNET = Subnet(
    network=IPv4Network("10.20.0.0/24"),
    server=SERVER,
    pool_first=IPv4Address("10.20.0.10"),
    pool_last=IPv4Address("10.20.0.99"),
    router=IPv4Address("10.20.0.254"),
    dns_servers=(SERVER,),
    domain="rack.example",
    lease_seconds=600,
)
CLONE_NEWNET = 0x40000000
DEADLINE = 10


class RealClock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Sockets opened by this thread meanwhile belong to the namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as home, Path(f"/run/netns/{namespace}").open() as target:
        assert libc.setns(target.fileno(), CLONE_NEWNET) == 0
        try:
            yield
        finally:
            assert libc.setns(home.fileno(), CLONE_NEWNET) == 0


@dataclass(frozen=True)
class Wire:
    """`near` holds the server's end, device srv; `far` the clients', device cli."""

    near: str
    far: str

    def run(self, argv: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ip", "netns", "exec", self.far, *argv],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, **environment},
        )


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    wire = Wire(near=f"dhcp-near-{os.getpid()}", far=f"dhcp-far-{os.getpid()}")
    ip("netns", "add", wire.near)
    ip("netns", "add", wire.far)
    try:
        ip("-n", wire.near, "link", "add", "srv", "type", "veth", "peer", "name", "cli", "netns", wire.far)
        ip("-n", wire.near, "addr", "add", f"{SERVER}/24", "dev", "srv")
        ip("-n", wire.far, "addr", "add", f"{RELAY}/24", "dev", "cli")
        ip("-n", wire.near, "link", "set", "srv", "up")
        ip("-n", wire.far, "link", "set", "cli", "up")
        yield wire
    finally:
        ip("netns", "del", wire.near)
        ip("netns", "del", wire.far)


Open = Callable[[Path], tuple[Journal, Recovery]]


@dataclass
class Running:
    server: DhcpServer
    events: "queue.Queue[DhcpEvent]"

    def event(self, kind: Kind) -> DhcpEvent:
        while True:
            event = self.events.get(timeout=DEADLINE)
            if event.kind is kind:
                return event


@contextmanager
def serving(
    wire: Wire,
    path: Path,
    *,
    opener: Open = open_journal,
    observe: Callable[[DhcpEvent], None] | None = None,
    device: str = "srv",
) -> Iterator[Running]:
    events: queue.Queue[DhcpEvent] = queue.Queue()
    server = DhcpServer(
        device=device,
        subnet=SUBNET,
        endpoints=Endpoints(address=SERVER),
        journal=path,
        clock=RealClock(),
        observe=observe or events.put,
        open_journal=opener,
    )
    with inside(wire.near):
        server.start()
    try:
        yield Running(server=server, events=events)
    finally:
        server.stop()


@contextmanager
def relay(wire: Wire) -> Iterator[socket.socket]:
    with inside(wire.far):
        endpoint = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with endpoint:
        endpoint.bind((str(RELAY), 67))
        endpoint.settimeout(DEADLINE)
        yield endpoint


def ask(endpoint: socket.socket, packet: DhcpPacket) -> None:
    endpoint.sendto(pack(packet), (str(SERVER), 67))


def hear(endpoint: socket.socket) -> DhcpPacket:
    return parse(endpoint.recv(2000))


def relayed(kind: MessageType, number: int, xid: int, address: str = "") -> DhcpPacket:
    options = {53: bytes((kind,))}
    if kind is MessageType.REQUEST:
        options |= {54: SERVER.packed, 50: IPv4Address(address).packed}
    chaddr = bytes.fromhex("5254000100") + bytes((number,))
    return DhcpPacket(op=1, xid=xid, chaddr=chaddr, giaddr=RELAY, options=options)


UDHCPC_SCRIPT = """#!/bin/sh
case "$1" in
    bound) ip addr add "$ip/32" dev cli; env > "$OUTPUT" ;;
    deconfig) [ -z "$ip" ] || ip addr del "$ip/32" dev cli ;;
esac
exit 0
"""


def udhcpc(wire: Wire, tmp_path: Path, *flags: str) -> dict[str, str]:
    script, output = tmp_path / "script", tmp_path / "bound"
    script.write_text(UDHCPC_SCRIPT)
    script.chmod(0o755)
    output.unlink(missing_ok=True)
    argv = ["busybox", "udhcpc", "-i", "cli", "-f", "-n", "-q", "-t", "5", "-T", "2", "-s", str(script), *flags]
    done = wire.run(argv, OUTPUT=str(output))
    assert done.returncode == 0, done.stderr
    # So that it leaves no address behind for the next test.
    wire.run(["ip", "addr", "flush", "dev", "cli", "to", "10.20.0.10/32"])
    return dict(line.split("=", 1) for line in output.read_text().splitlines() if "=" in line)


@pytest.mark.skipif(shutil.which("busybox") is None, reason="busybox is not installed")
@pytest.mark.parametrize("flags", [(), ("-B",)], ids=["unicast", "broadcast"])
def test_udhcpc_is_configured(wire: Wire, tmp_path: Path, flags: tuple[str, ...]) -> None:
    with serving(wire, tmp_path / "leases") as running:
        got = udhcpc(wire, tmp_path, *flags, "-O", "domain", "-x", "hostname:web_1.example")
        assert {name: got.get(name) for name in ("ip", "subnet", "router", "dns", "domain", "lease", "serverid")} == {
            "ip": "10.20.0.10",
            "subnet": "255.255.255.0",
            "router": "10.20.0.254",
            "dns": "10.20.0.1",
            "domain": "rack.example",
            "lease": "600",
            "serverid": "10.20.0.1",
        }
        event = running.event(Kind.ACK)
        assert (event.address, event.stage) == (IPv4Address("10.20.0.10"), Stage.SYSTEM)
        assert [lease.hostname for lease in running.server.leases()] == ["web-1"]


@pytest.mark.skipif(shutil.which("busybox") is None, reason="busybox is not installed")
def test_udhcpc_releases(wire: Wire, tmp_path: Path) -> None:
    script, output = tmp_path / "script", tmp_path / "bound"
    script.write_text(UDHCPC_SCRIPT)
    script.chmod(0o755)
    os.mkfifo(output)
    argv = ["ip", "netns", "exec", wire.far, "busybox", "udhcpc", "-i", "cli", "-f", "-R", "-s", str(script)]
    with serving(wire, tmp_path / "leases") as running:
        with subprocess.Popen(argv, env={**os.environ, "OUTPUT": str(output)}, stderr=subprocess.DEVNULL) as client:
            assert "ip=10.20.0.10" in output.read_text().splitlines()
            client.terminate()
        assert running.event(Kind.RELEASE).address == IPv4Address("10.20.0.10")
    wire.run(["ip", "addr", "flush", "dev", "cli", "to", "10.20.0.10/32"])


SCAPY_DORA = """
import json, sys
from scapy.all import AsyncSniffer, BOOTP, DHCP, Ether, IP, UDP, conf, sendp
conf.verb, conf.checkIPaddr = 0, False
mac, xid, extra = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
raw = bytes.fromhex(mac.replace(":", ""))
extra = [(int(code), bytes.fromhex(value)) for code, value in extra.items()]

def talk(options):
    packet = (Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / IP(src="0.0.0.0", dst="255.255.255.255")
              / UDP(sport=68, dport=67) / BOOTP(chaddr=raw, xid=xid) / DHCP(options=options + extra + ["end"]))
    ours = lambda p: BOOTP in p and p[BOOTP].op == 2 and p[BOOTP].xid == xid
    sniffer = AsyncSniffer(iface="cli", lfilter=ours, count=1,
                           started_callback=lambda: sendp(packet, iface="cli"))
    sniffer.start()
    sniffer.join(timeout=10)
    return sniffer.results[0]

offer = talk([("message-type", "discover")])
ack = talk([("message-type", "request"), ("requested_addr", offer[BOOTP].yiaddr), ("server_id", "10.20.0.1")])
print(json.dumps({
    "kinds": [dict(o[:2] for o in p[DHCP].options if isinstance(o, tuple))["message-type"] for p in (offer, ack)],
    "yiaddr": ack[BOOTP].yiaddr, "siaddr": ack[BOOTP].siaddr, "file": ack[BOOTP].file.rstrip(b"\\0").decode(),
    "to_mac": ack[Ether].dst, "to_ip": ack[IP].dst, "from_ip": ack[IP].src, "port": ack[UDP].dport,
}))
"""


def scapy_dora(wire: Wire, mac: str, xid: int, options: dict[int, str]) -> dict[str, object]:
    done = wire.run([sys.executable, "-c", SCAPY_DORA, mac, str(xid), json.dumps(options)])
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert isinstance(result, dict)
    return result


UEFI_PXE = {60: b"PXEClient:Arch:00007:UNDI:003000".hex(), 93: "0007", 97: "00" + bytes(range(16)).hex()}


def test_scapy_as_uefi_firmware(wire: Wire, tmp_path: Path) -> None:
    with serving(wire, tmp_path / "leases") as running:
        got = scapy_dora(wire, "52:54:00:aa:bb:01", 77, UEFI_PXE)
        assert got == {
            "kinds": [2, 5],
            "yiaddr": "10.20.0.10",
            "siaddr": "10.20.0.1",
            "file": "snponly.efi",
            # The client does not answer ARP yet: the frame is addressed to it all the same.
            "to_mac": "52:54:00:aa:bb:01",
            "to_ip": "10.20.0.10",
            "from_ip": "10.20.0.1",
            "port": 68,
        }
        event = running.event(Kind.OFFER)
        assert (event.mac, event.stage, event.arch) == (Mac("52:54:00:aa:bb:01"), Stage.FIRMWARE, Arch.EFI_BC)
        assert event.filename == "snponly.efi"
        assert event.uuid is not None


def test_lease_survives_a_restart(wire: Wire, tmp_path: Path) -> None:
    path = tmp_path / "leases"
    with serving(wire, path), relay(wire) as client:
        ask(client, relayed(MessageType.REQUEST, 1, 1, "10.20.0.42"))
        assert hear(client).message_type is MessageType.ACK
    with serving(wire, path) as running, relay(wire) as client:
        assert [lease.address for lease in running.server.leases()] == [IPv4Address("10.20.0.42")]
        ask(client, relayed(MessageType.DISCOVER, 1, 2))
        assert hear(client).yiaddr == IPv4Address("10.20.0.42")
        ask(client, relayed(MessageType.REQUEST, 2, 3, "10.20.0.42"))
        assert hear(client).message_type is MessageType.NAK


class Recording:
    """A journal that notes each commit and refuses the first `failures` of them."""

    def __init__(self, real: Journal, order: list[str], failures: int) -> None:
        self.real = real
        self.order = order
        self.failures = failures
        self.refused = threading.Event()

    @property
    def lines(self) -> int:
        return self.real.lines

    def append(self, leases: Sequence[Lease]) -> None:
        if self.failures:
            self.failures -= 1
            self.order.append("refused")
            self.refused.set()
            raise ServiceError("disk full")
        self.real.append(leases)
        self.order.append("committed")

    def rewrite(self, leases: Iterable[Lease]) -> None:
        self.real.rewrite(leases)

    def close(self) -> None:
        self.real.close()


def test_ack_leaves_only_after_its_lease_is_on_disk(wire: Wire, tmp_path: Path) -> None:
    path, order, journals = tmp_path / "leases", list[str](), list[Recording]()

    def opener(where: Path) -> tuple[Journal, Recovery]:
        journal, recovery = open_journal(where)
        journals.append(Recording(journal, order, failures=1))
        return journals[0], recovery

    def observe(event: DhcpEvent) -> None:
        order.append(event.kind.value)

    with serving(wire, path, opener=opener, observe=observe), relay(wire) as client:
        ask(client, relayed(MessageType.REQUEST, 1, 1, "10.20.0.42"))
        # A second packet in the same group would be refused with it: wait until the first has been.
        assert journals[0].refused.wait(DEADLINE)
        ask(client, relayed(MessageType.REQUEST, 1, 2, "10.20.0.42"))
        got = hear(client)
        assert (got.message_type, got.xid) == (MessageType.ACK, 2)
        assert b"10.20.0.42" in path.read_bytes()
    assert order == ["refused", "committed", "ack"]


def test_one_flush_for_all_that_wait(wire: Wire, tmp_path: Path) -> None:
    order: list[str] = []

    def opener(where: Path) -> tuple[Journal, Recovery]:
        journal, recovery = open_journal(where)
        # The packets are sent between opening the socket and starting the thread: they all wait in the socket.
        for number in range(50):
            ask(client, relayed(MessageType.REQUEST, number, number, f"10.20.0.{10 + number}"))
        return Recording(journal, order, failures=0), recovery

    with relay(wire) as client, serving(wire, tmp_path / "leases", opener=opener):
        got = [hear(client) for _ in range(50)]
    assert [packet.xid for packet in got] == list(range(50))
    assert {packet.message_type for packet in got} == {MessageType.ACK}
    assert order == ["committed"]


def test_journal_of_many_renewals_is_compacted(wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pxe.dhcp.server._REWRITE_AFTER_LINES", 5)
    path = tmp_path / "leases"
    with serving(wire, path) as running, relay(wire) as client:
        for xid in range(20):
            ask(client, relayed(MessageType.REQUEST, 1, xid, "10.20.0.42"))
            assert hear(client).xid == xid
        leases = running.server.leases()
    assert len(path.read_bytes().splitlines()) < 10
    assert recover(path.read_bytes(), "leases").leases == leases


def test_hostile_bytes_and_a_broken_observer_do_not_end_the_service(wire: Wire, tmp_path: Path) -> None:
    seen: list[DhcpEvent] = []

    def observe(event: DhcpEvent) -> None:
        seen.append(event)
        raise RuntimeError("observer is broken")

    with serving(wire, tmp_path / "leases", observe=observe), relay(wire) as client:
        for data in (b"", b"x", bytes(240), bytes(9000), pack(relayed(MessageType.DISCOVER, 1, 1))[:242]):
            client.sendto(data, (str(SERVER), 67))
        for xid in (1, 2):
            ask(client, relayed(MessageType.DISCOVER, 1, xid))
            assert hear(client).xid == xid
    assert [event.kind for event in seen] == [Kind.OFFER, Kind.OFFER]


def test_second_server_on_the_device_is_refused_and_stop_frees_it(wire: Wire, tmp_path: Path) -> None:
    with serving(wire, tmp_path / "one") as first:
        with pytest.raises(ServiceError), serving(wire, tmp_path / "two"):
            pass
        before = time.monotonic()
        first.server.stop()
        assert time.monotonic() - before < 2
        first.server.stop()
    with serving(wire, tmp_path / "two"):
        pass


def test_unknown_device_and_foreign_journal_are_service_errors(wire: Wire, tmp_path: Path) -> None:
    with pytest.raises(ServiceError) as caught, serving(wire, tmp_path / "leases", device="absent"):
        pass
    assert "absent" in caught.value.evidence
    (tmp_path / "foreign").write_text("hello")
    with pytest.raises(ServiceError), serving(wire, tmp_path / "foreign"):
        pass
    with serving(wire, tmp_path / "leases"):
        pass
