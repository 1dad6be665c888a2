from pathlib import Path

import pytest

from pxe.batch import Peer
from pxe.content import BytesContent, Content, FileContent
from pxe.tftp.body import Bodies, Body
from pxe.tftp.packet import pack_data
from pxe.tftp.sender import Memory

PEER = Peer(bytes(16))
CONTENT = bytes(range(250)) * 10


def bodies(held_bytes: int = 1 << 20) -> Bodies:
    return Bodies(lambda packets: Memory(packets, 0), held_bytes=held_bytes)


def packets(body: Body, first: int, last: int) -> bytes:
    memory, start, length, _, _ = body.run(first, last, PEER)
    return memory.packets[start : start + length]


@pytest.fixture
def file(tmp_path: Path) -> FileContent:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    return FileContent(path=path, size=len(CONTENT))


@pytest.mark.parametrize("held_bytes", [1 << 20, 0], ids=["held", "read by the window"])
@pytest.mark.parametrize("block_size", [8, 512, 1250, 1468])
@pytest.mark.parametrize("kind", ["file", "bytes"])
def test_packets(file: FileContent, held_bytes: int, block_size: int, kind: str) -> None:
    content: Content = file if kind == "file" else BytesContent(data=CONTENT)
    body = bodies(held_bytes).open(content, block_size)
    last = len(CONTENT) // block_size + 1
    expected = [pack_data(n, CONTENT[(n - 1) * block_size : n * block_size]) for n in range(1, last + 1)]
    assert packets(body, 1, last) == b"".join(expected)
    assert [packets(body, n, n) for n in range(1, last + 1)] == expected
    body.close()


def test_transfers_share_the_memory(file: FileContent) -> None:
    several = bodies()
    one, other = (several.open(file, 512).run(1, 1, PEER)[0] for _ in range(2))
    assert one is other


def test_a_file_that_was_replaced_is_read_again(file: FileContent) -> None:
    several = bodies()
    several.open(file, 512)
    fresh = file.path.with_name("fresh")
    fresh.write_bytes(b"x" * file.size)
    fresh.replace(file.path)
    assert packets(several.open(file, 512), 1, 1) == pack_data(1, b"x" * 512)


def test_what_is_held_has_a_limit() -> None:
    several = bodies(100_000)
    for number in range(100):
        several.open(BytesContent(data=bytes([number]) * 5000), 512)
    assert 50_000 < several.held_bytes <= 100_000


def test_wrong_size(file: FileContent) -> None:
    with pytest.raises(OSError, match="not 9 bytes long"):
        bodies().open(FileContent(path=file.path, size=9), 512)


def test_file_cut_short_ends_one_transfer(file: FileContent) -> None:
    body = bodies(0).open(file, 512)
    with file.path.open("r+b") as opened:
        opened.truncate(600)
    with pytest.raises(OSError, match="ended early"):
        body.run(2, 2, PEER)
    body.close()
