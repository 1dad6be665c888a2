"""Kubernetes as a set that we build ourselves: real programs to provision and to test with, of an old version.

The store keeps files, so the set's layout of container images is one tar there:

    set.json            the description, see `images.artifact_set`
    oci.tar             the layout
    kubeadm, ...        every other file of the set under its own name

`unpack` makes the set's folder of that.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from images import rootfs
from images.archive import SUITE, Archive
from images.artifact_set import DESCRIPTION, LAYOUT, ArtifactSet, Engine, Provenance, SetFile, SetImage, read_set
from images.debian import recipe as debian
from images.epoch import EPOCH
from images.kubernetes import binaries, containers
from images.kubernetes.suite import Suite
from images.oci.layout import Layout
from images.processes import check
from images.ramdisk.modules import Variant
from images.recipe import Recipe, ensure, hashes
from images.store import Entry, Store, sha256_of

NAME = "kubernetes"
PACKAGE = "package"
"""The role of a .deb; the other files have their names for roles."""
_NODE_PROGRAMS = ("kubeadm", "kubectl", "kubelet")
_SHIM = "crictl"
_NODE_PACKAGES = (
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "ebtables",
    "ethtool",
    "iptables",
    "keepalived",
    "kmod",
    "runc",
    "socat",
)
_LAYOUT_TAR = f"{LAYOUT}.tar"
_HERE = Path(__file__).parent
_PACKAGE = _HERE.parent


def recipe_of(variant: Variant) -> Recipe:
    return Recipe(
        name=f"{NAME}-{variant}",
        suite=SUITE,
        packages=(*_NODE_PACKAGES, *containers.PACKAGES),
        options=(binaries.binaries_recipe().key, debian.base_recipe(variant).key),
        sources=hashes(_PACKAGE, ("kubernetes/*", "oci/*.py", "artifact_set.py")),
    )


def ensure_kubernetes(variant: Variant, store: Store, archive: Archive) -> Entry:
    """For nodes that the image `debian-13` of that variant was written to. Raises ImagesError."""

    def build(work: Path) -> Mapping[str, Path]:
        folder, programs = work / "set", binaries.ensure_binaries(store, archive)
        images = containers.write(Layout.create(folder / LAYOUT), programs, store, archive, work)
        packages = _lacking(variant, work, store, archive)
        files = (*_programs(programs, store, folder), *_packages(packages, folder))
        (folder / DESCRIPTION).write_bytes(_described(files, images).to_json())
        names = (DESCRIPTION, *(file.name for file in files))
        return {**{name: folder / name for name in names}, _LAYOUT_TAR: _pack(folder, work, archive)}

    return ensure(recipe_of(variant), store, build, archive.progress)


def _described(files: Iterable[SetFile], images: tuple[SetImage, ...]) -> ArtifactSet:
    return ArtifactSet(
        engine=Engine.KUBEADM,
        version=binaries.VERSION,
        arch="amd64",
        provenance=Provenance.REBUILT,
        files=tuple(sorted(files, key=lambda file: file.name)),
        images=images,
    )


def unpack(entry: Entry, store: Store, folder: Path, archive: Archive) -> ArtifactSet:
    """The set below `folder`, which is made. Raises ImagesError."""
    folder.mkdir(parents=True)
    for artifact in entry.artifacts:
        if artifact.name != _LAYOUT_TAR:
            shutil.copyfile(store.path_of(artifact.sha256), folder / artifact.name)
    tarball = store.path_of(entry.artifact(_LAYOUT_TAR).sha256)
    check(archive.processes, ["tar", "-C", str(folder), "-xf", str(tarball)], timeout=300)
    return read_set((folder / DESCRIPTION).read_bytes())


def _programs(programs: Entry, store: Store, folder: Path) -> Iterator[SetFile]:
    for name in _NODE_PROGRAMS:
        yield _file(store.path_of(programs.artifact(name).sha256), folder / name, role=name)
    yield _file(_HERE / _SHIM, folder / _SHIM, role=_SHIM)


def _packages(debs: Sequence[Path], folder: Path) -> Iterator[SetFile]:
    for deb in debs:
        yield _file(deb, folder / _plain(deb.name), role=PACKAGE)


def _lacking(variant: Variant, work: Path, store: Store, archive: Archive) -> tuple[Path, ...]:
    tree, own = work / "base", work / "apt"
    tree.mkdir()
    own.mkdir()
    initramfs = Path(debian.__file__).with_name("initramfs")
    rootfs.unpack(rootfs.ensure_base(debian.base_recipe(variant), initramfs, store, archive), tree, store, archive)
    status = tree / "var/lib/dpkg/status"
    return Suite(name=SUITE, archive=archive).lacking(_NODE_PACKAGES, status, own)


def _plain(name: str) -> str:
    """A file's name without what a set's names may not have: `%3a` for the epoch's colon, and the tilde."""
    return unquote(name).replace(":", ".").replace("~", ".")


def _file(source: Path, target: Path, *, role: str) -> SetFile:
    shutil.copyfile(source, target)
    return SetFile(name=target.name, role=role, size=target.stat().st_size, sha256=sha256_of(target))


def _pack(folder: Path, work: Path, archive: Archive) -> Path:
    target = work / _LAYOUT_TAR
    form = ("--sort=name", f"--mtime=@{EPOCH}", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX")
    check(archive.processes, ["tar", "-C", str(folder), *form, "-cf", str(target), LAYOUT], timeout=300)
    return target
