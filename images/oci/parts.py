"""Images of containers as documents (opencontainers/image-spec 1.1: manifest.md, image-index.md, descriptor.md). Pure.

An image is a tree: an index names manifests, a manifest names its configuration and its layers. Docker's own forms
(distribution, manifest-v2-2.md) have the same fields under other media types.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from images.errors import SetError

LAYOUT_FILE, INDEX_FILE, BLOBS = "oci-layout", "index.json", "blobs"
REF_NAME = "org.opencontainers.image.ref.name"
MANIFEST_LIMIT = 4 << 20
"""Bytes; registries take no larger one (distribution, `maxManifestBodySize`)."""
INDEX: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
_DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES = frozenset({INDEX, _DOCKER_LIST})
MANIFESTS = frozenset({MANIFEST, _DOCKER_MANIFEST})
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SIZE_LIMIT, _LIST_LIMIT, _DEPTH_LIMIT = 64 << 30, 1_000, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a document names: `digest` as `sha256:HEX`, `size` in bytes."""

    digest: str
    size: int

    def __post_init__(self) -> None:
        if not _DIGEST.fullmatch(self.digest) or not 0 <= self.size <= _SIZE_LIMIT:
            raise _malformed(f"a descriptor says {self.digest[:90]!r}, {self.size} bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """An index names `manifests`, a manifest names `blobs`: its configuration first, then its layers."""

    digest: str
    media: str
    raw: bytes
    manifests: tuple[Part, ...] = ()
    blobs: tuple[Part, ...] = ()


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def read_document(raw: bytes) -> Document:
    """Raises `SetError` for what is neither an index nor a manifest."""
    if len(raw) > MANIFEST_LIMIT:
        raise _malformed(f"a manifest has {len(raw)} bytes, and may have {MANIFEST_LIMIT}")
    try:
        value: object = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _malformed(f"a manifest is not JSON: {error}") from error
    match value:
        case {"manifests": list(manifests)}:
            media = _media(value, INDEX, INDEXES)
            return Document(digest=digest_of(raw), media=media, raw=raw, manifests=_parts(manifests))
        case {"config": config, "layers": list(layers)}:
            media = _media(value, MANIFEST, MANIFESTS)
            return Document(digest=digest_of(raw), media=media, raw=raw, blobs=_parts([config, *layers]))
        case _:
            raise _malformed("a document is neither an index nor a manifest with configuration and layers")


def tree(digest: str, read: Callable[[str], bytes]) -> Iterator[Document]:
    """All documents of an image: whatever a document names comes before it. `read` gives a document's content by its
    digest. Raises `SetError` for content that is not what it is called."""
    yield from _tree(digest, read, _DEPTH_LIMIT, set())


def _tree(digest: str, read: Callable[[str], bytes], depth: int, seen: set[str]) -> Iterator[Document]:
    if digest in seen:
        return
    seen.add(digest)
    document = true_document(digest, read(digest))
    if document.manifests and not depth:
        raise _malformed(f"indexes stand in one another deeper than {_DEPTH_LIMIT}: {digest}")
    for part in document.manifests:
        yield from _tree(part.digest, read, depth - 1, seen)
    yield document


def true_document(digest: str, raw: bytes) -> Document:
    """Raises `SetError` for content that is not what it is called."""
    if digest_of(raw) != digest:
        raise SetError(
            f"the manifest {digest} is not what it is called",
            evidence=f"it hashes to {digest_of(raw)}",
            next_action="get the set again from where it was made; nothing of it was used",
        )
    return read_document(raw)


def named_images(index: bytes) -> dict[str, Part]:
    """What a layout's index.json names, by its reference name (annotations.md). Raises `SetError`."""
    try:
        value: object = json.loads(index)
    except (ValueError, RecursionError) as error:
        raise _malformed(f"{INDEX_FILE} is not JSON: {error}") from error
    match value:
        case {"manifests": list(manifests)} if len(manifests) <= _LIST_LIMIT:
            return dict(_named(one) for one in manifests)
        case _:
            raise _malformed(f"{INDEX_FILE} lists no manifests")


def _named(value: object) -> tuple[str, Part]:
    match value:
        case {"annotations": {"org.opencontainers.image.ref.name": str(name)}}:
            return name, _part(value)
        case _:
            raise _malformed(f"an image of {INDEX_FILE} has no name: it lacks the annotation {REF_NAME}")


def _media(value: object, default: str, known: frozenset[str]) -> str:
    """Documents of OCI may leave it out."""
    match value:
        case {"mediaType": str(media)} if media in known:
            return media
        case {"mediaType": other}:
            raise _malformed(f"the media type of a manifest is {str(other)[:100]!r}")
        case _:
            return default


def _parts(values: list[object]) -> tuple[Part, ...]:
    if len(values) > _LIST_LIMIT:
        raise _malformed(f"a document names {len(values)} others")
    return tuple(map(_part, values))


def _part(value: object) -> Part:
    match value:
        case {"digest": str(digest), "size": int(size)} if size is not True and size is not False:
            return Part(digest=digest, size=size)
        case _:
            raise _malformed("a descriptor lacks digest or size")


def _malformed(evidence: str) -> SetError:
    return SetError(
        "an image of the set is malformed",
        evidence=evidence[:300],
        next_action="get the set again from where it was made; nothing of it was used",
    )
