"""Independent TFTP clients against our server, and what only a raw socket can ask."""

import hashlib
import select
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
import tftpy

from pxe.content import BytesContent, ContentTable, FileContent
from pxe.tftp.packet import Ack, Data, Error, OptionAck, ReadRequest, WriteRequest, pack, parse
from pxe.tftp.responder import Outcome
from pxe.tftp.server import Caps, SameForAll, TftpEvent, TftpServer

ADDRESS = IPv4Address("127.69.0.1")
SIZES = {"empty": 0, "one": 1, "block": 512, "blocks": 1428 * 7, "odd": 100_001}
LARGE = 40_000_000
DEADLINE = 10.0


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class Events:
    def __init__(self) -> None:
        self._seen: list[TftpEvent] = []
        self._changed = threading.Condition()

    def observe(self, event: TftpEvent) -> None:
        with self._changed:
            self._seen.append(event)
            self._changed.notify_all()

    def first(self, wanted: Callable[[TftpEvent], bool]) -> TftpEvent:
        with self._changed:
            assert self._changed.wait_for(lambda: any(map(wanted, self._seen)), DEADLINE), self._seen
            return next(filter(wanted, self._seen))


def content_of(name: str) -> bytes:
    return (hashlib.sha256(name.encode()).digest() * (SIZES[name] // 32 + 1))[: SIZES[name]]


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def server(tmp_path: Path, events: Events) -> Iterator[TftpServer]:
    entries: dict[str, FileContent | BytesContent] = {}
    for name, size in SIZES.items():
        path = tmp_path / f"stored-{name}"
        path.write_bytes(content_of(name))
        entries[name] = FileContent(path=path, size=size)
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(LARGE)
    entries["large"] = FileContent(path=large, size=LARGE)
    entries["nbp/snponly.efi"] = BytesContent(data=content_of("odd"))
    entries["gone"] = FileContent(path=tmp_path / "gone", size=5)
    server = TftpServer(
        address=ADDRESS,
        port=0,
        lookup=SameForAll(ContentTable(entries)),
        clock=SystemClock(),
        observe=events.observe,
        caps=Caps(per_client=3),
    )
    server.start()
    yield server
    server.stop()


def need(tool: str) -> str:
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed")
    return found


def run(argv: list[str]) -> None:
    finished = subprocess.run(argv, capture_output=True, timeout=60, check=False)
    assert finished.returncode == 0, finished


@pytest.mark.parametrize("name", list(SIZES))
@pytest.mark.parametrize("block_size", [512, 1428, 8192])
def test_tftpy(server: TftpServer, tmp_path: Path, name: str, block_size: int) -> None:
    client = tftpy.TftpClient(str(ADDRESS), server.port, {"blksize": block_size, "tsize": 0})
    client.download(name, str(tmp_path / "got"), timeout=5)
    assert (tmp_path / "got").read_bytes() == content_of(name)


@pytest.mark.parametrize("name", [name for name in SIZES if name != "empty"])
def test_curl(server: TftpServer, tmp_path: Path, name: str) -> None:
    """Not the empty file: curl takes an OACK with tsize 0 for an error."""
    run([need("curl"), "-sSf", "-o", str(tmp_path / "got"), f"tftp://{ADDRESS}:{server.port}/{name}"])
    assert (tmp_path / "got").read_bytes() == content_of(name)


def test_curl_without_options(server: TftpServer, tmp_path: Path) -> None:
    url = f"tftp://{ADDRESS}:{server.port}/odd"
    run([need("curl"), "-sSf", "--tftp-no-options", "-o", str(tmp_path / "got"), url])
    assert (tmp_path / "got").read_bytes() == content_of("odd")


def test_tftp_hpa(server: TftpServer, tmp_path: Path) -> None:
    argv = [need("tftp"), "-m", "binary", str(ADDRESS), str(server.port), "-c", "get", "odd", str(tmp_path / "got")]
    run(argv)
    assert (tmp_path / "got").read_bytes() == content_of("odd")


@pytest.mark.parametrize("window", ["1", "4", "64"])
def test_atftp(server: TftpServer, tmp_path: Path, window: str, events: Events) -> None:
    options = ["--option", f"windowsize {window}", "--option", "blksize 1428"]
    remote = ["--get", "--remote-file", "odd", "--local-file", str(tmp_path / "got")]
    run([need("atftp"), *options, *remote, str(ADDRESS), str(server.port)])
    assert (tmp_path / "got").read_bytes() == content_of("odd")
    event = events.first(lambda event: event.outcome is Outcome.FINISHED)
    assert (event.name, event.sent, event.block_size, event.window) == ("odd", 100_001, 1428, int(window))


def test_busybox(server: TftpServer, tmp_path: Path) -> None:
    argv = [need("busybox"), "tftp", "-g", "-b", "1024", "-r", "\\NBP\\SNPONLY.EFI", "-l", str(tmp_path / "got")]
    run([*argv, str(ADDRESS), str(server.port)])
    assert (tmp_path / "got").read_bytes() == content_of("odd")


def test_block_numbers_roll_over(server: TftpServer, tmp_path: Path) -> None:
    run([need("curl"), "-sSf", "-o", str(tmp_path / "got"), f"tftp://{ADDRESS}:{server.port}/large"])
    assert (tmp_path / "got").stat().st_size == LARGE


class Raw:
    def __init__(self, server: TftpServer) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(DEADLINE)
        self._socket.bind(("127.0.0.1", 0))
        self._server = (str(ADDRESS), server.port)

    def send(self, packet: ReadRequest | WriteRequest | Ack | Error, peer: tuple[str, int] | None = None) -> None:
        self._socket.sendto(pack(packet), peer or self._server)

    def receive(self) -> tuple[object, tuple[str, int]]:
        raw, peer = self._socket.recvfrom(65536)
        return parse(raw), peer

    def waiting(self) -> bool:
        return bool(select.select([self._socket], [], [], 0)[0])

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def raw(server: TftpServer) -> Iterator[Raw]:
    client = Raw(server)
    yield client
    client.close()


def test_wrong_transfer_id(server: TftpServer, raw: Raw) -> None:
    """RFC 1350 section 4: the intruder gets ERROR 5, the transfer lives."""
    raw.send(ReadRequest(name="odd"))
    first, peer = raw.receive()
    assert isinstance(first, Data)
    assert peer[1] != server.port
    intruder = Raw(server)
    intruder.send(Error(code=5), peer)
    intruder.send(Ack(block=1), peer)
    refused, _ = intruder.receive()
    assert isinstance(refused, Error)
    assert refused.code == 5
    raw.send(Ack(block=1), peer)
    assert raw.receive()[0] == Data(block=2, payload=content_of("odd")[512:1024])
    assert not intruder.waiting()
    intruder.close()


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (WriteRequest(name="odd"), 2),
        (ReadRequest(name="missing"), 1),
        (ReadRequest(name="../../etc/passwd"), 1),
        (ReadRequest(name="/etc/passwd"), 1),
        (ReadRequest(name="odd", mode="netascii"), 0),
        (ReadRequest(name="gone"), 0),
    ],
)
def test_refusals(raw: Raw, events: Events, request_: ReadRequest | WriteRequest, code: int) -> None:
    raw.send(request_)
    packet, _ = raw.receive()
    assert isinstance(packet, Error)
    assert packet.code == code
    assert events.first(lambda event: event.outcome is Outcome.REFUSED).name == request_.name


def test_cap_per_client(server: TftpServer) -> None:
    clients = [Raw(server) for _ in range(4)]
    answers = []
    for client in clients:
        client.send(ReadRequest(name="odd"))
        answers.append(type(client.receive()[0]))
        client.close()
    assert answers == [Data, Data, Data, Error]


def test_probe_of_the_size(raw: Raw, events: Events) -> None:
    raw.send(ReadRequest(name="odd", options=(("tsize", "0"), ("blksize", "1468"))))
    packet, peer = raw.receive()
    assert packet == OptionAck(options=(("tsize", "100001"), ("blksize", "1468")))
    raw.send(Error(code=8, message="User aborted the transfer"), peer)
    assert events.first(lambda event: event.outcome is Outcome.PROBED).sent == 0


def test_repeated_request_is_one_transfer(raw: Raw) -> None:
    raw.send(ReadRequest(name="odd"))
    _, peer = raw.receive()
    raw.send(ReadRequest(name="odd"))
    raw.send(Ack(block=1), peer)
    packet, other = raw.receive()
    assert other == peer
    assert isinstance(packet, Data)
    assert packet.block == 2


def test_lost_client_is_noticed(raw: Raw, server: TftpServer, events: Events) -> None:
    raw.send(ReadRequest(name="odd"))
    first, peer = raw.receive()
    again, _ = raw.receive()
    assert first == again
    raw.send(Error(code=0, message="enough"), peer)
    event = events.first(lambda event: event.outcome is Outcome.FAILED)
    assert (event.retransmits, event.reason) == (1, "the client gave up with error 0: enough")


def test_rubbish_does_not_stop_the_server(server: TftpServer, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for junk in (b"", b"\0", b"\xff" * 1500, b"\0\1" + b"\xff" * 600, b"\0\1\0\0\0\0"):
            sender.sendto(junk, (str(ADDRESS), server.port))
    test_tftpy(server, tmp_path, "odd", 512)
