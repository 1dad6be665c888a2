"""Image layouts come from anywhere: their readers are total, and read back what the writer says."""

import json
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from images.errors import LayoutError
from images.oci.document import (
    CONFIG,
    MANIFEST,
    Blob,
    Compression,
    Layer,
    Manifest,
    config_json,
    index_json,
    manifest_json,
    read_diff_ids,
    read_index,
    read_manifest,
)
from images.oci.document import Settings as ImageSettings

digests = st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:{}".format)
names = st.from_regex(r"[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,2}:[a-z0-9]{1,8}", fullmatch=True)
sizes = st.integers(0, 64 << 30)
layers = st.builds(
    lambda digest, size, diff_id: Layer(
        blob=Blob(media=Compression.ZSTD.media, digest=digest, size=size), diff_id=diff_id
    ),
    digests,
    sizes,
    digests,
)
words = st.sampled_from(
    ["schemaVersion", "manifests", "layers", "config", "mediaType", "digest", "size", "rootfs", "type", "diff_ids"]
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 3)
    | st.text(max_size=5)
    | st.sampled_from([MANIFEST, "layers"])
    | digests,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=6),
    max_leaves=20,
)


@settings(max_examples=50)
@given(st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()))
def test_readers_refuse_in_one_way_or_not_at_all(raw: bytes) -> None:
    for read in (read_index, read_manifest, read_diff_ids):
        with suppress(LayoutError):
            read(raw)


@settings(max_examples=50)
@given(
    st.lists(
        st.builds(Blob, media=st.just(MANIFEST), digest=digests, size=sizes, name=names),
        max_size=4,
        unique_by=lambda blob: blob.name,
    )
)
def test_an_index_is_read_back(images: list[Blob]) -> None:
    assert read_index(index_json(images)) == tuple(sorted(images, key=lambda blob: (blob.name, blob.digest)))
    assert index_json(images[::-1]) == index_json(images)


@settings(max_examples=50)
@given(st.builds(Blob, media=st.just(CONFIG), digest=digests, size=sizes), st.lists(layers, max_size=4))
def test_a_manifest_and_its_config_are_read_back(config: Blob, below: list[Layer]) -> None:
    blobs = tuple(layer.blob for layer in below)
    assert read_manifest(manifest_json(config, below)) == Manifest(config=config, layers=blobs)
    written = config_json(below, ImageSettings(), "amd64")
    assert read_diff_ids(written) == tuple(layer.diff_id for layer in below)
