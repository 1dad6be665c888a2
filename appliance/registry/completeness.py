"""Whether a set is all there: each manifest, configuration and layer that it names is asked for where nodes will ask,
and each of its files is looked at. Blocks."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from appliance.errors import IncompleteError
from appliance.registry.link import Registry, RegistryRefusalError
from appliance.registry.shelf import SetShelf
from images.artifact_set import ArtifactSet, SetImage
from images.errors import SetError
from images.oci.parts import Document, Part, digest_of, tree, true_document

Told = Callable[[int], None]
_SHOWN = 5


class Depth(Enum):
    """`SIZES`: everything answers and has the size that it should have; seconds. `CONTENT`: everything is read and
    hashed, as a node would; as long as the disk takes."""

    SIZES = "sizes"
    CONTENT = "content"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """`where` is a file's name, or an image with the repository that it stands in."""

    where: str
    digest: str
    fault: str

    @property
    def text(self) -> str:
        return f"{self.where} {self.digest}: {self.fault}"


def require(name: str, found: tuple[Gap, ...]) -> None:
    """Raises `IncompleteError` that names the first gaps."""
    if not found:
        return
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    raise IncompleteError(
        f"the set {name} is not complete: {len(found)} of its parts cannot be had",
        evidence="; ".join(gap.text for gap in found[:_SHOWN]) + more,
        next_action="import it again: what is there is not sent a second time",
    )


def gaps(
    described: ArtifactSet,
    registry: Registry,
    shelf: SetShelf,
    depth: Depth,
    told: Told = lambda _size: None,
) -> tuple[Gap, ...]:
    """Raises `MachineryError` where the registry does not answer: that says nothing of the set."""
    return (*_files(described, shelf, depth, told), *_Reader(registry, depth, told).gaps(described))


def _files(described: ArtifactSet, shelf: SetShelf, depth: Depth, told: Told) -> Iterator[Gap]:
    for file in described.files:
        if fault := shelf.fault_of(described.name, file, told if depth is Depth.CONTENT else None):
            yield Gap(where=file.name, digest=f"sha256:{file.sha256}", fault=fault)


def documents_in(registry: Registry, image: SetImage) -> tuple[Document, ...]:
    """As the registry has them. Raises `SetError` where one is missing or is not what it is called."""

    def read(digest: str) -> bytes:
        try:
            raw = registry.manifest(image.repository, digest)
        except RegistryRefusalError as error:
            raise SetError(str(error), evidence=error.evidence) from error
        if raw is None:
            raise SetError(f"there is no manifest {digest} in {image.repository}")
        return raw

    return tuple(tree(image.digest, read))


class _Reader:
    def __init__(self, registry: Registry, depth: Depth, told: Told) -> None:
        self._registry, self._depth, self._told = registry, depth, told
        self._whole = set[Part]()

    def gaps(self, described: ArtifactSet) -> Iterator[Gap]:
        for image in described.images:
            yield from self._tag(image)
            yield from self._manifest(image, image.digest, None)

    def _tag(self, image: SetImage) -> Iterator[Gap]:
        try:
            raw = self._registry.manifest(image.repository, image.tag)
        except RegistryRefusalError:
            return  # it is asked for by its digest next, and then says why
        if raw is None or digest_of(raw) != image.digest:
            fault = "the tag is missing" if raw is None else f"the tag means {digest_of(raw)}"
            yield Gap(where=image.name, digest=image.digest, fault=fault)

    def _manifest(self, image: SetImage, digest: str, size: int | None) -> Iterator[Gap]:
        found = self._document(image, digest, size)
        if isinstance(found, str):
            yield Gap(where=image.name, digest=digest, fault=found)
            return
        for part in found.manifests:
            yield from self._manifest(image, part.digest, part.size)
        for part in dict.fromkeys(found.blobs):
            if fault := self._fault_of(image, part):
                yield Gap(where=image.name, digest=part.digest, fault=fault)

    def _document(self, image: SetImage, digest: str, size: int | None) -> Document | str:
        """Or what is wrong with it. `size` None: nobody has said how large it is."""
        try:
            there = self._registry.size_of_manifest(image.repository, digest)
            raw = self._registry.manifest(image.repository, digest) if there is not None else None
            if raw is None:
                return "the manifest is missing"
            document = true_document(digest, raw)
        except (RegistryRefusalError, SetError) as error:
            return f"{error}; {error.evidence}"
        return document if there == len(raw) == (size or there) else f"the manifest has {there} bytes"

    def _fault_of(self, image: SetImage, part: Part) -> str:
        try:
            there = self._registry.size_of_blob(image.repository, part.digest)
        except RegistryRefusalError as error:
            return error.evidence
        if there is None:
            return "the blob is missing"
        if there != part.size:
            return f"the blob has {there} bytes where {part.size} belong"
        if self._depth is Depth.SIZES or part in self._whole:
            return ""
        return self._read(image, part)

    def _read(self, image: SetImage, part: Part) -> str:
        seen = hashlib.sha256()

        def take(piece: bytes) -> None:
            seen.update(piece)
            self._told(len(piece))

        if not self._registry.stream(image.repository, part.digest, take):
            return "the blob cannot be read"
        if (found := f"sha256:{seen.hexdigest()}") != part.digest:
            return f"the blob was changed: it hashes to {found}"
        self._whole.add(part)
        return ""
