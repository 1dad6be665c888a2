"""Packages of applications in Debian's docker-registry: whose they are, and that nothing of a bad one gets in."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from appliance.errors import UsageError
from appliance.registry.completeness import Depth
from appliance.registry.importing import Progress
from appliance.registry.service import RegistryService
from appliance.registry.shelf import SetShelf
from appliance.registry.sweep import held
from appliance.registry.trust import keys_of
from appliance.registry.works import SetWorks
from images.application import signing
from images.application.build import package
from images.artifact_set import ArtifactSet, read_set
from images.processes import HostProcesses
from images.set_making import write_description
from images.signature import make_key
from images.store import Store
from tests.contract.registry import registry
from tests.packages import OFFLINE, plain_example

KEY, OTHER = make_key(bytes(range(40))), make_key(bytes(range(1, 41)))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryService]:
    with registry(tmp_path_factory.mktemp("registry") / "state") as running:
        yield running


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Signed with `KEY`; what it takes from Debian is left out."""
    folder = tmp_path_factory.mktemp("packaged")
    source = plain_example(folder / "source")
    return folder / package(source, folder, Store(folder / "store"), OFFLINE, KEY).name


@pytest.fixture
def folder(packaged: Path, tmp_path: Path) -> Path:
    shutil.copytree(packaged, tmp_path / "set")
    return tmp_path / "set"


@pytest.fixture
def works(service: RegistryService, tmp_path: Path) -> Iterator[SetWorks]:
    """Of a site that trusts `KEY`; over an empty registry."""
    trusted = keys_of([KEY.public.line])
    made = SetWorks(service, SetShelf(tmp_path / "shelf"), HostProcesses(), lambda: False, trusted)
    yield made
    made.sweep((), Progress())


def test_a_package_of_who_is_trusted_comes_and_goes(works: SetWorks, service: RegistryService, folder: Path) -> None:
    described, size = works.take(folder, {}, Progress())
    assert (described.name, described.application) == ("web-1.0.0-amd64", "web")
    assert works.gaps(described, Depth.CONTENT) == ()
    assert size > 2000
    (manifests,) = described.of_role("manifests")
    shelved = works.shelf.path_of(described.name, manifests)
    assert shelved.read_bytes() == (folder / "manifests.yaml").read_bytes()
    with service.links() as (reading, _writing):
        assert reading.manifest("apps/web", described.images[0].digest) is not None
    works.remove(described.name, (), Progress())
    assert not any(held(service.files.store).values())
    assert not shelved.exists()


def described_in(folder: Path) -> ArtifactSet:
    return read_set((folder / "set.json").read_bytes())


def _flipped_layer(folder: Path) -> None:
    manifest = described_in(folder).images[0].digest.removeprefix("sha256:")
    blobs = folder / "oci/blobs/sha256"
    layer = json.loads((blobs / manifest).read_bytes())["layers"][-1]["digest"].removeprefix("sha256:")
    content = bytearray((blobs / layer).read_bytes())
    content[-1] ^= 1
    (blobs / layer).write_bytes(content)


def _missing_manifest(folder: Path) -> None:
    (folder / "oci/blobs/sha256" / described_in(folder).images[0].digest.removeprefix("sha256:")).unlink()


def _other_digest(folder: Path) -> None:
    """Of an image that is nowhere, under the old signature."""
    described = described_in(folder)
    image = replace(described.images[0], digest=f"sha256:{'ab' * 32}")
    write_description(folder, replace(described, images=(image,)))


def _signed_again(folder: Path, signature: bytes) -> None:
    (folder / signing.NAME).write_bytes(signature)
    write_description(folder, signing.with_signature(described_in(folder), signature))


def _other_manifests(folder: Path) -> None:
    """Described as they are, under the old signature."""
    content = (folder / "manifests.yaml").read_bytes() + b"---\napiVersion: v1\nkind: Pod\nmetadata: {name: x}\n"
    (folder / "manifests.yaml").write_bytes(content)
    described = described_in(folder)
    changed = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    files = tuple(replace(one, **changed) if one.role == "manifests" else one for one in described.files)  # type: ignore[arg-type]
    write_description(folder, replace(described, files=files))


def _other_manifests_alone(folder: Path) -> None:
    (folder / "manifests.yaml").write_bytes(
        (folder / "manifests.yaml").read_bytes().replace(b"replicas: 2", b"replicas: 9")
    )


def _unsigned(folder: Path) -> None:
    described = described_in(folder)
    (folder / signing.NAME).unlink()
    write_description(folder, replace(described, files=tuple(f for f in described.files if f.role != signing.ROLE)))


def _of_another_version(folder: Path) -> None:
    """A good signature of the same key, and of something else."""
    _signed_again(folder, signing.sign(replace(described_in(folder), version="1.0.1"), KEY))


def _renamed(folder: Path) -> None:
    """The comment, which is signed, names another package."""
    content = signing.signed_content(described_in(folder))
    _signed_again(folder, KEY.sign(BytesIO(content), "web-0.9.0-amd64").encode())


SPOILT: dict[str, tuple[Callable[[Path], None], str]] = {
    "a tampered layer": (_flipped_layer, "is not what the set says"),
    "a manifest that is missing": (_missing_manifest, "of the set cannot be read"),
    "a digest that is missing": (_other_digest, "is of nobody who is trusted"),
    "other manifests": (_other_manifests_alone, "manifests.yaml is not what the set says"),
    "other manifests, described": (_other_manifests, "is of nobody who is trusted"),
    "no signature": (_unsigned, "has no signature"),
    "a signature of another key": (
        lambda folder: _signed_again(folder, signing.sign(described_in(folder), OTHER)),
        "is of nobody who is trusted",
    ),
    "a signature of another version": (_of_another_version, "is of nobody who is trusted"),
    "a signature of another name": (_renamed, "is of nobody who is trusted"),
    "a signature that is none": (lambda folder: _signed_again(folder, b"hello\n"), "is of nobody who is trusted"),
    "a signature that is huge": (lambda folder: _signed_again(folder, bytes(20_000)), "is not what the set says"),
    "a signature that was changed": (
        lambda folder: (folder / signing.NAME).write_text("x\n") and None,
        "is of nobody who is trusted",
    ),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_package_that_is_not_what_it_says_changes_nothing(
    works: SetWorks, service: RegistryService, folder: Path, tmp_path: Path, spoilt: str
) -> None:
    spoil, message = SPOILT[spoilt]
    spoil(folder)
    with pytest.raises(UsageError) as caught:
        works.take(folder, {}, Progress())
    assert message in str(caught.value)
    assert caught.value.evidence
    assert caught.value.next_action
    assert not any(held(service.files.store).values())
    assert not (tmp_path / "shelf").exists()


def test_a_site_that_trusts_no_key_in_particular_takes_what_is_whole(
    service: RegistryService, folder: Path, tmp_path: Path
) -> None:
    _unsigned(folder)
    works = SetWorks(service, SetShelf(tmp_path / "shelf"), HostProcesses(), lambda: False)
    described, _size = works.take(folder, {}, Progress())
    works.remove(described.name, (), Progress())
