"""From a folder to the set's folder. What Debian packages and buildah bring is looked at in tests/image."""

import json
import os
import shutil
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from images.application import build
from images.application.build import package
from images.application.signing import signed_content
from images.artifact_set import ArtifactSet, Engine, read_set
from images.errors import ImagesError, PackageError
from images.oci import reading
from images.oci.content import File
from images.oci.document import Settings, read_manifest
from images.oci.layout import Layout
from images.set_folder import SetFolder
from images.signature import make_key, verify
from images.store import Store
from tests.packages import OFFLINE, plain_example

GOLDEN = Path(__file__).parents[3] / "golden/images/application"
KEY = make_key(bytes(range(40)))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return plain_example(tmp_path / "source")


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_equal_sources_are_equal_bytes_whoever_checked_them_out(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    shutil.copytree(source, other)
    (other / ".git").mkdir()
    (other / ".git/HEAD").write_text("ref: x")
    (other / "www/__pycache__").mkdir()
    (other / "www/__pycache__/x.pyc").write_bytes(b"x")
    (other / "www/index.html").chmod(0o600)
    (other / "www").chmod(0o700)
    os.utime(other / "www/index.html", (1, 1))
    one = package(source, tmp_path / "a", Store(tmp_path / "store-a"), OFFLINE, KEY)
    two = package(other, tmp_path / "b", Store(tmp_path / "store-b"), OFFLINE, KEY)
    assert one == two
    assert everything(tmp_path / "a") == everything(tmp_path / "b")


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ArtifactSet]:
    """Signed; and where it is."""
    folder = tmp_path_factory.mktemp("packaged")
    made = package(plain_example(folder / "source"), folder, Store(folder / "store"), OFFLINE, KEY)
    return folder / made.name, made


def test_the_set_is_what_an_import_reads(packaged: tuple[Path, ArtifactSet]) -> None:
    where, made = packaged
    assert read_set((where / "set.json").read_bytes()) == made
    assert (made.name, made.engine, made.application) == ("web-1.0.0-amd64", Engine.APPLICATION, "web")
    assert [image.name for image in made.images] == ["apps/web:1.0.0"]
    assert {file.role: file.name for file in made.files} == {
        "manifests": "manifests.yaml",
        "sbom": "sbom.cdx.json",
        "signature": "signature.minisig",
        "smoke": "smoke.json",
    }
    assert {path.name for path in where.iterdir()} == {"oci", "set.json", *(file.name for file in made.files)}
    folder = SetFolder(where)
    for file in made.files:
        folder.check_file(file.name, file.size, file.sha256)
    for part in (part for document in folder.documents(made.images[0].digest) for part in document.blobs):
        folder.check_blob(part.digest, part.size)
    folder.close()


@pytest.mark.parametrize("name", ["manifests.yaml", "smoke.json"])
def test_what_is_rendered_is_the_golden_one(packaged: tuple[Path, ArtifactSet], name: str) -> None:
    assert (packaged[0] / name).read_text() == (GOLDEN / name).read_text()


def test_the_image_says_what_is_run(packaged: tuple[Path, ArtifactSet]) -> None:
    layout = packaged[0] / "oci"
    manifest = read_manifest((layout / reading.path_of(reading.image(layout, "apps/web:1.0.0"))).read_bytes())
    config = json.loads((layout / reading.path_of(manifest.config)).read_bytes())
    assert config["architecture"] == "amd64"
    assert config["config"] == {
        "Entrypoint": ["/usr/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/www"],
        "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin"],
        "ExposedPorts": {"8080/tcp": {}},
        "StopSignal": "SIGKILL",
        "User": "65534:65534",
    }


def test_the_signature_is_of_everything_but_itself(packaged: tuple[Path, ArtifactSet]) -> None:
    where, made = packaged
    others = tuple(file for file in made.files if file.role != "signature")
    content = replace(made, files=others).to_json()
    assert signed_content(made) == content
    signature = (where / "signature.minisig").read_text()
    assert verify(KEY.public, BytesIO(content), signature) == "web-1.0.0-amd64"


def test_the_list_of_what_is_inside_names_application_and_images(packaged: tuple[Path, ArtifactSet]) -> None:
    where, made = packaged
    bill = json.loads((where / "sbom.cdx.json").read_text())
    assert bill["metadata"]["component"]["purl"] == "pkg:generic/web@1.0.0"
    assert [(one["type"], one["name"]) for one in bill["components"]] == [
        ("container", f"apps/web@{made.images[0].digest}")
    ]


def test_it_is_built_once_and_a_version_means_one_content(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    made = package(source, tmp_path, store, OFFLINE)
    monkeypatch.setattr(build, "_write", None)
    assert package(source, tmp_path, store, OFFLINE) == made
    monkeypatch.undo()
    (source / "www/index.html").write_text("another\n")
    before = everything(tmp_path / made.name)
    with pytest.raises(PackageError, match="is there already, and is another set"):
        package(source, tmp_path, store, OFFLINE)
    assert everything(tmp_path / made.name) == before
    assert not list(tmp_path.glob(".*"))


def ready(folder: Path, *names: str) -> None:
    layout = Layout.create(folder)
    for name in names:
        layout.add_image(name, (layout.add_layer({"name": File(source=name.encode())}),), Settings(cmd=("/x",)))


def stated(source: Path, more: str, run: str = "database") -> None:
    with (source / "application.toml").open("a") as file:
        file.write(f"\n[images.database]\n{more}\n")
    with (source / "web.yaml").open("a") as manifests:
        spec = f"{{containers: [{{name: c, image: '{run}'}}]}}"
        manifests.write(f"---\napiVersion: v1\nkind: Pod\nmetadata: {{name: d}}\nspec: {spec}\n")


def test_an_image_that_was_made_elsewhere_keeps_its_digest(source: Path, tmp_path: Path) -> None:
    ready(source / "postgres", "postgres:17", "postgres:16")
    stated(
        source,
        'layout = "postgres"\nimage = "postgres:17"\nreplaces = ["docker.io/postgres:17"]',
        "docker.io/postgres:17",
    )
    made = package(source, tmp_path, Store(tmp_path / "store"), OFFLINE)
    digest = reading.image(source / "postgres", "postgres:17").digest
    assert {image.name: image.digest for image in made.images}["apps/web/database:1.0.0"] == digest
    assert reading.check(tmp_path / made.name / "oci") == ()
    assert "image: apps/web/database:1.0.0" in (tmp_path / made.name / "manifests.yaml").read_text()
    bill = json.loads((tmp_path / made.name / "sbom.cdx.json").read_text())
    assert "nothing here has looked into it" in bill["components"][0]["description"]


def test_a_layout_with_two_images_needs_a_name(source: Path, tmp_path: Path) -> None:
    ready(source / "postgres", "postgres:17", "postgres:16")
    stated(source, 'layout = "postgres"')
    with pytest.raises(PackageError, match="the layout postgres has 2 images"):
        package(source, tmp_path, Store(tmp_path / "store"), OFFLINE)


@pytest.mark.parametrize("change", ["gone", "changed"])
def test_a_layout_that_is_not_whole(source: Path, tmp_path: Path, change: str) -> None:
    ready(source / "postgres", "postgres:17")
    stated(source, 'layout = "postgres"')
    largest = max((source / "postgres/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    largest.unlink() if change == "gone" else largest.write_bytes(bytes(largest.stat().st_size))
    with pytest.raises(ImagesError):
        package(source, tmp_path / "sets", Store(tmp_path / "store"), OFFLINE)
    assert not (tmp_path / "sets").exists()


def test_a_containerfile_needs_buildah(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source / "built").mkdir()
    (source / "built/Containerfile").write_text("FROM scratch\n")
    stated(source, 'containerfile = "built/Containerfile"')
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PackageError, match="built by buildah, which is not on this machine") as caught:
        package(source, tmp_path, Store(tmp_path / "store"), OFFLINE)
    assert "apt install buildah" in caught.value.next_action


def _linked(source: Path) -> None:
    (source / "web.yaml").unlink()
    (source / "web.yaml").symlink_to("/etc/hostname")


def _elsewhere(source: Path) -> None:
    (source / "www").rename(source.parent / "www")
    (source / "www").symlink_to(source.parent / "www")


SPOILT = {
    "no description": (lambda source: (source / "application.toml").unlink(), "application.toml cannot be read"),
    "no manifests": (lambda source: (source / "web.yaml").unlink(), "web.yaml cannot be read"),
    "manifests that are no text": (lambda source: (source / "web.yaml").write_bytes(b"\xff"), "web.yaml is not UTF-8"),
    "manifests elsewhere": (_linked, "web.yaml leads out of the source"),
    "no tree": (lambda source: shutil.rmtree(source / "www"), "www is no folder"),
    "a tree elsewhere": (_elsewhere, "www leads out of the source"),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_source_that_is_not_whole_makes_nothing(source: Path, tmp_path: Path, spoilt: str) -> None:
    spoil, message = SPOILT[spoilt]
    spoil(source)
    with pytest.raises(PackageError) as caught:
        package(source, tmp_path / "sets", Store(tmp_path / "store"), OFFLINE)
    assert message in str(caught.value)
    assert caught.value.next_action
    assert not (tmp_path / "sets").exists()
