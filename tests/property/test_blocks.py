import io
import json
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from images.blocks import pack, unpack
from images.manifest import Manifest, ManifestError

SIZE = 4096
BLOCKS = st.one_of(st.just(bytes(SIZE)), st.binary(min_size=1, max_size=64).map(lambda data: data.ljust(SIZE, b"\0")))
IMAGES = st.tuples(st.lists(BLOCKS, max_size=6), st.binary(min_size=1, max_size=SIZE - 1)).map(
    lambda parts: b"".join(parts[0]) + parts[1]
)


@given(content=IMAGES)
def test_unpack_is_the_inverse_of_pack(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "raw").write_bytes(content)
        manifest = pack(folder / "raw", folder / "blob", "image", block_size=SIZE)
        unpack(Manifest.parse(manifest.to_json()), io.BytesIO((folder / "blob").read_bytes()), folder / "again")
        assert (folder / "again").read_bytes() == content
        listed = {block.index for block in manifest.blocks}
        zero = {i for i in range(manifest.block_count) if not any(content[i * SIZE : (i + 1) * SIZE])}
        assert listed == set(range(manifest.block_count)) - zero
        covered = sum(length for _, length in manifest.holes()) + sum(block.raw_length for block in manifest.blocks)
        assert covered == len(content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ("version", "name", "raw_size", "block_size", "blob", "blocks")


@given(text=st.binary(max_size=200) | st.text(max_size=200))
def test_parse_is_total_over_text(text: str | bytes) -> None:
    _parse(text)


@given(field=st.sampled_from(FIELDS), value=JSON)
def test_parse_is_total_over_values(field: str, value: object) -> None:
    good: dict[str, object] = {"version": 1, "name": "a", "raw_size": 1, "block_size": SIZE, "blocks": []}
    good["blob"] = {"sha256": "ab" * 32, "size": 0}
    _parse(json.dumps(good | {field: value}))


def _parse(text: str | bytes) -> None:
    try:
        manifest = Manifest.parse(text)
    except ManifestError:
        return
    assert Manifest.parse(manifest.to_json()) == manifest
