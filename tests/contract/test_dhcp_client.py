"""The real DHCP server on a veth pair, against clients that we did not write.

busybox udhcpc, dhclient, dhcpcd and perfdhcp get addresses; scapy plays firmware and sends what is malformed; dhcrelay
stands between.
"""

import ctypes
import json
import os
import queue
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from pxe.boot import Endpoints
from pxe.client import Arch, Mac, Stage
from pxe.dhcp.address import packed
from pxe.dhcp.alarm import Level, PoolAlarm
from pxe.dhcp.event import DhcpEvent
from pxe.dhcp.exchange import Kind
from pxe.dhcp.journal import Journal, Recovery, open_journal, recover
from pxe.dhcp.leases import Lease, LeaseState
from pxe.dhcp.packet import DhcpPacket, MessageType, pack, parse
from pxe.dhcp.server import DhcpServer, Observed
from pxe.dhcp.subnet import DhcpConfig, Subnet
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
CONFIG = DhcpConfig(local=(SUBNET,))
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
    events: "queue.Queue[Observed]"

    def event(self, kind: Kind) -> DhcpEvent:
        while True:
            event = self.events.get(timeout=DEADLINE)
            if isinstance(event, DhcpEvent) and event.kind is kind:
                return event


@contextmanager
def serving(
    wire: Wire,
    path: Path,
    *,
    opener: Open = open_journal,
    observe: Callable[[Observed], None] | None = None,
    device: str = "srv",
    config: DhcpConfig = CONFIG,
) -> Iterator[Running]:
    events: queue.Queue[Observed] = queue.Queue()
    server = DhcpServer(
        device=device,
        config=config,
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
    return DhcpPacket(op=1, xid=xid, chaddr=chaddr, giaddr=packed(RELAY), options=options)


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


@pytest.mark.skipif(shutil.which("busybox") is None, reason="busybox is not installed")
def test_a_lease_that_is_forgotten_is_so_on_disk(wire: Wire, tmp_path: Path) -> None:
    with serving(wire, tmp_path / "leases") as running:
        assert udhcpc(wire, tmp_path)["ip"] == "10.20.0.10"
        (lease,) = running.server.leases()
        running.server.forget(lease.mac)
        assert [one.state for one in running.server.leases()] == [LeaseState.RELEASED]
        running.server.forget(lease.mac)
    found = recover((tmp_path / "leases").read_bytes(), "leases").leases
    assert [(one.address, one.state) for one in found] == [(lease.address, LeaseState.RELEASED)]
    with pytest.raises(ServiceError, match="does not run"):
        running.server.forget(lease.mac)


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
        assert [lease.address for lease in running.server.leases()] == [packed(IPv4Address("10.20.0.42"))]
        ask(client, relayed(MessageType.DISCOVER, 1, 2))
        assert hear(client).yiaddr == packed(IPv4Address("10.20.0.42"))
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

    def observe(event: Observed) -> None:
        assert isinstance(event, DhcpEvent)
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
    assert len(path.read_bytes().rstrip(b"\0").splitlines()) < 10
    assert recover(path.read_bytes(), "leases").leases == leases


def test_hostile_bytes_and_a_broken_observer_do_not_end_the_service(wire: Wire, tmp_path: Path) -> None:
    seen: list[Observed] = []

    def observe(event: Observed) -> None:
        seen.append(event)
        raise RuntimeError("observer is broken")

    with serving(wire, tmp_path / "leases", observe=observe), relay(wire) as client:
        for data in (b"", b"x", bytes(240), bytes(9000), pack(relayed(MessageType.DISCOVER, 1, 1))[:242]):
            client.sendto(data, (str(SERVER), 67))
        for xid in (1, 2):
            ask(client, relayed(MessageType.DISCOVER, 1, xid))
            assert hear(client).xid == xid
    assert [event.kind for event in seen if isinstance(event, DhcpEvent)] == [Kind.OFFER, Kind.OFFER]


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
    assert "absent" in str(caught.value)
    (tmp_path / "foreign").write_text("hello")
    with pytest.raises(ServiceError), serving(wire, tmp_path / "foreign"):
        pass
    with serving(wire, tmp_path / "leases"):
        pass


def installed(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@contextmanager
def process(namespace: str, *argv: str) -> Iterator["subprocess.Popen[str]"]:
    started = subprocess.Popen(
        ["ip", "netns", "exec", namespace, *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield started
    finally:
        started.terminate()
        started.communicate(timeout=DEADLINE)


@installed("dhclient")
def test_dhclient_gets_an_address(wire: Wire, tmp_path: Path) -> None:
    files = ["-sf", "/bin/true", "-cf", "/dev/null", "-lf", str(tmp_path / "l"), "-pf", str(tmp_path / "p")]
    with serving(wire, tmp_path / "leases") as running:
        with process(wire.far, "dhclient", "-4", "-d", "-1", *files, "cli") as client:
            assert client.stdout is not None
            assert any(line.startswith("bound to 10.20.0.10") for line in iter(client.stdout.readline, ""))
            assert running.event(Kind.ACK).address == IPv4Address("10.20.0.10")
        assert "fixed-address 10.20.0.10;" in (tmp_path / "l").read_text()


@installed("dhcpcd")
def test_dhcpcd_gets_an_address_with_its_duid(wire: Wire, tmp_path: Path) -> None:
    # `ip netns exec` has a mount namespace of its own: the DUID and the lease stay inside.
    private = "mount -t tmpfs tmpfs /var/lib/dhcpcd && mkdir -p /run/dhcpcd && mount -t tmpfs tmpfs /run/dhcpcd"
    flags = "-4 -B -1 -A -t 10 --noipv4ll -c /bin/true -f /dev/null"
    with serving(wire, tmp_path / "leases") as running:
        done = wire.run(["sh", "-c", f"{private} && exec dhcpcd {flags} cli"])
        assert "leased 10.20.0.10" in done.stderr, done.stderr
        assert running.event(Kind.ACK).address == IPv4Address("10.20.0.10")
    # It takes the kernel's own routes for its own.
    ip("-n", wire.far, "addr", "flush", "dev", "cli")
    ip("-n", wire.far, "addr", "add", f"{RELAY}/24", "dev", "cli")


@installed("perfdhcp")
def test_perfdhcp_loses_nothing_at_500_a_second(wire: Wire, tmp_path: Path) -> None:
    config = DhcpConfig(local=(replace(SUBNET, pool_last=IPv4Address("10.20.0.250")),))
    with serving(wire, tmp_path / "leases", config=config, observe=lambda _: None):
        done = wire.run(
            ["perfdhcp", "-4", "-l", "cli", "-r", "500", "-p", "2", "-R", "200", "-W", "2000000", str(SERVER)]
        )
    drops = re.findall(r"drops: (\d+)", done.stdout)
    received = re.findall(r"received packets: (\d+)", done.stdout)
    assert drops == ["0", "0"], done.stdout
    assert int(received[1]) > 500


@installed("dhcrelay")
@pytest.mark.skipif(shutil.which("busybox") is None, reason="busybox is not installed")
def test_client_behind_dhcrelay_gets_an_address_of_its_own_subnet(wire: Wire, tmp_path: Path) -> None:
    edge = Wire(near=wire.far, far=f"dhcp-edge-{os.getpid()}")
    network = IPv4Network("10.30.0.0/24")
    behind = Subnet(network=network, server=SERVER, pool_first=network[10], pool_last=network[99], router=network[1])
    ip("netns", "add", edge.far)
    try:
        ip("-n", edge.near, "link", "add", "edge", "type", "veth", "peer", "name", "cli", "netns", edge.far)
        ip("-n", edge.near, "addr", "add", "10.30.0.1/24", "dev", "edge")
        ip("-n", edge.near, "link", "set", "edge", "up")
        ip("-n", edge.far, "link", "set", "cli", "up")
        ip("-n", wire.near, "route", "replace", str(network), "via", str(RELAY))
        config = DhcpConfig(local=(SUBNET,), relayed=((behind,),))
        relaying = ["dhcrelay", "-4", "-d", "-a", "-pf", str(tmp_path / "pid"), "-iu", "cli", "-id", "edge"]
        with serving(wire, tmp_path / "leases", config=config) as running:
            with process(edge.near, *relaying, str(SERVER)) as relay_agent:
                assert relay_agent.stdout is not None
                assert any("fallback" in line for line in iter(relay_agent.stdout.readline, "")), "it listens"
                got = udhcpc(edge, tmp_path)
            assert (got["ip"], got["router"]) == ("10.30.0.10", "10.30.0.1")
            assert running.event(Kind.ACK).circuit_id == "edge"
    finally:
        ip("netns", "del", edge.far)
        subprocess.run(["ip", "-n", wire.near, "route", "del", str(network)], check=False, capture_output=True)
        subprocess.run(["ip", "-n", edge.near, "link", "del", "edge"], check=False, capture_output=True)


SCAPY_MALFORMED = """
import random, sys
from scapy.all import BOOTP, DHCP, IP, UDP, conf, fuzz, raw, send
conf.verb = 0
random.seed(7)
packets = []
for number in range(300):
    layer = fuzz(BOOTP(op=1, hlen=6, options=b"c\\x82Sc")) / fuzz(DHCP())
    data = bytearray(raw(layer)[:1400])
    for _ in range(number % 7):
        data[random.randrange(len(data))] = random.randrange(256)
    packets.append(IP(dst="10.20.0.1") / UDP(sport=67, dport=67) / bytes(data[: random.randrange(1, len(data))]))
send(packets)
"""


def test_malformed_packets_of_scapy_end_nothing(wire: Wire, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(wire, tmp_path / "leases") as running, relay(wire) as client:
        assert wire.run([sys.executable, "-c", SCAPY_MALFORMED]).returncode == 0
        ask(client, relayed(MessageType.REQUEST, 1, 77, "10.20.0.42"))
        while hear(client).xid != 77:
            continue
        assert running.event(Kind.ACK).mac == Mac("52:54:00:01:00:01")
    assert not [record for record in caplog.records if record.exc_info]


def test_reload_between_two_packets_drops_no_lease(wire: Wire, tmp_path: Path) -> None:
    path, moved = tmp_path / "leases", replace(SUBNET, pool_first=IPv4Address("10.20.0.50"))
    with serving(wire, path) as running, relay(wire) as client:
        ask(client, relayed(MessageType.REQUEST, 1, 1, "10.20.0.42"))
        assert hear(client).message_type is MessageType.ACK
        running.server.reconfigure(DhcpConfig(local=(moved,)))
        renewal = relayed(MessageType.REQUEST, 1, 2, "10.20.0.42")
        ask(client, renewal._replace(ciaddr=packed(IPv4Address("10.20.0.42")), options={53: b"\3"}))
        assert hear(client).message_type is MessageType.ACK
        ask(client, relayed(MessageType.DISCOVER, 2, 3))
        assert hear(client).yiaddr == packed(IPv4Address("10.20.0.50"))
        with pytest.raises(ServiceError):
            running.server.reconfigure(DhcpConfig(local=(replace(SUBNET, server=IPv4Address("10.20.0.3")),)))


def test_pool_that_fills_up_is_told_once(wire: Wire, tmp_path: Path) -> None:
    small = replace(SUBNET, pool_last=IPv4Address("10.20.0.19"))
    config = DhcpConfig(local=(small,), kept_percent=0)
    with serving(wire, tmp_path / "leases", config=config) as running, relay(wire) as client:
        for number in range(10):
            ask(client, relayed(MessageType.REQUEST, number, number, f"10.20.0.{10 + number}"))
            assert hear(client).xid == number
    told = [event for event in running.events.queue if isinstance(event, PoolAlarm)]
    assert [(alarm.level, alarm.used, alarm.size) for alarm in told] == [
        (Level.HIGH, 8, 10),
        (Level.FULL, 10, 10),
    ]


def test_what_the_disk_refused_is_written_with_the_next_group(wire: Wire, tmp_path: Path) -> None:
    path, journals = tmp_path / "leases", list[Recording]()

    def opener(where: Path) -> tuple[Journal, Recovery]:
        journal, recovery = open_journal(where)
        journals.append(Recording(journal, [], failures=1))
        return journals[0], recovery

    with serving(wire, path, opener=opener) as running, relay(wire) as client:
        ask(client, relayed(MessageType.REQUEST, 1, 1, "10.20.0.42"))
        assert journals[0].refused.wait(DEADLINE)
        ask(client, relayed(MessageType.REQUEST, 2, 2, "10.20.0.43"))
        assert hear(client).xid == 2
        leases = running.server.leases()
    assert len(leases) == 2
    assert recover(path.read_bytes(), "leases").leases == leases
