"""A bench for the agent: files as disks, a clock that moves only when asked, a server that misbehaves."""

import hashlib
import json
import random
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import zstandard

from images.agent.bond import sealed, unsealed
from images.agent.connection import HttpConnection
from images.agent.linux import LinuxDisk, LinuxFiles, LinuxProcesses
from images.agent.manifest import Block, Manifest
from images.agent.ports import Ports
from images.agent.protocol import BlobFile, DiskFacts, DiskName, HashedFile, WriteImage
from images.agent.tally import Tally

BLOCK = 64 << 10
NONCE = "n0nce"
SHARED, SALT = bytes(range(32)), "5a" * 32


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class FakeRng:
    def fraction(self) -> float:
        return 0.5


@dataclass
class Reset:
    """Sends the headers and `after` bytes, then closes."""

    after: int


@dataclass
class Corrupt:
    """Flips a bit of byte `at` of the whole file."""

    at: int


@dataclass
class Status:
    code: int


@dataclass
class Server:
    """Files by path, replies to POSTs by path; every GET takes the next fault."""

    files: dict[str, bytes] = field(default_factory=dict)
    replies: dict[str, deque[tuple[int, bytes]]] = field(default_factory=dict)
    faults: deque = field(default_factory=deque)
    always: object = None
    gets: list[tuple[str, int]] = field(default_factory=list)
    posts: list[tuple[str, bytes, dict[str, str]]] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    def fault_for(self, path: str) -> object:
        if path not in self.files or path.endswith(".json"):
            return None
        return self.faults.popleft() if self.faults else self.always


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            server.connections += 1

        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            start = int(self.headers.get("Range", "bytes=0-")[6:-1])
            server.gets.append((self.path, start))
            fault = server.fault_for(self.path)
            data = server.files.get(self.path)
            if isinstance(fault, Status) or data is None or (start and start >= len(data)):
                code = fault.code if isinstance(fault, Status) else 404 if data is None else 416
                self.send_response(code)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if isinstance(fault, Corrupt):
                data = data[: fault.at] + bytes([data[fault.at] ^ 1]) + data[fault.at + 1 :]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            body = data[start:]
            if isinstance(fault, Reset):
                body, self.close_connection = body[: fault.after], True
            try:
                self.wfile.write(body)
            except OSError:
                self.close_connection = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.posts.append((self.path, body, dict(self.headers)))
            replies = server.replies.get(self.path)
            code, reply = replies.popleft() if replies else (204, b"")
            self.send_response(code)
            if code != 204:
                self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

    return Handler


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, *args: object) -> None:
        """A client that goes away is what these tests are about."""


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()
    real = QuietServer(("127.0.0.1", 0), _handler(state))
    real.daemon_threads = True
    real.block_on_close = False
    state.port = real.server_address[1]
    thread = threading.Thread(target=real.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    real.shutdown()
    thread.join()
    real.server_close()


class KeyHolder:
    """Implements `images.agent.ports.Envelope`."""

    def unsealed(self, salt: str, data: bytes) -> bytes:
        return unsealed(SHARED, bytes.fromhex(salt), NONCE, data)


class PowerCutError(OSError):
    pass


class FileDisk(LinuxDisk):
    """A file. `discards`: `no`; `zeros`; `lies`: it says it did, but the old data reads back."""

    def __init__(self, path: str, *, discards: str, cut_after: int | None) -> None:
        super().__init__(path)
        self._discards, self._cut_after = discards, cut_after
        self.writes: list[tuple[int, int]] = []

    def discard(self) -> bool:
        if self._discards == "zeros":
            super().write(0, bytes(self.size))
        return self._discards != "no"

    def write(self, offset: int, data: bytes | memoryview) -> None:
        if self._cut_after is not None and len(self.writes) >= self._cut_after:
            raise PowerCutError("cut")
        self.writes.append((offset, len(data)))
        super().write(offset, data)


class FileDisks:
    def __init__(self, path: Path, found: tuple[DiskFacts, ...]) -> None:
        self.path, self.found = path, found
        self.contents_now = "blank"
        self.discards, self.cut_after = "zeros", None
        self.opened: list[FileDisk] = []

    def read(self) -> tuple[DiskFacts, ...]:
        return self.found

    def contents(self, path: str) -> str:
        return self.contents_now

    def open(self, path: str) -> FileDisk:
        disk = FileDisk(path, discards=self.discards, cut_after=self.cut_after)
        self.opened.append(disk)
        return disk


def make_image(raw: bytes, *, block_size: int = BLOCK) -> tuple[Manifest, bytes]:
    """The manifest and the blob of `raw`, as the builders make them."""
    blob, blocks = b"", []
    compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)
    for index, start in enumerate(range(0, len(raw), block_size)):
        part = raw[start : start + block_size]
        if part == bytes(len(part)):
            continue
        frame = compressor.compress(part)
        sha256 = hashlib.sha256(frame).hexdigest()
        blocks.append(Block(index=index, offset=len(blob), length=len(frame), sha256=sha256, raw_length=len(part)))
        blob += frame
    manifest = Manifest(
        name="test",
        raw_size=len(raw),
        block_size=block_size,
        blob_sha256=hashlib.sha256(blob).hexdigest(),
        blob_size=len(blob),
        blocks=tuple(blocks),
    )
    return manifest, blob


class Bench:
    """One disk full of old data, one image with holes, and a task that puts the one on the other."""

    def __init__(self, server: Server, folder: Path) -> None:
        rng = random.Random(7)
        data = [rng.randbytes(BLOCK) for _ in range(9)]
        for hole in (2, 5, 6):
            data[hole] = bytes(BLOCK)
        data[8] = rng.randbytes(BLOCK // 2 + 512)  # the last block is short and not aligned
        self.raw = b"".join(data)
        self.server, self.clock, self.tally = server, FakeClock(), Tally()
        self.old = rng.randbytes(48 * BLOCK)
        self.path = folder / "disk"
        self.path.write_bytes(self.old)
        self.disk = DiskFacts(
            name="vda",
            path=str(self.path),
            serial="S1",
            wwn="naa.5000c500a1b2c3d4",
            size_bytes=len(self.old),
            rotational=False,
            removable=False,
            model="QEMU",
            contents="blank",
        )
        self.disks = FileDisks(self.path, (replace(self.disk, serial="S0", wwn="", path="/nowhere"), self.disk))
        self.processes = LinuxProcesses(1 << 20)
        self.ports = Ports(
            clock=self.clock,
            rng=FakeRng(),
            http=HttpConnection("127.0.0.1", server.port, NONCE),
            disks=self.disks,
            processes=self.processes,
            files=LinuxFiles(),
            uefi=True,
            envelope=KeyHolder(),
        )
        self.serve(*make_image(self.raw))

    def serve(self, manifest: Manifest, blob: bytes) -> None:
        self.manifest, self.blob = manifest, blob
        text = manifest.to_json().encode()
        self.server.files |= {"/image.json": text, "/image.blob": blob}
        self.task = WriteImage(
            id="t1",
            fence=1,
            manifest=HashedFile(path="/image.json", sha256=hashlib.sha256(text).hexdigest()),
            blob=BlobFile(path="/image.blob"),
            disk=DiskName(serial="S1", wwn=self.disk.wwn, size_bytes=self.disk.size_bytes),
            expect_contents="blank",
        )

    @staticmethod
    def seal(data: bytes) -> bytes:
        return sealed(SHARED, bytes.fromhex(SALT), NONCE, data)

    SALT = SALT

    def blob_gets(self) -> list[int]:
        return [start for path, start in self.server.gets if path == "/image.blob"]

    make_image = staticmethod(make_image)
    Reset, Corrupt, Status, PowerCutError = Reset, Corrupt, Status, PowerCutError
    BLOCK = BLOCK


@pytest.fixture
def bench(server: Server, tmp_path: Path) -> Bench:
    return Bench(server, tmp_path)


@pytest.fixture
def golden():
    """Reads a recorded output: `golden(name)` gives bytes, of JSON the value."""
    folder = Path(__file__).parents[3] / "golden/agent"

    def read(name: str):
        data = (folder / name).read_bytes()
        return json.loads(data) if name.endswith(".tree.json") else data

    return read
