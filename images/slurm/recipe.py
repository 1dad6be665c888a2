"""Slurm as a set: Debian's packages, and of what they need whatever the machines' image has not.

The entry in the store is the set's folder: `set.json`, and every package under its own name. `unpack` makes it.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

NAME = "slurm"
PACKAGE = "package"
"""The role of what every machine needs. The packages of the two daemons have their names for roles."""
_DAEMONS = ("slurmctld", "slurmd")
_PACKAGES = ("munge", "slurm-client", *_DAEMONS)
_PACKAGE = Path(__file__).parent.parent


def recipe_of(variant: Variant) -> Recipe:
    return Recipe(
        name=f"{NAME}-{variant}",
        suite=SUITE,
        packages=_PACKAGES,
        options=(debian.base_recipe(variant).key,),
        sources=hashes(_PACKAGE, ("slurm/*.py", "kubernetes/suite.py", "artifact_set.py")),
    )


def ensure_slurm(variant: Variant, store: Store, archive: Archive) -> Entry:
    """For machines that the image `debian-13` of that variant was written to. Raises ImagesError."""

    def build(work: Path) -> Mapping[str, Path]:
        folder = work / "set"
        folder.mkdir()
        debs = _lacking(variant, work, store, archive)
        files = tuple(_files(debs, folder))
        (folder / DESCRIPTION).write_bytes(described(version_of(debs), files).to_json())
        return {name: folder / name for name in (DESCRIPTION, *(file.name for file in files))}

    return ensure(recipe_of(variant), store, build, archive.progress)


def described(version: str, files: Iterable[SetFile]) -> ArtifactSet:
    return ArtifactSet(
        engine=Engine.SLURM,
        version=version,
        arch="amd64",
        provenance=Provenance.GENUINE,
        files=tuple(sorted(files, key=lambda file: file.name)),
        images=(),
    )


def version_of(debs: Sequence[Path]) -> str:
    """Of the package slurmctld. Raises BuildError where there is none."""
    for deb in debs:
        name, _, rest = deb.name.partition("_")
        if name == _DAEMONS[0]:
            return unquote(rest.partition("_")[0]).rpartition(":")[2].replace("~", ".")
    raise BuildError("the archive has no slurmctld", evidence=", ".join(deb.name for deb in debs)[:300])


def unpack(entry: Entry, store: Store, folder: Path) -> ArtifactSet:
    """The set below `folder`, which is made. Raises ImagesError."""
    folder.mkdir(parents=True)
    for artifact in entry.artifacts:
        shutil.copyfile(store.path_of(artifact.sha256), folder / artifact.name)
    return read_set((folder / DESCRIPTION).read_bytes())


def _lacking(variant: Variant, work: Path, store: Store, archive: Archive) -> tuple[Path, ...]:
    tree, own = work / "base", work / "apt"
    tree.mkdir()
    own.mkdir()
    initramfs = Path(debian.__file__).with_name("initramfs")
    rootfs.unpack(rootfs.ensure_base(debian.base_recipe(variant), initramfs, store, archive), tree, store, archive)
    return Suite(name=SUITE, archive=archive).lacking(_PACKAGES, tree / "var/lib/dpkg/status", own)


def _files(debs: Sequence[Path], folder: Path) -> Iterator[SetFile]:
    for deb in debs:
        package = deb.name.partition("_")[0]
        target = folder / _plain(deb.name)
        shutil.copyfile(deb, target)
        role = package if package in _DAEMONS else PACKAGE
        yield SetFile(name=target.name, role=role, size=target.stat().st_size, sha256=sha256_of(target))


def _plain(name: str) -> str:
    """A file's name without what a set's names may not have: `%3a` for the epoch's colon, and the tilde."""
    return unquote(name).replace(":", ".").replace("~", ".")
