"""A set's way from its folder into the registry and onto the shelf. Blocks.

Everything is hashed before anything is sent, what is there already is not sent again, and what came of it is asked of
the registry."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from appliance.errors import MachineryError
from appliance.registry.completeness import Depth, Gap, gaps, require
from appliance.registry.contents import Image, blobs_of, bytes_of, images_of
from appliance.registry.link import Registry
from appliance.registry.shelf import SetShelf
from appliance.registry.sweep import discard
from images.artifact_set import ArtifactSet
from images.oci.parts import Part
from images.set_folder import SetFolder

_SPARE = 256 << 20
"""Bytes: the appliance's records are on the same disk."""


@dataclass(kw_only=True)
class Progress:
    """Read by others while it grows. `doing` is for people; bytes of `total`."""

    doing: str = ""
    done: int = 0
    total: int = 0

    def begin(self, doing: str, total: int) -> None:
        self.doing, self.done, self.total = doing, 0, total

    def add(self, size: int) -> None:
        self.done += size


@dataclass(kw_only=True)
class Importer:
    """`reading` is the door that nodes use, `writing` the appliance's own, `store` the folder behind both. `stopped`
    says that the daemon ends."""

    reading: Registry
    writing: Registry
    shelf: SetShelf
    store: Path
    progress: Progress = field(default_factory=Progress)
    stopped: Callable[[], bool] = lambda: False
    _homes: dict[Part, str] = field(default_factory=dict)

    def take(self, folder: SetFolder, described: ArtifactSet) -> int:
        """Its size in bytes. Raises `SetError` for a set that is not what it says, before anything of it is used;
        `IncompleteError` where it cannot be read back afterwards."""
        images = self._examined(folder, described)
        size = bytes_of(described, images)
        self._make_sure_of_room(size)
        self._copy(folder, described, images)
        found = self._read_back(described, size)
        if found:  # the disk has changed what an earlier import left there
            for gap in found:
                discard(self.store, gap.digest)
            self._copy(folder, described, images)
            found = self._read_back(described, size)
        require(described.name, found)
        return size

    def _make_sure_of_room(self, size: int) -> None:
        """As if nothing of it were there yet."""
        free = shutil.disk_usage(self.store).free
        if free < size + _SPARE:
            raise MachineryError(
                "the disk of the registry has no room for this set",
                evidence=f"{size + _SPARE} bytes are wanted, {free} are free",
                next_action=f"remove other sets, or make room on the disk of {self.store}",
            )

    def _read_back(self, described: ArtifactSet, size: int) -> tuple[Gap, ...]:
        self.progress.begin("reading back", size)
        return gaps(described, self.reading, self.shelf, Depth.CONTENT, self._add)

    def _examined(self, folder: SetFolder, described: ArtifactSet) -> tuple[Image, ...]:
        images = images_of(described, lambda image: folder.documents(image.digest))
        self.progress.begin("hashing", bytes_of(described, images))
        for file in described.files:
            folder.check_file(file.name, file.size, file.sha256, self._add)
        for part in blobs_of(images):
            folder.check_blob(part.digest, part.size, self._add)
        return images

    def _copy(self, folder: SetFolder, described: ArtifactSet, images: tuple[Image, ...]) -> None:
        self.progress.begin("copying", bytes_of(described, images))
        self._homes.clear()
        for file in described.files:
            self.shelf.take(described.name, file, folder, self._add)
        for image in images:
            self._send(image, folder)

    def _send(self, image: Image, folder: SetFolder) -> None:
        repository = image.named.repository
        for part in image.blobs:
            if self.writing.size_of_blob(repository, part.digest) != part.size and not self._mounted(repository, part):
                with folder.blob(part.digest) as content:
                    self.writing.put_blob(repository, part, content)
            self._add(0 if part in self._homes else part.size)
            self._homes.setdefault(part, repository)
        for document in image.documents:
            last = document.digest == image.named.digest
            self.writing.put_manifest(repository, image.named.tag if last else document.digest, document)

    def _mounted(self, repository: str, part: Part) -> bool:
        home = self._homes.get(part)
        return home is not None and self.writing.mount(repository, part, home)

    def _add(self, size: int) -> None:
        """Called for every piece: here a long import can be left, and the next one goes on."""
        if self.stopped():
            raise MachineryError("the appliance stops", next_action="do it again when it is back: it goes on there")
        self.progress.add(size)
