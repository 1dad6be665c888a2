"""An artifact set of Debian's own packages: those that are named, and of what they need whatever a machine's image has
not.

The entry in the store is the set's folder: `set.json`, and every package under its own name. `unpack` makes it.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from images import rootfs
from images.archive import SUITE, Archive
from images.artifact_set import DESCRIPTION, ArtifactSet, Engine, Provenance, SetFile, read_set
from images.debian import recipe as debian
from images.errors import BuildError
from images.kubernetes.suite import Suite
from images.ramdisk.modules import Variant
from images.recipe import Recipe, ensure, hashes
from images.store import Entry, Store, sha256_of

PACKAGE = "package"
"""The role of what every machine needs."""
_PACKAGE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianSet:
    """`packages` by name. Those in `apart` have their names for roles: not every machine needs them. The set's version
    is that of the package `versioned`."""

    engine: Engine
    packages: tuple[str, ...]
    versioned: str
    apart: tuple[str, ...] = ()

    def recipe_of(self, variant: Variant) -> Recipe:
        return Recipe(
            name=f"{self.engine}-{variant}",
            suite=SUITE,
            packages=self.packages,
            options=(debian.base_recipe(variant).key, self.versioned, *self.apart),
            sources=hashes(_PACKAGE, ("debian_set.py", "kubernetes/suite.py", "artifact_set.py")),
        )

    def ensure(self, variant: Variant, store: Store, archive: Archive) -> Entry:
        """For machines that the image `debian-13` of that variant was written to. Raises ImagesError."""

        def build(work: Path) -> Mapping[str, Path]:
            folder = work / "set"
            folder.mkdir()
            debs = self._lacking(variant, work, store, archive)
            files = tuple(self._files(debs, folder))
            (folder / DESCRIPTION).write_bytes(self.described(self.version_of(debs), files).to_json())
            return {name: folder / name for name in (DESCRIPTION, *(file.name for file in files))}

        return ensure(self.recipe_of(variant), store, build, archive.progress)

    def described(self, version: str, files: Sequence[SetFile]) -> ArtifactSet:
        return ArtifactSet(
            engine=self.engine,
            version=version,
            arch="amd64",
            provenance=Provenance.GENUINE,
            files=tuple(sorted(files, key=lambda file: file.name)),
            images=(),
        )

    def version_of(self, debs: Sequence[Path]) -> str:
        """Raises BuildError where the package that it is of is not there."""
        for deb in debs:
            name, _, rest = deb.name.partition("_")
            if name == self.versioned:
                return unquote(rest.partition("_")[0]).rpartition(":")[2].replace("~", ".")
        found = ", ".join(deb.name for deb in debs)[:300]
        raise BuildError(f"the archive has no {self.versioned}", evidence=found)

    def _lacking(self, variant: Variant, work: Path, store: Store, archive: Archive) -> tuple[Path, ...]:
        tree, own = work / "base", work / "apt"
        tree.mkdir()
        own.mkdir()
        initramfs = Path(debian.__file__).with_name("initramfs")
        rootfs.unpack(rootfs.ensure_base(debian.base_recipe(variant), initramfs, store, archive), tree, store, archive)
        return Suite(name=SUITE, archive=archive).lacking(self.packages, tree / "var/lib/dpkg/status", own)

    def _files(self, debs: Sequence[Path], folder: Path) -> Iterator[SetFile]:
        for deb in debs:
            package = deb.name.partition("_")[0]
            target = folder / _plain(deb.name)
            shutil.copyfile(deb, target)
            role = package if package in self.apart else PACKAGE
            yield SetFile(name=target.name, role=role, size=target.stat().st_size, sha256=sha256_of(target))


def unpack(entry: Entry, store: Store, folder: Path) -> ArtifactSet:
    """The set below `folder`, which is made. Raises ImagesError."""
    folder.mkdir(parents=True)
    for artifact in entry.artifacts:
        shutil.copyfile(store.path_of(artifact.sha256), folder / artifact.name)
    return read_set((folder / DESCRIPTION).read_bytes())


def _plain(name: str) -> str:
    """A file's name without what a set's names may not have: `%3a` for the epoch's colon, and the tilde."""
    return unquote(name).replace(":", ".").replace("~", ".")
