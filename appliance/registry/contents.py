"""What of a set has to be in the registry, and what of the registry no set names. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from images.artifact_set import ArtifactSet, SetImage
from images.oci.parts import Document, Part

Held = Mapping[str, frozenset[str]]
"""Digests of manifests by repository."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """`documents`: whatever a document names comes before it; the last one is what the tag means."""

    named: SetImage
    documents: tuple[Document, ...]

    @property
    def blobs(self) -> tuple[Part, ...]:
        return tuple(dict.fromkeys(part for document in self.documents for part in document.blobs))


def images_of(described: ArtifactSet, documents: Callable[[SetImage], tuple[Document, ...]]) -> tuple[Image, ...]:
    return tuple(Image(named=image, documents=documents(image)) for image in described.images)


def blobs_of(images: Iterable[Image]) -> tuple[Part, ...]:
    """Each once, however many images share it."""
    return tuple(dict.fromkeys(part for image in images for part in image.blobs))


def bytes_of(described: ArtifactSet, images: Iterable[Image]) -> int:
    return sum(file.size for file in described.files) + sum(part.size for part in blobs_of(images))


def named_by(images: Iterable[Image]) -> Held:
    named = dict[str, frozenset[str]]()
    for image in images:
        digests = frozenset(document.digest for document in image.documents)
        named[image.named.repository] = named.get(image.named.repository, frozenset()) | digests
    return named


def unnamed(held: Held, named: Held, unsure: frozenset[str]) -> Held:
    """What may go. Of repositories in `unsure` nothing does: a set that is not complete has images there, and what they
    name is not known."""
    left = {name: digests - named.get(name, frozenset()) for name, digests in held.items() if name not in unsure}
    return {name: digests for name, digests in left.items() if digests}
