"""What lies in the artefact store, and what machines make of it."""

import asyncio
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import MachineryError, NotFoundError
from appliance.model.ids import MachineName
from appliance.model.image_views import ArtifactView, HashState, ImagesView, ImageView
from images.errors import ImagesError
from images.store import Artifact, Entry, Store

_WORST = (HashState.MISSING, HashState.CHANGED, HashState.UNCHECKED, HashState.WHOLE)
Users = Mapping[str, Sequence[MachineName]]
"""Machines by the SHA-256 of an artefact that they were installed from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """What tells without hashing gigabytes whether a file was touched."""

    size: int
    changed_ns: int
    inode: int


class Shelf:
    """`served` are entries whose content was hashed just before."""

    def __init__(self, root: Path, served: Iterable[Entry]) -> None:
        self._store = Store(root)
        self._served = {(entry.recipe, entry.key) for entry in served}
        artifacts = (artifact for entry in served for artifact in entry.artifacts)
        self._marks = {one.sha256: _mark(self._store.path_of(one.sha256)) for one in artifacts}

    async def images(self, users: Users, now: float) -> ImagesView:
        """Raises `MachineryError` where the store cannot be read."""
        return await asyncio.to_thread(self._images, users, now)

    async def image(self, name: str, users: Users, now: float) -> ImageView:
        """The one that is served, where there are several of that name. Raises `NotFoundError`."""
        images = (await self.images(users, now)).images
        for image in images:
            if name in (image.name, image.version):
                return image
        raise NotFoundError(
            f"no image is called {name[:70]}",
            evidence=f"{len(images)} in the store",
            next_action="see which there are: innervate image ls",
        )

    def _images(self, users: Users, now: float) -> ImagesView:
        try:
            entries = self._store.entries()
            free = shutil.disk_usage(self._store.root).free if self._store.root.exists() else None
        except (ImagesError, OSError) as error:
            raise MachineryError(
                "the artefact store cannot be read", evidence=str(error), next_action=f"look at {self._store.root}"
            ) from error
        views = [self._image(entry, users, now) for entry in entries]
        return ImagesView(images=tuple(sorted(views, key=lambda one: (not one.served, one.name))), free_bytes=free)

    def _image(self, entry: Entry, users: Users, now: float) -> ImageView:
        artifacts = tuple(self._artifact(artifact) for artifact in entry.artifacts)
        names = {name for one in entry.artifacts for name in users.get(one.sha256, ())}
        return ImageView(
            name=entry.recipe,
            version=entry.key,
            size_bytes=sum(one.size_bytes for one in artifacts),
            sha256=max(artifacts, key=lambda one: one.size_bytes).sha256 if artifacts else "",
            served=(entry.recipe, entry.key) in self._served,
            state=min((one.state for one in artifacts), key=_WORST.index, default=HashState.MISSING),
            looked=now,
            machines=tuple(sorted(names)),
            artifacts=artifacts,
        )

    def _artifact(self, artifact: Artifact) -> ArtifactView:
        return ArtifactView(
            name=artifact.name,
            sha256=artifact.sha256,
            size_bytes=artifact.size,
            media_type=artifact.media,
            state=self._state(artifact),
        )

    def _state(self, artifact: Artifact) -> HashState:
        now, then = _mark(self._store.path_of(artifact.sha256)), self._marks.get(artifact.sha256)
        if now is None:
            return HashState.MISSING
        if now.size != artifact.size or (then is not None and now != then):
            return HashState.CHANGED
        return HashState.UNCHECKED if then is None else HashState.WHOLE


def _mark(path: Path) -> _Mark | None:
    """None where there is no such file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return _Mark(size=found.st_size, changed_ns=found.st_ctime_ns, inode=found.st_ino)
