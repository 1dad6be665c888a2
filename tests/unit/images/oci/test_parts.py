"""Documents of images are bytes of a stranger; a tree of them is walked from what is named to what names it."""

import json
from collections.abc import Mapping

import pytest

from images.errors import SetError
from images.oci.parts import INDEX, MANIFEST, Part, digest_of, named_images, read_document, tree

LEAF = Part(digest="sha256:" + "a" * 64, size=7)


def part(digest: str = LEAF.digest, size: object = 7) -> dict[str, object]:
    return {"mediaType": "x", "digest": digest, "size": size}


def raw(value: Mapping[str, object]) -> bytes:
    return json.dumps(value).encode()


MANIFEST_OF = raw({"schemaVersion": 2, "mediaType": MANIFEST, "config": part(), "layers": [part(size=9)]})


def test_a_manifest_names_its_configuration_and_layers() -> None:
    document = read_document(MANIFEST_OF)
    assert document.media == MANIFEST
    assert document.blobs == (LEAF, Part(digest=LEAF.digest, size=9))
    assert document.manifests == ()


def test_documents_of_oci_may_leave_their_media_type_out() -> None:
    assert read_document(raw({"manifests": []})).media == INDEX
    assert read_document(raw({"config": part(), "layers": []})).media == MANIFEST


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"config": part()},
        {"manifests": {}},
        {"manifests": [{}]},
        {"manifests": [part(digest="sha256:../../etc")]},
        {"manifests": [part(digest="sha512:" + "a" * 128)]},
        {"manifests": [part(size=-1)]},
        {"manifests": [part(size=True)]},
        {"manifests": [part(size=1 << 60)]},
        {"manifests": [part()] * 1001},
        {"mediaType": "application/vnd.docker.distribution.manifest.v1+json", "config": part(), "layers": []},
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_what_is_no_document(value: Mapping[str, object]) -> None:
    with pytest.raises(SetError):
        read_document(raw(value))


@pytest.mark.parametrize("content", [b"", b"[", b"[" * 100_000, b"\xff", b"1", b" " * (4 << 20) + b"{}"])
def test_what_is_no_json(content: bytes) -> None:
    with pytest.raises(SetError):
        read_document(content)


def _store(*documents: bytes) -> dict[str, bytes]:
    return {digest_of(document): document for document in documents}


def test_what_a_document_names_comes_before_it() -> None:
    index = raw({"manifests": [part(digest_of(MANIFEST_OF), len(MANIFEST_OF))] * 2})
    store = _store(MANIFEST_OF, index)
    found = [document.digest for document in tree(digest_of(index), store.__getitem__)]
    assert found == [digest_of(MANIFEST_OF), digest_of(index)]


def test_a_document_is_what_it_is_called() -> None:
    with pytest.raises(SetError, match="is not what it is called"):
        list(tree(LEAF.digest, lambda _digest: MANIFEST_OF))


def test_a_tree_has_an_end() -> None:
    store, top = _store(MANIFEST_OF), MANIFEST_OF
    for _ in range(5):
        top = raw({"manifests": [part(digest_of(top), len(top))]})
        store |= _store(top)
    with pytest.raises(SetError):
        list(tree(digest_of(top), store.__getitem__))


def test_a_layout_names_its_images() -> None:
    named = part() | {"annotations": {"org.opencontainers.image.ref.name": "k8s/pause:3.2"}}
    assert named_images(raw({"manifests": [named]})) == {"k8s/pause:3.2": LEAF}
    for nameless in (part(), part() | {"annotations": {}}, "x"):
        with pytest.raises(SetError):
            named_images(raw({"manifests": [nameless]}))
