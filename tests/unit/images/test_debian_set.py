"""Sets of Debian's packages; that they install and run is shown in tests/cluster."""

from pathlib import Path

import pytest

from images.artifact_set import Engine, SetFile
from images.debian_set import DebianSet, unpack
from images.errors import BuildError, SetError
from images.podman.recipe import PODMAN
from images.ramdisk.modules import Variant
from images.slurm.recipe import SLURM
from images.store import Entry, Store, sha256_of


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("slurmctld_24.11.5-4+deb13u1_amd64.deb", "24.11.5-4+deb13u1"),
        ("slurmctld_1%3a25.05.1~rc1-2_amd64.deb", "25.05.1.rc1-2"),
    ],
)
def test_the_version_is_the_packages(name: str, version: str) -> None:
    assert SLURM.version_of((Path("munge_0.5_amd64.deb"), Path(name))) == version


def test_an_archive_without_slurm_is_none() -> None:
    with pytest.raises(BuildError, match="no slurmctld"):
        SLURM.version_of((Path("munge_0.5_amd64.deb"),))


def _entry(store: Store, folder: Path, change: bytes = b"") -> Entry:
    folder.mkdir()
    (folder / "slurmd.deb").write_bytes(b"slurmd")
    file = SetFile(name="slurmd.deb", role="slurmd", size=6, sha256=sha256_of(folder / "slurmd.deb"))
    (folder / "set.json").write_bytes(SLURM.described("24.11.5-4", (file,)).to_json() + change)
    artifacts = tuple(store.put(folder / name, name) for name in ("set.json", "slurmd.deb"))
    return Entry(recipe="slurm-cloud", key="ab" * 32, artifacts=artifacts)


def test_an_entry_becomes_the_sets_folder(tmp_path: Path) -> None:
    store, folder = Store(tmp_path / "store"), tmp_path / "set"
    found = unpack(_entry(store, tmp_path / "built"), store, folder)
    assert (found.engine, found.name) == (Engine.SLURM, "slurm-24.11.5-4-amd64")
    assert sorted(path.name for path in folder.iterdir()) == ["set.json", "slurmd.deb"]


def test_an_entry_whose_description_is_not_in_its_only_form_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(SetError):
        unpack(_entry(store, tmp_path / "built", b" "), store, tmp_path / "set")


@pytest.mark.parametrize("of", [SLURM, PODMAN], ids=lambda of: of.engine.value)
def test_each_variant_of_the_image_has_a_set_of_its_own(of: DebianSet) -> None:
    cloud, generic = of.recipe_of(Variant.CLOUD), of.recipe_of(Variant.GENERIC)
    assert cloud.key != generic.key
    assert cloud.name == f"{of.engine}-cloud"
