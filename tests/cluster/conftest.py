"""What cluster tests share: the artifact set that we build of Kubernetes, and a root file system for nodes."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from appliance.lab.demo import IMAGES
from images.__main__ import archive
from images.artifact_set import ArtifactSet
from images.debian_set import DebianSet, unpack
from images.kubernetes import recipe as kubernetes
from images.podman.recipe import PODMAN
from images.ramdisk.modules import Variant
from images.slurm.recipe import SLURM
from images.store import Entry, Store
from tests.cluster.tree import base_of, ensure_base, make_tree

if TYPE_CHECKING:
    from tests.cluster.place import Place

VARIANT = Variant.CLOUD
_LATER = "test_apps.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifacts:
    folder: Path
    set: ArtifactSet


def pytest_runtest_setup() -> None:
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: nodes need root for their namespaces")


@pytest.fixture(scope="session")
def artifacts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    return kubernetes_set(request.config, tmp_path_factory.mktemp("set") / "kubernetes")


def kubernetes_set(config: pytest.Config, folder: Path) -> Artifacts:
    """Unpacked. `--all` builds it where it is not in the store."""
    store = Store(IMAGES)
    entry = _found(store) or _built(store, config)
    return Artifacts(folder=folder, set=kubernetes.unpack(entry, store, folder, archive()))


@pytest.fixture(scope="session")
def slurm_artifacts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    """As `artifacts`, of Slurm."""
    return debian_artifacts(SLURM, request.config, tmp_path_factory.mktemp("set") / "slurm")


@pytest.fixture(scope="session")
def podman_artifacts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    return debian_artifacts(PODMAN, request.config, tmp_path_factory.mktemp("set") / "podman")


def debian_artifacts(of: DebianSet, config: pytest.Config, folder: Path) -> Artifacts:
    """Unpacked. `--all` builds it where it is not in the store."""
    store, recipe = Store(IMAGES), of.recipe_of(VARIANT)
    entry = store.find(recipe.name, recipe.key)
    if entry is None and not _may_build(config):
        pytest.skip(f"NOT TESTED: no {of.engine} is in the store; build it (a minute): ./run image {of.engine}")
    return Artifacts(folder=folder, set=unpack(entry or of.ensure(VARIANT, store, archive()), store, folder))


@pytest.fixture(scope="session")
def tree(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node's root file system. `--all` builds its packages where they are not in the store."""
    store, folder = Store(IMAGES), tmp_path_factory.mktemp("tree") / "debian-13"
    base = base_of(VARIANT, store)
    if base is None and not _may_build(request.config):
        pytest.skip("NOT TESTED: the packages of debian-13 are not in the store; build it: ./run image")
    make_tree(base or ensure_base(VARIANT, store, archive()), folder, store, archive())
    return folder


@pytest.fixture(scope="session")
def shared(artifacts: Artifacts, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Place"]:
    """Three machines, called plane, worker and spare, for more than one module: a cluster takes a minute to form."""
    from tests.cluster.nodes import nodes
    from tests.cluster.place import place

    with place(artifacts, tree, tmp_path_factory.mktemp("ground"), nodes("plane", "worker", "spare")) as made:
        yield made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs on a cluster comes after what makes one of the same machines."""
    items.sort(key=lambda item: item.path.name == _LATER and item.path.parent == Path(__file__).parent)


def _found(store: Store) -> Entry | None:
    recipe = kubernetes.recipe_of(VARIANT)
    return store.find(recipe.name, recipe.key)


def _built(store: Store, config: pytest.Config) -> Entry:
    if not _may_build(config):
        pytest.skip("NOT TESTED: there is no Kubernetes in the store; build it (15 minutes): ./run image kubernetes")
    return kubernetes.ensure_kubernetes(VARIANT, store, archive())


def _may_build(config: pytest.Config) -> bool:
    """Under --all, which selects tests by this expression."""
    return "long or not long" in str(config.option.markexpr)
