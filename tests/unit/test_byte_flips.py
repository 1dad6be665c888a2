"""A thousand damaged bytes, one at a time, in all that a machine boots or installs: each is refused before it runs.

Who refuses: the store where the daemon takes stock, the servers where a file was changed since, the agent where it
reads. Firmware and iPXE check nothing: between the server and the kernel there is only the network.
"""

import hashlib
import os
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from images.agent.bond import Bond, sealed, unsealed
from images.agent.errors import AgentError, TaskError
from images.agent.fetch import Frames, fetch_file
from images.agent.manifest import Block, Manifest
from images.agent.medium import DESCRIPTOR_AT, SECTOR, Medium, parse, volume
from images.agent.partitions import unpacked
from images.agent.ports import Ports, Reply
from images.store import Entry, Store
from pxe.content import BytesContent, FileContent, Mark, opened
from pxe.http.outgoing import open_content
from pxe.http.packet import RequestHead
from pxe.http.responder import respond
from pxe.tftp.body import Bodies
from pxe.tftp.sender import Memory

FLIPS = {"store": 100, "http": 250, "tftp": 100, "manifest": 150, "blob": 100, "seed": 150, "medium": 100, "task": 150}
SHARED, SALT, NONCE = bytes(range(32)), bytes(range(32, 64)), "nonce"


def test_it_is_a_thousand() -> None:
    assert sum(FLIPS.values()) >= 1000


def flipped(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def refused(times: int, data: bytes, use: Callable[[bytes], object], error: type[Exception]) -> None:
    """The whole thing is taken, and each damaged one refused."""
    use(data)
    rng = random.Random(times)
    for _ in range(times):
        with pytest.raises(error):
            use(flipped(data, rng))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Rng:
    def fraction(self) -> float:
        return 0.5


class Whole:
    def __init__(self, data: bytes, start: int) -> None:
        self._data, self._at, self.total = data, start, len(data)

    def read(self, size: int) -> bytes:
        self._at += size
        return self._data[self._at - size : self._at]

    def close(self) -> None:
        pass


class Files:
    """Implements `images.agent.ports.Http` over one file."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def open(self, path: str, *, start: int) -> Whole:
        return Whole(self._data, start)

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        raise AssertionError(path)


def ports(data: bytes) -> Ports:
    nothing = object()
    return Ports(
        clock=Clock(),
        rng=Rng(),
        http=Files(data),
        disks=nothing,  # type: ignore[arg-type]
        processes=nothing,  # type: ignore[arg-type]
        files=nothing,  # type: ignore[arg-type]
        uefi=True,
    )


def image() -> tuple[Manifest, bytes]:
    raw = random.Random(7).randbytes(6 * 4096)
    blob, blocks = b"", []
    for index in range(6):
        frame = zstandard.ZstdCompressor().compress(raw[index * 4096 : (index + 1) * 4096])
        digest = hashlib.sha256(frame).hexdigest()
        blocks.append(Block(index=index, offset=len(blob), length=len(frame), sha256=digest, raw_length=4096))
        blob += frame
    whole = hashlib.sha256(blob).hexdigest()
    described = Manifest(
        name="debian-13",
        raw_size=len(raw),
        block_size=4096,
        blob_sha256=whole,
        blob_size=len(blob),
        blocks=tuple(blocks),
    )
    return described, blob


def test_the_store_takes_no_damaged_artefact_for_whole(tmp_path: Path) -> None:
    store, rng = Store(tmp_path / "store"), random.Random(1)
    (tmp_path / "vmlinuz").write_bytes(rng.randbytes(9000))
    artifact = store.put(tmp_path / "vmlinuz", "vmlinuz")
    store.record(Entry(recipe="ramdisk", key="a" * 64, artifacts=(artifact,)))
    path, whole = store.path_of(artifact.sha256), store.path_of(artifact.sha256).read_bytes()
    path.chmod(0o600)
    for _ in range(FLIPS["store"]):
        path.write_bytes(flipped(whole, rng))
        assert store.find("ramdisk", "a" * 64) is None
    path.write_bytes(whole)
    assert store.find("ramdisk", "a" * 64) is not None


def served(folder: Path, count: int) -> list[FileContent]:
    """Boot programs, kernels and ramdisks as the daemon offers them: hashed, and marked."""
    contents = []
    for number in range(count):
        path = folder / str(number)
        path.write_bytes(random.Random(number).randbytes(2048))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        contents.append(FileContent(path=path, size=2048, digest=digest, mark=Mark.of(path.stat())))
    return contents


def tick(folder: Path) -> None:
    """Until the file system's clock has gone on: it counts in ticks of some milliseconds."""
    probe = folder / "probe"
    probe.write_bytes(b"")
    first = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == first:
        probe.write_bytes(b"x")


def damaged(contents: list[FileContent], folder: Path) -> None:
    """By somebody who keeps size and times, as far as these can be kept."""
    tick(folder)
    rng = random.Random(3)
    for content in contents:
        times = content.path.stat()
        content.path.write_bytes(flipped(content.path.read_bytes(), rng))
        os.utime(content.path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("protocol", ["http", "tftp"])
def test_no_server_gives_out_what_was_changed_since_it_was_hashed(protocol: str, tmp_path: Path) -> None:
    contents = served(tmp_path, FLIPS[protocol])
    library = Bodies(lambda packets: Memory(packets, 0))

    def give(content: FileContent) -> None:
        if protocol == "tftp":
            library.open(content, 512).close()
        else:
            os.close(open_content(respond(RequestHead(method="GET", path="/", headers={}), content)))

    give(contents[0])
    damaged(contents, tmp_path)
    for content in contents:
        with pytest.raises(OSError, match="was changed since it was hashed"):
            give(content)


def test_a_file_that_another_took_the_place_of_is_not_given_out(tmp_path: Path) -> None:
    (content,) = served(tmp_path, 1)
    os.close(opened(content))
    (tmp_path / "other").write_bytes(content.path.read_bytes())
    (tmp_path / "other").rename(content.path)
    with pytest.raises(OSError, match="was changed"):
        opened(content)
    assert open_content(respond(RequestHead(method="GET", path="/", headers={}), BytesContent(data=b"x"))) == -1


def test_manifest() -> None:
    text = image()[0].to_json().encode()
    digest = hashlib.sha256(text).hexdigest()
    refused(FLIPS["manifest"], text, lambda d: fetch_file(ports(d), "/m", sha256=digest, limit=1 << 20), TaskError)


def test_image() -> None:
    described, blob = image()
    refused(FLIPS["blob"], blob, lambda data: list(Frames(ports(data), "/b", described)), TaskError)


def test_seed() -> None:
    """Also by whoever could change its hash in the task."""
    data = sealed(SHARED, SALT, NONCE, zlib.compress(bytes(1 << 20)))
    refused(FLIPS["seed"], data, lambda d: unpacked(unsealed(SHARED, SALT, NONCE, d)), AgentError)


def test_token() -> None:
    whole = Medium(token=SHARED, appliance=SALT)
    sector = volume(whole)[DESCRIPTOR_AT : DESCRIPTOR_AT + SECTOR]
    at, size = 883, 18 + 64 + 32

    def read(part: bytes) -> None:
        if parse(sector[:at] + part + sector[at + size :]) != whole:
            raise ValueError

    refused(FLIPS["medium"], sector[at : at + size], read, ValueError)


def test_task() -> None:
    """What names the manifest's hash comes in an answer that is sealed."""
    bond = Bond(nonce=NONCE, agent=SHARED, appliance=SALT, salt=SALT, shared=SHARED)
    body = b'{"task":{"do":"write_image","manifest":{"path":"/m","sha256":"' + b"a" * 64 + b'"}}}'
    seal = bond.reply(7, 200, body)

    def read(data: bytes) -> None:
        if bond.reply(7, 200, data) != seal:
            raise ValueError

    refused(FLIPS["task"], body, read, ValueError)
