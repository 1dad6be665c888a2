import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from images.blocks import expand, pack, unpack
from images.errors import ImageFormatError
from images.manifest import Block, Manifest, ManifestError, frame_bound

GOLDEN = Path(__file__).parents[2] / "golden/images/manifest.json"
SIZE = 4096
HASH = "ab" * 32


def _block(index: int, offset: int, length: int = 100, raw_length: int = SIZE) -> Block:
    return Block(index=index, offset=offset, length=length, sha256=HASH, raw_length=raw_length)


MANIFEST = Manifest(
    name="debian-13",
    raw_size=4 * SIZE + 512,
    block_size=SIZE,
    blob_sha256="cd" * 32,
    blob_size=300,
    blocks=(_block(0, 0), _block(2, 100), _block(4, 200, raw_length=512)),
)


def test_manifest_is_the_golden_text_both_ways() -> None:
    assert MANIFEST.to_json() == GOLDEN.read_text().strip()
    assert Manifest.parse(GOLDEN.read_bytes()) == MANIFEST


def test_holes_are_runs_of_unlisted_blocks() -> None:
    assert list(MANIFEST.holes()) == [(SIZE, SIZE), (3 * SIZE, SIZE)]
    empty = replace(MANIFEST, blob_size=0, blocks=())
    assert list(empty.holes()) == [(0, MANIFEST.raw_size)]


@pytest.mark.parametrize(
    "blocks",
    [
        (_block(0, 0), _block(0, 100), _block(1, 200)),  # a block twice
        (_block(2, 0), _block(0, 100), _block(3, 200)),  # out of order
        (_block(0, 0), _block(1, 99), _block(2, 199)),  # frames overlap
        (_block(0, 0), _block(1, 101), _block(2, 201)),  # a gap
        (_block(0, 0), _block(1, 100), _block(5, 200)),  # past the end
        (_block(-1, 0), _block(1, 100), _block(2, 200)),
        (_block(0, 0), _block(1, 100)),  # the blob is longer
        (_block(0, 0), _block(1, 100, raw_length=SIZE + 1), _block(2, 200)),
        (_block(0, 0), _block(1, 100), _block(4, 200)),  # the last block is short
        (_block(0, 0, length=0), _block(1, 0), _block(2, 100, length=200)),
        (_block(0, 0), _block(1, 100), replace(_block(2, 200), sha256="AB" * 32)),
    ],
)
def test_disorder_is_refused(blocks: tuple[Block, ...]) -> None:
    with pytest.raises(ManifestError):
        replace(MANIFEST, blocks=blocks)


def test_frame_larger_than_zstd_makes_is_refused() -> None:
    length = frame_bound(SIZE) + 1
    with pytest.raises(ManifestError):
        replace(MANIFEST, blob_size=length, blocks=(_block(0, 0, length=length),))


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"version": True},
        {"name": "../x"},
        {"name": 1},
        {"raw_size": 0},
        {"raw_size": 1 << 50},
        {"raw_size": "1"},
        {"raw_size": 1.0},
        {"block_size": 4097},
        {"block_size": 1 << 30},
        {"blob": {"sha256": HASH}},
        {"blob": {"sha256": HASH, "size": 300, "more": 1}},
        {"blocks": {}},
        {"blocks": [[0, 0, 100, HASH]]},
        {"blocks": [[0, 0, 100, HASH, SIZE, 1]]},
        {"blocks": [None]},
        {"more": 1},
    ],
)
def test_every_field_is_checked(change: dict[str, object]) -> None:
    value = json.loads(GOLDEN.read_text()) | change
    with pytest.raises(ManifestError):
        Manifest.parse(json.dumps(value))


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", '{"a":1,"a":1}', "[" * 100_000, b"\xff\xfe\x00", "1" * 5000, "NaN"]
)
def test_what_is_no_manifest_is_refused(text: str | bytes) -> None:
    with pytest.raises(ManifestError):
        Manifest.parse(text)


def _image(tmp_path: Path) -> tuple[bytes, Path, Path, Manifest]:
    content = b"gpt" + bytes(SIZE - 3) + bytes(2 * SIZE) + bytes(SIZE - 1) + b"x" + b"tail"
    raw, blob = tmp_path / "raw", tmp_path / "blob"
    raw.write_bytes(content)
    return content, raw, blob, pack(raw, blob, "image", block_size=SIZE)


def test_pack_leaves_zero_blocks_out(tmp_path: Path) -> None:
    content, _, blob, manifest = _image(tmp_path)
    assert [block.index for block in manifest.blocks] == [0, 3, 4]
    assert [block.raw_length for block in manifest.blocks] == [SIZE, SIZE, 4]
    assert manifest.raw_size == len(content)
    assert manifest.blob_sha256 == hashlib.sha256(blob.read_bytes()).hexdigest()


def test_frames_are_independent_with_size_and_checksum(tmp_path: Path) -> None:
    content, _, blob, manifest = _image(tmp_path)
    data = blob.read_bytes()
    for block in manifest.blocks:
        frame = data[block.offset : block.offset + block.length]
        parameters = zstandard.get_frame_parameters(frame)
        assert parameters.has_checksum
        assert parameters.content_size == block.raw_length
        start = block.index * SIZE
        assert zstandard.ZstdDecompressor().decompress(frame) == content[start : start + block.raw_length]


def test_unpack_gives_the_image_back(tmp_path: Path) -> None:
    content, _, blob, manifest = _image(tmp_path)
    with blob.open("rb") as file:
        unpack(Manifest.parse(manifest.to_json()), file, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == content


def test_altered_blob_is_refused(tmp_path: Path) -> None:
    _, _, blob, manifest = _image(tmp_path)
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    with pytest.raises(ImageFormatError):
        unpack(manifest, io.BytesIO(data), tmp_path / "again")


@pytest.mark.parametrize(
    "frame", [b"no frame", zstandard.compress(bytes(2 * SIZE)), zstandard.compress(bytes(SIZE))[:-1], b""]
)
def test_frame_with_the_right_hash_may_still_lie(frame: bytes) -> None:
    block = replace(_block(0, 0), sha256=hashlib.sha256(frame).hexdigest())
    with pytest.raises(ImageFormatError):
        expand(block, frame)
