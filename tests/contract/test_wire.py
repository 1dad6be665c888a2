"""Servers behind a cable that loses 5 %, doubles 2 % and reorders 5 % of the frames, both ways."""

import hashlib
import os
import random
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from appliance.lab.wire import Direction, Impairment
from pxe.boot import Endpoints
from pxe.content import BytesContent, ContentTable
from pxe.dhcp.packet import DhcpPacket, MessageType
from pxe.dhcp.packet import pack as pack_dhcp
from pxe.dhcp.packet import parse as parse_dhcp
from pxe.dhcp.server import DhcpServer
from pxe.dhcp.subnet import DhcpConfig, Subnet
from pxe.tftp.packet import Ack, Data, OptionAck, Packet, ReadRequest, pack, parse
from pxe.tftp.responder import MAX_RETRIES, Outcome
from pxe.tftp.server import Caps, SameForAll, TftpEvent, TftpServer

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

SERVER = IPv4Address("10.99.0.1")
BAD = Impairment(loss=0.05, duplication=0.02, reordering=0.05)
CONTENT = random.Random(1).randbytes(100_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
BLOCK = 1428
PER_WINDOW = 16
SUBNET = Subnet(
    network=IPv4Network("10.99.0.0/24"),
    server=SERVER,
    pool_first=IPv4Address("10.99.0.10"),
    pool_last=IPv4Address("10.99.0.250"),
    lease_seconds=600,
)


class SystemClock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class Counter:
    def __init__(self) -> None:
        self.events: list[TftpEvent] = []
        self.lock = threading.Lock()

    def observe(self, event: TftpEvent) -> None:
        with self.lock:
            self.events.append(event)

    def finished(self) -> list[TftpEvent]:
        with self.lock:
            return [event for event in self.events if event.outcome is Outcome.FINISHED]

    def knows(self, count: int) -> bool:
        return len(self.finished()) >= count


TFTPY = "import sys, tftpy; tftpy.TftpClient(sys.argv[1], 69, {}).download('big', sys.argv[2], timeout=5, retries=20)"
Argv = Callable[[Path], list[str]]
# atftp and tftpy without options: they abort at an OACK that comes twice. curl without: it names a timeout of 6 s, so
# each loss takes that long. How often and how long each asks again in silence, measured: busybox 12 times in 13 s,
# tftpy 3 times in 15 s unless told otherwise, tftp 5 times in 25 s, atftp 6 times in 30 s, curl not before 73 s.
CLIENTS: dict[str, Argv] = {
    "busybox": lambda to: ["busybox", "tftp", "-g", "-b", str(BLOCK), "-r", "big", "-l", str(to), str(SERVER)],
    "curl": lambda to: ["curl", "-sSf", "--tftp-no-options", "-o", str(to), f"tftp://{SERVER}/big"],
    "tftp": lambda to: ["tftp", "-m", "binary", str(SERVER), "-c", "get", "big", str(to)],
    "atftp": lambda to: ["atftp", "--get", "--remote-file", "big", "--local-file", str(to), str(SERVER)],
    "tftpy": lambda to: [sys.executable, "-c", TFTPY, str(SERVER), str(to)],
}


class Windowed:
    """A client after RFC 7440: one ACK for each window and for each gap; after a second of silence, another."""

    def __init__(self, sock: socket.socket, window: int) -> None:
        request = ReadRequest(name="big", options=(("blksize", str(BLOCK)), ("windowsize", str(window))))
        self.sock, self.last, self.peer = sock, pack(request), (str(SERVER), 69)
        self.body = bytearray()
        self.have = self.next_ack = self.granted = 0
        self.told = -1

    def fetch(self, finished: Callable[[], bool]) -> bytes:
        """The last ACK may be lost, so the client stays until the server knows."""
        deadline = time.monotonic() + 60
        self.sock.settimeout(0.7)
        self._say(self.last)
        while not finished():
            assert time.monotonic() < deadline, "the transfer does not end"
            try:
                raw, self.peer = self.sock.recvfrom(2000)
            except TimeoutError:
                self._say(self.last)
                continue
            self._take(parse(raw))
        return bytes(self.body)

    def _take(self, packet: Packet) -> None:
        if isinstance(packet, OptionAck) and self.have == 0:
            self.granted = int(dict(packet.options)["windowsize"])
            self._ack()
        elif isinstance(packet, Data) and packet.block == self.have + 1:
            self.body += packet.payload
            self.have += 1
            if len(packet.payload) < BLOCK or self.have == self.next_ack:
                self._ack()
        elif self.told != self.have:
            self.told = self.have
            self._ack()

    def _ack(self) -> None:
        self.next_ack = self.have + self.granted
        self._say(pack(Ack(block=self.have)))

    def _say(self, raw: bytes) -> None:
        self.last = raw
        self.sock.sendto(raw, self.peer)


TRIES = 3


@dataclass(frozen=True)
class Fetched:
    """`gave_up` is what the client said each time that it ended without the file."""

    digest: str
    gave_up: tuple[str, ...]


def fetch_by(name: str, cable: Any, target: Path) -> Fetched:
    """As firmware does, a client that gave up by its own clock begins anew."""
    gave_up: list[str] = []
    while len(gave_up) < TRIES:
        client = cable.spawn(CLIENTS[name](target))
        said, _ = client.communicate(timeout=110)
        if client.returncode == 0:
            return Fetched(hashlib.sha256(target.read_bytes()).hexdigest(), tuple(gave_up))
        gave_up.append(f"{name}: {said}")
        target.unlink(missing_ok=True)
    raise AssertionError(f"{TRIES} times: {gave_up}")


def serve(cable: Any, observe: Callable[[TftpEvent], None]) -> TftpServer:
    with cable.inside(cable.near):
        server = TftpServer(
            address=SERVER,
            lookup=SameForAll(ContentTable({"big": BytesContent(data=CONTENT)})),
            clock=SystemClock(),
            observe=observe,
            caps=Caps(transfers=512, per_client=512),
        )
    server.start()
    return server


@pytest.mark.parametrize("each", [3, pytest.param(40, marks=[pytest.mark.long, pytest.mark.timeout(400)])])
def test_tftp_clients_in_the_field(bad_cable: Any, tmp_path: Path, each: int) -> None:
    """Clients that we did not write, in lockstep, all at once: every copy is whole.

    Some give up by chance. A block and its ACK come through 9 times in 10, and the server sends a block six times: in
    one run of 30 it leaves one of 200 clients, and some clients ask no oftener. It is never more than a few, and nobody
    is left before a block was sent as often as that.
    """
    names = [name for name in CLIENTS if name == "tftpy" or shutil.which(name)] * each
    cable, counter = bad_cable(BAD, 5), Counter()
    server = serve(cable, counter.observe)
    try:
        with ThreadPoolExecutor(len(names)) as pool:
            jobs = [pool.submit(fetch_by, name, cable, tmp_path / str(at)) for at, name in enumerate(names)]
            fetched = [job.result(timeout=TRIES * 115) for job in jobs]
        assert [one.digest for one in fetched] == [DIGEST] * len(names)
        gave_up = [said for one in fetched for said in one.gave_up]
        assert len(gave_up) <= 1 + len(names) // 50, gave_up
        left = [event for event in counter.events if event.reason.startswith("no answer to block") and event.sent]
        assert all(event.retransmits >= MAX_RETRIES for event in left), left
    finally:
        server.stop()
    # Frames are counted where they enter the cable: lost ones too, doubled ones once, and a few of ARP.
    there, back = (cable.wire.tally(direction) for direction in Direction)
    assert there.lost > 0 < back.lost
    blocks = sum(len(CONTENT) // (BLOCK if name == "busybox" else 512) + 1 for name in names)
    again = sum(len(CONTENT) // 512 + 1 for _ in gave_up)
    assert there.seen <= 1.25 * (blocks + again) + there.lost


def test_tftp_windowed(bad_cable: Any) -> None:
    """The first transfer shows the loss, the next one is granted a smaller window."""
    cable, counter = bad_cable(BAD, 6), Counter()
    server = serve(cable, counter.observe)
    try:
        for number in range(2):
            with cable.inside(cable.far):
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with sock:
                assert Windowed(sock, PER_WINDOW).fetch(partial(counter.knows, number + 1)) == CONTENT
    finally:
        server.stop()
    assert [event.window for event in counter.finished()] == [16, 8]


@dataclass
class DhcpClient:
    """RFC 2131 section 4.4.1: DISCOVER until there is an OFFER, REQUEST until there is an ACK."""

    number: int
    offered: DhcpPacket | None = None
    leased: IPv4Address | None = None

    def says(self) -> bytes:
        options = {53: bytes((MessageType.DISCOVER if self.offered is None else MessageType.REQUEST,))}
        if self.offered is not None:
            options |= {50: self.offered.yiaddr, 54: self.offered.options[54]}
        chaddr = b"\x52\x54\0\1" + self.number.to_bytes(2, "big")
        return pack_dhcp(DhcpPacket(op=1, xid=self.number, chaddr=chaddr, flags=0x8000, options=options))

    def hears(self, packet: DhcpPacket) -> bytes | None:
        """What it says to that at once."""
        kind = packet.message_type
        if kind is MessageType.OFFER and self.offered is None:
            self.offered = packet
            return self.says()
        if kind is MessageType.ACK and self.offered is not None:
            given = IPv4Address(packet.yiaddr)
            assert self.leased in (None, given)
            self.leased = given
        elif kind is MessageType.NAK and self.leased is None:
            self.offered = None
            return self.says()
        return None


def lease_all(sock: socket.socket, clients: list[DhcpClient]) -> None:
    """Who has no lease after a second without news says again what it said."""
    deadline = time.monotonic() + 60
    sock.settimeout(1.0)
    waiting = clients
    while waiting:
        assert time.monotonic() < deadline, f"{len(waiting)} clients have no lease"
        for client in waiting:
            sock.sendto(client.says(), ("255.255.255.255", 67))
        try:
            while True:
                packet = parse_dhcp(sock.recv(2000))
                answer = clients[packet.xid].hears(packet) if packet.op == 2 else None
                if answer is not None:
                    sock.sendto(answer, ("255.255.255.255", 67))
        except TimeoutError:
            waiting = [client for client in clients if client.leased is None]


@contextmanager
def leasing(cable: Any, path: Path) -> Iterator[DhcpServer]:
    server = DhcpServer(
        device="srv",
        config=DhcpConfig(local=(SUBNET,)),
        endpoints=Endpoints(address=SERVER),
        journal=path,
        clock=SystemClock(),
        observe=lambda _: None,
    )
    with cable.inside(cable.near):
        server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.mark.parametrize("count", [60, pytest.param(200, marks=pytest.mark.long)])
def test_dhcp_everyone_gets_an_address_of_its_own(bad_cable: Any, tmp_path: Path, count: int) -> None:
    cable, clients = bad_cable(BAD, 7), [DhcpClient(number) for number in range(count)]
    with cable.inside(cable.far):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock, leasing(cable, tmp_path / "leases") as server:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"cli\0")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        sock.bind(("0.0.0.0", 68))
        lease_all(sock, clients)
        given = {client.leased for client in clients}
        assert len(given) == count
        assert {IPv4Address(lease.address) for lease in server.leases()} >= given
    assert cable.wire.tally(Direction.B_TO_A).lost > 0


@pytest.mark.skipif(shutil.which("busybox") is None, reason="busybox is not installed")
def test_dhcp_client_in_the_field(bad_cable: Any, tmp_path: Path) -> None:
    cable = bad_cable(replace(BAD, loss=0.2), 8)
    argv = ["busybox", "udhcpc", "-i", "cli", "-f", "-n", "-q", "-t", "20", "-T", "1", "-s", "/bin/true"]
    with leasing(cable, tmp_path / "leases") as server:
        client = cable.spawn(argv)
        said, _ = client.communicate(timeout=50)
        assert client.returncode == 0, said
        assert len(server.leases()) == 1
