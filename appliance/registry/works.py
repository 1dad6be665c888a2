"""What is done with whole sets: imported, asked for, removed. Blocks."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

from appliance.errors import ConflictError, UsageError
from appliance.registry.completeness import Depth, Gap, documents_in, gaps
from appliance.registry.contents import Image, named_by, unnamed
from appliance.registry.importing import Importer, Progress
from appliance.registry.link import Registry
from appliance.registry.service import RegistryService
from appliance.registry.shelf import SetShelf
from appliance.registry.sweep import collect, delete, held
from appliance.registry.trust import SIGNATURE_LIMIT, require_trusted
from images.artifact_set import ArtifactSet
from images.errors import SetError, SignatureError
from images.ports import Processes
from images.set_folder import SetFolder
from images.signature import PublicKey

Told = Callable[[int], None]


class SetWorks:
    """Whoever calls sees to it that one at a time is at work. `stopped` says that the daemon ends; `trusted` are whose
    applications are taken, whoever's if there are none."""

    def __init__(
        self,
        service: RegistryService,
        shelf: SetShelf,
        processes: Processes,
        stopped: Callable[[], bool],
        trusted: Collection[PublicKey] = (),
    ) -> None:
        self.service, self.shelf = service, shelf
        self._processes, self._stopped, self._trusted = processes, stopped, trusted

    def answers(self) -> bool:
        with self.service.links() as links:
            return all(link.answers() for link in links)

    def take(self, path: Path, others: Mapping[str, ArtifactSet], progress: Progress) -> tuple[ArtifactSet, int]:
        """The set in the folder, and its size in bytes. `others` are held, by name. Raises `UsageError` for one that is
        not what it says, or of nobody who is trusted, `ConflictError` where another one has its name."""
        try:
            folder = SetFolder(path)
            try:
                described = folder.description()
                require_trusted(described, partial(folder.small, limit=SIGNATURE_LIMIT), self._trusted)
                _distinct(described, others)
                with self.service.links() as (reading, writing):
                    importer = Importer(
                        reading=reading,
                        writing=writing,
                        shelf=self.shelf,
                        store=self.service.files.store,
                        progress=progress,
                        stopped=self._stopped,
                    )
                    return described, importer.take(folder, described)
            finally:
                folder.close()
        except (SetError, SignatureError) as error:
            raise UsageError(str(error), evidence=error.evidence, next_action=error.next_action) from error

    def gaps(self, described: ArtifactSet, depth: Depth, told: Told = lambda _size: None) -> tuple[Gap, ...]:
        with self.service.links() as (reading, _writing):
            return gaps(described, reading, self.shelf, depth, told)

    def remove(self, name: str, others: Collection[ArtifactSet], progress: Progress) -> None:
        """What `others` name, too, stays."""
        self.shelf.drop(name)
        self.sweep(others, progress)

    def sweep(self, kept: Collection[ArtifactSet], progress: Progress) -> None:
        """Whatever none of the sets that are kept names leaves the registry."""
        progress.begin("looking for what no set names", 0)
        with self.service.links() as (reading, writing):
            images, unsure = _known(reading, kept)
            surplus = unnamed(held(self.service.files.store), named_by(images), unsure)
            delete(writing, surplus)
        progress.begin("freeing the disk", 0)
        collect(self._processes, self.service.program, self.service.files.writing)


def _distinct(described: ArtifactSet, others: Mapping[str, ArtifactSet]) -> None:
    """A tag has one meaning, for all sets: nodes may pull by it."""
    other = others.get(described.name)
    if other is not None and other != described:
        raise ConflictError(
            f"another set is called {described.name}",
            evidence=f"that one is {other.provenance}, this one {described.provenance}; their parts differ",
            next_action=f"remove it first: innervate set remove {described.name}",
        )
    for other in others.values():
        meant = {image.name: image.digest for image in other.images}
        for image in described.images:
            if meant.get(image.name, image.digest) != image.digest:
                raise ConflictError(
                    f"{image.name} is another image in the set {other.name}",
                    evidence=f"{meant[image.name]} there, {image.digest} here",
                    next_action=f"give it another repository or tag, or: innervate set remove {other.name}",
                )


def _known(reading: Registry, kept: Collection[ArtifactSet]) -> tuple[tuple[Image, ...], frozenset[str]]:
    """And the repositories of images that are not whole."""
    found, unsure = list[Image](), set[str]()
    for described in kept:
        for image in described.images:
            try:
                found.append(Image(named=image, documents=documents_in(reading, image)))
            except SetError:
                unsure.add(image.repository)
    return tuple(found), frozenset(unsure)
