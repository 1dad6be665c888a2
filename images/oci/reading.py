"""What an image layout holds, and whether all of it is there. Of a layout nothing is believed but what hashes say."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from images.errors import LayoutError
from images.oci import document
from images.oci.document import Blob, Layer, Manifest, malformed

INDEX, BLOBS = "index.json", "blobs/sha256"
_DEPTH_LIMIT = 4


class Wrong(StrEnum):
    MISSING = "missing"
    SIZE = "of another size"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`image` is whose blob it is, by name, or by digest where it has none."""

    image: str
    digest: str
    wrong: Wrong

    def describe(self) -> str:
        return f"{self.image}: {self.digest} is {self.wrong}"


def images(folder: Path) -> tuple[Blob, ...]:
    """What index.json lists: manifests, or indexes of some for several architectures. Raises LayoutError."""
    return document.read_index(_read(folder / INDEX, document.DOCUMENT_LIMIT))


def image(folder: Path, name: str) -> Blob:
    """Raises LayoutError where the layout has none of that name."""
    found = images(folder)
    for blob in found:
        if blob.name == name:
            return blob
    names = ", ".join(sorted(blob.name for blob in found))
    raise LayoutError(f"the layout has no image {name}", evidence=f"it has {names or 'none'}"[:300])


def layers(folder: Path, name: str) -> tuple[Layer, ...]:
    """Of an image for one architecture, lowest first. Raises LayoutError."""
    manifest = _manifest(folder, image(folder, name))
    diff_ids = document.read_diff_ids(_document(folder, manifest.config))
    if len(diff_ids) != len(manifest.layers):
        raise malformed("a config", f"{len(diff_ids)} layers, where the manifest has {len(manifest.layers)}")
    pairs = zip(manifest.layers, diff_ids, strict=True)
    return tuple(Layer(blob=blob, diff_id=diff_id) for blob, diff_id in pairs)


def check(folder: Path) -> tuple[Fault, ...]:
    """All that is wrong with the blobs that a listed image leads to, each hashed; nothing for a whole layout.

    Raises LayoutError where index.json, or a manifest whose hash is right, cannot be read."""
    return tuple(_faults(folder, images(folder)))


def path_of(blob: Blob) -> str:
    """Below the layout's folder."""
    return f"{BLOBS}/{blob.sha256}"


def fault_of(folder: Path, blob: Blob, image: str = "") -> Fault | None:
    """Of that blob alone. Raises LayoutError where it cannot be told."""
    try:
        with (folder / path_of(blob)).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            right = size == blob.size and hashlib.file_digest(file, "sha256").hexdigest() == blob.sha256
    except FileNotFoundError:
        return Fault(image=image or blob.name, digest=blob.digest, wrong=Wrong.MISSING)
    except OSError as cause:
        raise LayoutError("a blob could not be read", evidence=str(cause)) from cause
    if right:
        return None
    return Fault(image=image or blob.name, digest=blob.digest, wrong=Wrong.CHANGED if size == blob.size else Wrong.SIZE)


def _faults(folder: Path, listed: tuple[Blob, ...]) -> Iterator[Fault]:
    seen: set[str] = set()
    for blob in listed:
        yield from _reached(folder, blob, blob.name or blob.digest, seen, 0)


def _reached(folder: Path, blob: Blob, name: str, seen: set[str], depth: int) -> Iterator[Fault]:
    if blob.digest in seen:
        return
    seen.add(blob.digest)
    if depth > _DEPTH_LIMIT:
        raise malformed("an index", f"{name} is nested deeper than {_DEPTH_LIMIT}")
    if fault := fault_of(folder, blob, name):
        yield fault
        return
    for below in _below(folder, blob):
        yield from _reached(folder, below, name, seen, depth + 1)


def _below(folder: Path, blob: Blob) -> tuple[Blob, ...]:
    if blob.is_index:
        return document.read_index(_document(folder, blob))
    if not blob.is_manifest:
        return ()
    manifest = _manifest(folder, blob)
    return (manifest.config, *manifest.layers)


def _manifest(folder: Path, blob: Blob) -> Manifest:
    if not blob.is_manifest:
        raise malformed("an image", f"{blob.name or blob.digest} is {blob.media}")
    return document.read_manifest(_document(folder, blob))


def _document(folder: Path, blob: Blob) -> bytes:
    raw = _read(folder / path_of(blob), min(blob.size, document.DOCUMENT_LIMIT))
    if len(raw) != blob.size or hashlib.sha256(raw).hexdigest() != blob.sha256:
        raise LayoutError("a document of an image layout is not what its digest says", evidence=blob.digest)
    return raw


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as cause:
        raise LayoutError("an image layout could not be read", evidence=str(cause)) from cause
