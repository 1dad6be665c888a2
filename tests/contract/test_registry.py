"""Artifact sets in Debian's docker-registry: what is imported is what was described, whatever happens on the way."""

import json
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from appliance.errors import ConflictError, IncompleteError, MachineryError, UsageError
from appliance.registry.completeness import Depth, require
from appliance.registry.importing import Progress
from appliance.registry.link import Registry
from appliance.registry.service import RegistryService
from appliance.registry.shelf import SetShelf
from appliance.registry.sweep import held
from appliance.registry.works import SetWorks
from images.artifact_set import ArtifactSet, Provenance
from images.processes import HostProcesses
from tests.contract.registry import make_set, registry

Blob = tuple[str, str]
"""A repository and the digest of a blob in it."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryService]:
    with registry(tmp_path_factory.mktemp("registry") / "state") as running:
        yield running


@pytest.fixture
def works(service: RegistryService, tmp_path: Path) -> Iterator[SetWorks]:
    """Over an empty registry."""
    made = SetWorks(service, SetShelf(tmp_path / "shelf"), HostProcesses(), lambda: False)
    yield made
    made.sweep((), Progress())


def size_of(store: Path) -> int:
    return sum(file.stat().st_size for file in store.rglob("data"))


def blobs_of(service: RegistryService, image: str, digest: str) -> list[Blob]:
    with service.links() as (reading, _writing):
        raw = reading.manifest(image, digest)
    assert raw is not None
    value = json.loads(raw)
    return [(image, part["digest"]) for part in value["layers"]]


def data_of(service: RegistryService, digest: str) -> Path:
    name = digest.removeprefix("sha256:")
    return service.files.store / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data"


def web_of(described: ArtifactSet) -> str:
    return next(image.digest for image in described.images if image.repository == "apps/web")


def test_another_client_pulls_what_was_imported(works: SetWorks, service: RegistryService, tmp_path: Path) -> None:
    described = make_set(tmp_path / "set")
    taken, size = works.take(tmp_path / "set", {}, Progress())
    assert (taken, works.gaps(described, Depth.CONTENT)) == (described, ())
    assert size > 35_000
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    (trusted / "ca.crt").write_text(service.place.authority)
    for image in described.images:
        source = f"docker://{service.place.host}/{image.repository}@{image.digest}"
        argv = ["skopeo", "--insecure-policy", "copy", "--all", "--preserve-digests", f"--src-cert-dir={trusted}", "-q"]
        target = tmp_path / image.repository.replace("/", "-")
        subprocess.run([*argv, source, f"dir:{target}"], check=True, timeout=60)
        assert f"sha256:{_sha256(target / 'manifest.json')}" == image.digest
    shelf = works.shelf.path_of(described.name, described.files[0])
    assert shelf.read_bytes() == (tmp_path / "set/kubelet").read_bytes()


def _sha256(file: Path) -> str:
    said = subprocess.run(["sha256sum", str(file)], check=True, capture_output=True, text=True).stdout
    return said.split()[0]


def test_nodes_write_nothing_and_strangers_do_not_get_in(service: RegistryService) -> None:
    context = ssl.create_default_context(cadata=service.place.authority)
    reading = HTTPSConnection("127.0.0.1", service.place.port, context=context, timeout=10)
    writing_port = json.loads(service.files.writing.read_text())["http"]["addr"].rpartition(":")[2]
    writing = HTTPSConnection("127.0.0.1", int(writing_port), context=context, timeout=10)
    for connection, status in ((reading, 405), (writing, 401)):
        connection.request("POST", "/v2/apps/web/blobs/uploads/")
        assert connection.getresponse().status == status
        connection.close()


def test_who_has_another_authority_is_told_nothing(service: RegistryService) -> None:
    stranger = Registry("127.0.0.1", service.place.port, ssl.create_default_context())
    with pytest.raises(MachineryError, match="does not answer"):
        stranger.manifest("apps/web", "v1")
    stranger.close()


@pytest.mark.long
def test_what_is_there_is_not_sent_again(works: SetWorks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor what an import that broke off has left."""
    sent = list[str]()
    put_blob = Registry.put_blob

    def counted(self: Registry, repository: str, part: object, content: object) -> None:
        sent.append(repository)
        if len(sent) == 3:
            raise MachineryError("the connection broke")
        put_blob(self, repository, part, content)  # type: ignore[arg-type]

    monkeypatch.setattr(Registry, "put_blob", counted)
    described = make_set(tmp_path / "set")
    with pytest.raises(MachineryError, match="broke"):
        works.take(tmp_path / "set", {}, Progress())
    works.take(tmp_path / "set", {}, Progress())
    assert len(sent) == 3 + 5  # 7 blobs in all, of which 2 had arrived
    works.take(tmp_path / "set", {described.name: described}, Progress())
    assert len(sent) == 3 + 5


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.chmod(0o644)
    file.write_bytes(content)


def _linked(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("/etc/passwd")


def _linked_folder(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to("elsewhere")


SPOILT: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a changed file": ("kubelet", _flip),
    "a missing file": ("kubelet", Path.unlink),
    "a link to a file elsewhere": ("kubelet", _linked),
    "a folder that is a link": ("oci/blobs", _linked_folder),
    "a changed layer": ("LAYER", _flip),
    "a missing layer": ("LAYER", Path.unlink),
    "a changed manifest": ("MANIFEST", _flip),
    "a changed description": ("set.json", _flip),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_set_that_is_not_what_it_says_changes_nothing(
    works: SetWorks, service: RegistryService, tmp_path: Path, spoilt: str
) -> None:
    described = make_set(tmp_path / "set")
    manifest = web_of(described).removeprefix("sha256:")
    blobs = tmp_path / "set/oci/blobs/sha256"
    layer = json.loads((blobs / manifest).read_text())["layers"][1]["digest"].removeprefix("sha256:")
    name, spoil = SPOILT[spoilt]
    spoil({"LAYER": blobs / layer, "MANIFEST": blobs / manifest}.get(name, tmp_path / "set" / name))
    before = size_of(service.files.store)
    with pytest.raises(UsageError) as caught:
        works.take(tmp_path / "set", {}, Progress())
    assert caught.value.evidence
    assert caught.value.next_action
    assert size_of(service.files.store) == before
    assert not (tmp_path / "shelf").exists()


def test_without_room_nothing_is_begun(
    works: SetWorks, service: RegistryService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_set(tmp_path / "set")
    room = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: room._replace(free=200 << 20))
    with pytest.raises(MachineryError, match="no room"):
        works.take(tmp_path / "set", {}, Progress())
    assert not any(held(service.files.store).values())


def test_a_missing_part_is_named(works: SetWorks, service: RegistryService, tmp_path: Path) -> None:
    described = make_set(tmp_path / "set")
    works.take(tmp_path / "set", {}, Progress())
    (repository, digest), *_ = reversed(blobs_of(service, "apps/web", web_of(described)))
    shutil.rmtree(data_of(service, digest).parent)
    works.shelf.path_of(described.name, described.files[0]).unlink()
    found = works.gaps(described, Depth.SIZES)
    with pytest.raises(IncompleteError) as caught:
        require(described.name, found)
    assert f"{repository}:v1.20.2 {digest}: the blob is missing" in caught.value.evidence
    assert "kubelet" in caught.value.evidence
    assert "import it again" in caught.value.next_action
    works.take(tmp_path / "set", {described.name: described}, Progress())
    assert works.gaps(described, Depth.CONTENT) == ()


def test_a_changed_part_is_found_by_reading_it_and_mended_by_an_import(
    works: SetWorks, service: RegistryService, tmp_path: Path
) -> None:
    """Its size is what it was, so that HEAD sees nothing."""
    described = make_set(tmp_path / "set")
    works.take(tmp_path / "set", {}, Progress())
    (_, digest), *_ = reversed(blobs_of(service, "apps/web", web_of(described)))
    _flip(data_of(service, digest))
    assert works.gaps(described, Depth.SIZES) == ()
    (gap,) = works.gaps(described, Depth.CONTENT)
    assert (gap.digest, gap.where) == (digest, "apps/web:v1.20.2")
    assert "was changed" in gap.fault
    works.take(tmp_path / "set", {described.name: described}, Progress())
    assert works.gaps(described, Depth.CONTENT) == ()


@pytest.mark.long
def test_a_changed_manifest_is_found_and_mended(works: SetWorks, service: RegistryService, tmp_path: Path) -> None:
    described = make_set(tmp_path / "set")
    works.take(tmp_path / "set", {}, Progress())
    _flip(data_of(service, web_of(described)))
    assert {gap.digest for gap in works.gaps(described, Depth.SIZES)} == {web_of(described)}
    works.take(tmp_path / "set", {described.name: described}, Progress())
    assert works.gaps(described, Depth.CONTENT) == ()


def test_what_no_set_names_any_more_frees_the_disk(works: SetWorks, service: RegistryService, tmp_path: Path) -> None:
    """Images of both sets share a layer, and one image is the same in both."""
    old = make_set(tmp_path / "old", "v1.20.2", web=b"only in the old one" * 100)
    new = make_set(tmp_path / "new", "v1.21.0")
    works.take(tmp_path / "new", {}, Progress())
    alone = size_of(service.files.store)
    works.take(tmp_path / "old", {new.name: new}, Progress())
    assert size_of(service.files.store) > alone
    works.remove(old.name, (new,), Progress())
    assert size_of(service.files.store) == alone
    assert works.gaps(new, Depth.CONTENT) == (), "of the other set nothing went"
    assert not works.shelf.path_of(old.name, old.files[0]).exists()
    works.remove(new.name, (), Progress())
    assert not any(held(service.files.store).values())
    assert size_of(service.files.store) == 0


def test_of_two_sets_with_one_name_the_first_stays(works: SetWorks, tmp_path: Path) -> None:
    first = make_set(tmp_path / "first")
    second = make_set(tmp_path / "second", provenance=Provenance.GENUINE)
    with pytest.raises(ConflictError) as caught:
        works.take(tmp_path / "second", {first.name: first}, Progress())
    assert second.name == first.name
    assert "stand-in" in caught.value.evidence


@pytest.mark.long
def test_a_tag_means_one_image(works: SetWorks, tmp_path: Path) -> None:
    first = make_set(tmp_path / "first", "v1.20.2")
    second = make_set(tmp_path / "second", "v1.21.0", tag="v1.20.2", web=b"another")
    with pytest.raises(ConflictError, match="is another image in the set"):
        works.take(tmp_path / "second", {first.name: first}, Progress())
    assert second.name != first.name
