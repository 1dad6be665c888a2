"""An application's images, one after the other, in one layout. Equal input gives equal digests: trees and packages are
packed by us; what buildah makes of a Containerfile is made once and kept."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

from images.application.debs import Debs, unpacked
from images.application.description import Containerfile, Description, Ready, StatedImage, Tree
from images.application.source import Source
from images.archive import Archive
from images.artifact_set import SetImage
from images.epoch import EPOCH
from images.errors import PackageError
from images.oci import document, reading
from images.oci.content import Content, File, Folder
from images.oci.document import Blob
from images.oci.layout import Layout
from images.oci.parts import tree
from images.packages import Package
from images.processes import check
from images.store import Store

_ACCOUNTS: Content = {
    "etc/passwd": File(source=b"root:x:0:0::/root:/bin/false\nnobody:x:65534:65534::/:/bin/false\n"),
    "etc/group": File(source=b"root:x:0:\nnogroup:x:65534:\n"),
    "tmp": Folder(mode=0o1777),
}
_BUILD_BUDGET = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """`packages` is None where nothing says what is inside."""

    image: SetImage
    packages: tuple[Package, ...] | None


class Containers:
    def __init__(self, source: Source, layout: Path, store: Store, archive: Archive, work: Path) -> None:
        self._source, self._store, self._archive, self._work = source, store, archive, work
        self._layout = Layout.create(layout)
        self._adopted_too: list[Blob] = []

    def write(self) -> tuple[Made, ...]:
        """All of the description's. Raises ImagesError."""
        described = self._source.description
        made = tuple(self._made(described, image) for image in described.images)
        index = document.index_json((*self._layout.images, *self._adopted_too))
        (self._layout.folder / reading.INDEX).write_bytes(index)
        if faults := reading.check(self._layout.folder):
            raise PackageError(
                "an image is not whole", evidence=faults[0].describe(), next_action="make its layout again"
            )
        return tuple(sorted(made, key=lambda one: one.image.name))

    def _made(self, described: Description, image: StatedImage) -> Made:
        name = described.name_of(image.name)
        self._archive.progress(f"{name}: writing the image")
        match image.origin:
            case Tree() as origin:
                return self._tree(name, image.name, origin)
            case Containerfile() as containerfile:
                return _described(self._adopted(name, *self._built(image.name, containerfile)), None)
            case Ready(layout=layout, name=wanted):
                return _described(self._adopted(name, self._source.below(layout), wanted), None)
            case _:
                assert_never(image.origin)

    def _tree(self, name: str, short: str, origin: Tree) -> Made:
        below = unpacked(origin.packages, self._store, self._archive, self._work / f"packages-{short}")
        own = self._source.tree(origin.folder, origin.at) if origin.folder else {}
        layers = [self._layout.add_layer(content) for content in _contents(below, own)]
        return _described(self._layout.add_image(name, layers, origin.settings), below.packages)

    def _built(self, short: str, origin: Containerfile) -> tuple[Path, str]:
        """By buildah(1), without a daemon and without privileges of its own."""
        if shutil.which("buildah") is None:
            raise PackageError(
                f"images.{short}: a Containerfile is built by buildah, which is not on this machine",
                next_action="apt install buildah; or write the image as tree and packages",
            )
        context, built = self._source.below(origin.folder), self._work / f"built-{short}"
        self._source.content(f"{origin.folder}/{origin.file}")
        isolated = ["env", "BUILDAH_ISOLATION=chroot", "buildah", "--storage-driver=vfs"]
        storage = [f"--root={self._work / 'storage'}", f"--runroot={self._work / 'run'}"]
        form = ["bud", "--layers=false", f"--timestamp={EPOCH}", f"--file={context / origin.file}", f"--tag={short}"]
        for argv in ([*form, str(context)], ["push", short, f"oci:{built}:{short}"]):
            check(self._archive.processes, [*isolated, *storage, *argv], timeout=_BUILD_BUDGET)
        return built, short

    def _adopted(self, name: str, layout: Path, wanted: str) -> Blob:
        """An image with its own digest, whoever made it, and whatever it has for other architectures."""
        found = reading.image(layout, wanted) if wanted else _only(layout)
        try:
            for one in tree(found.digest, lambda digest: _file(layout, digest).read_bytes()):
                for digest in (one.digest, *(part.digest for part in one.blobs)):
                    shutil.copyfile(_file(layout, digest), _file(self._layout.folder, digest))
        except OSError as error:
            raise PackageError(
                f"{name}: its layout is not whole", evidence=str(error), next_action="make it again"
            ) from error
        self._adopted_too.append(replace(found, name=name))
        return self._adopted_too[-1]


def _only(layout: Path) -> Blob:
    match reading.images(layout):
        case (only,):
            return only
        case found:
            raise PackageError(
                f"the layout {layout.name} has {len(found)} images",
                evidence=", ".join(blob.name for blob in found)[:200],
                next_action='say which one: image = "NAME"',
            )


def _file(layout: Path, digest: str) -> Path:
    return layout / reading.BLOBS / digest.removeprefix("sha256:")


def _contents(below: Debs, own: Content) -> Iterator[Content]:
    yield _ACCOUNTS
    yield from (content for content in (below.content, own) if content)


def _described(blob: Blob, packages: Sequence[Package] | None) -> Made:
    repository, _, tag = blob.name.rpartition(":")
    image = SetImage(repository=repository, tag=tag, digest=blob.digest)
    return Made(image=image, packages=None if packages is None else tuple(packages))
