"""A folder that a person has filled becomes a set, and whatever would not be one is refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from images.artifact_set import Engine, Provenance, SetFile, read_set
from images.errors import SetError
from images.set_folder import SetFolder
from images.set_making import describe, write_description
from tests.contract.registry import make_set


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[SetFolder]:
    make_set(tmp_path / "set")
    opened = SetFolder(tmp_path / "set")
    yield opened
    opened.close()


def of(folder: SetFolder, **roles: str) -> object:
    return describe(
        folder, engine=Engine.K3S, version="v1.33.4+k3s1", arch="amd64", provenance=Provenance.GENUINE, roles=roles
    )


def test_it_says_what_stands_there(folder: SetFolder, tmp_path: Path) -> None:
    described = describe(
        folder,
        engine=Engine.K3S,
        version="v1.33.4+k3s1",
        arch="amd64",
        provenance=Provenance.GENUINE,
        roles={"kubelet": "node-binary"},
    )
    assert described.name == "k3s-v1.33.4+k3s1-amd64"
    (file,) = described.files
    assert (file.name, file.role, file.size) == ("kubelet", "node-binary", 35_004)
    assert [image.name for image in described.images] == ["apps/web:v1.20.2", "k8s/pause:3.2"]
    write_description(tmp_path / "set", described)
    assert read_set((tmp_path / "set/set.json").read_bytes()) == described == folder.description()


@pytest.mark.parametrize("roles", [{}, {"kubelet": "x", "kubeadm": "y"}, {"kubeadm": "x"}], ids=str)
def test_each_file_has_a_role(folder: SetFolder, roles: dict[str, str]) -> None:
    with pytest.raises(SetError, match="do not agree"):
        of(folder, **roles)


def test_a_layer_that_is_not_what_it_is_called(folder: SetFolder, tmp_path: Path) -> None:
    largest = max((tmp_path / "set/oci/blobs/sha256").iterdir(), key=lambda file: file.stat().st_size)
    largest.write_bytes(b"something else")
    with pytest.raises(SetError):
        of(folder, kubelet="kubelet")


def test_nothing_but_files_and_folders(tmp_path: Path) -> None:
    """A pipe would be waited for, a link could lead anywhere."""
    import os

    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to("real")
    with pytest.raises(SetError):
        SetFolder(tmp_path / "linked")
    os.mkfifo(tmp_path / "real/pipe")
    opened = SetFolder(tmp_path / "real")
    with pytest.raises(SetError, match="pipe"):
        opened.check_file("pipe", 0, SetFile(name="pipe", role="x", size=0, sha256="0" * 64).sha256)
    opened.close()


def test_what_befalls_the_reader_is_no_fault_of_the_set(folder: SetFolder) -> None:
    """A full disk on the other side is not a set that cannot be read."""
    with pytest.raises(OSError, match="No space") as caught, folder.file("kubelet"):
        raise OSError(28, "No space left on device")
    assert not isinstance(caught.value, SetError)
