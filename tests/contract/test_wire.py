"""Servers behind a cable that loses 5 %, doubles 2 % and reorders 5 % of the frames, both ways."""

import hashlib
import os
import random
import shutil
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from appliance.lab.wire import Direction, Impairment
from pxe.content import BytesContent, ContentTable
from pxe.tftp.packet import Ack, Data, OptionAck, ReadRequest, pack, parse
from pxe.tftp.responder import Outcome
from pxe.tftp.server import Caps, SameForAll, TftpEvent, TftpServer

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

SERVER = IPv4Address("10.99.0.1")
BAD = Impairment(loss=0.05, duplication=0.02, reordering=0.05)
CONTENT = random.Random(1).randbytes(1_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
BLOCK = 1428
BLOCKS = len(CONTENT) // BLOCK + 1
PER_WINDOW = 16


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


def busybox(target: Path) -> list[str]:
    return ["busybox", "tftp", "-g", "-b", str(BLOCK), "-r", "big", "-l", str(target), str(SERVER)]


def windowed_get(sock: socket.socket, window: int) -> bytes:
    """A client after RFC 7440: one ACK for each window and for the first gap; after a second of silence, another."""
    request = pack(ReadRequest(name="big", options=(("blksize", str(BLOCK)), ("windowsize", str(window)))))
    body, expected, taken, told, peer = bytearray(), 1, 0, -1, (str(SERVER), 69)
    last, granted, size = request, window, BLOCK
    sock.settimeout(0.7)
    sock.sendto(last, peer)
    for _ in range(60 * BLOCKS):
        try:
            raw, source = sock.recvfrom(2000)
        except TimeoutError:
            sock.sendto(last, peer)
            continue
        packet = parse(raw)
        if isinstance(packet, OptionAck) and expected == 1:
            options = dict(packet.options)
            peer, granted, size = source, int(options["windowsize"]), int(options["blksize"])
            last = pack(Ack(block=0))
            sock.sendto(last, peer)
        if not isinstance(packet, Data):
            continue
        if packet.block == expected & 0xFFFF:
            body += packet.payload
            expected, taken = expected + 1, taken + 1
            last = pack(Ack(block=(expected - 1) & 0xFFFF))
            if len(packet.payload) < size or taken == granted:
                taken = 0
                sock.sendto(last, peer)
            if len(packet.payload) < size:
                return bytes(body)
        elif (packet.block - expected) & 0xFFFF < 0x8000 and told != expected:
            told, taken = expected, 0
            sock.sendto(last, peer)
    raise AssertionError("the transfer does not end")


def fetch_by(argv: Callable[[Path], list[str]], cable: Any, target: Path) -> bytes:
    client = cable.spawn(argv(target))
    said, _ = client.communicate(timeout=110)
    assert client.returncode == 0, (argv(target), said)
    return target.read_bytes()


def fetch_windowed(cable: Any, target: Path) -> bytes:
    with cable.inside(cable.far):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        return windowed_get(sock, PER_WINDOW)


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


def transfer_all(fetch: Callable[[Path], bytes], folder: Path, count: int) -> list[str]:
    with ThreadPoolExecutor(count) as pool:
        jobs = [pool.submit(fetch, folder / str(number)) for number in range(count)]
        return [hashlib.sha256(job.result(timeout=115)).hexdigest() for job in jobs]


@pytest.mark.parametrize("count", [60, pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(400)])])
def test_tftp_lockstep(bad_cable: Any, tmp_path: Path, count: int) -> None:
    """A client that we did not write. Not atftp: it aborts at an OACK that comes twice."""
    if shutil.which("busybox") is None:
        pytest.skip("busybox is not installed")
    cable, counter = bad_cable(BAD, 5), Counter()
    server = serve(cable, counter.observe)
    try:
        fetched = transfer_all(lambda target: fetch_by(busybox, cable, target), tmp_path, count)
        assert fetched == [DIGEST] * count
    finally:
        server.stop()
    # Frames are counted where they enter the cable: lost ones too, doubled ones once, and a few of ARP.
    there, back = (cable.wire.tally(direction) for direction in Direction)
    assert there.lost > 0 < back.lost
    assert there.seen <= 1.25 * count * BLOCKS + there.lost


def test_tftp_windowed(bad_cable: Any, tmp_path: Path) -> None:
    """The first transfer shows the loss, the next one is granted a smaller window."""
    cable, counter = bad_cable(BAD, 6), Counter()
    server = serve(cable, counter.observe)
    try:
        for _ in range(2):
            assert fetch_windowed(cable, tmp_path) == CONTENT
    finally:
        server.stop()
    finished = [event for event in counter.events if event.outcome is Outcome.FINISHED]
    assert [event.window for event in finished] == [16, 8]
