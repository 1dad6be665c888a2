"""Applications with what Debian brings: packages below images, kustomize, buildah. Needs a mirror and minutes."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from images.__main__ import archive
from images.application import debs
from images.application.build import package
from images.archive import Archive
from images.artifact_set import ArtifactSet
from images.kubernetes.suite import Suite
from images.oci import reading
from images.processes import check
from images.store import Store
from tests.foreign import environment, unpacked
from tests.image.conftest import ROOT
from tests.image.test_release import VALIDATE, VALIDATOR

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

EXAMPLES = ROOT / "examples/application"
BUILDAH = ("buildah", "golang-github-containers-common", "libassuan0", "libgpgme11", "libsubid4")
BUILDAH_LIBRARIES = "usr/lib/x86_64-linux-gnu"


@pytest.fixture(scope="module")
def mirror() -> Archive:
    return archive()


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def packages_of(store: Path) -> list[str]:
    return sorted(path.read_text() for path in (store / "entries" / debs.NAME).glob("*.json"))


def rooted(sets: Path, described: ArtifactSet, name: str, tree: Path) -> Path:
    """The image's files, as whatever runs it lays them over each other."""
    layout = sets / described.name / "oci"
    tree.mkdir()
    for layer in reading.layers(layout, name):
        blob = layout / reading.path_of(layer.blob)
        subprocess.run(["tar", "--zstd", "-C", str(tree), "-xf", str(blob)], check=True, timeout=120)
    return tree


def run_in(tree: Path, argv: Sequence[str]) -> str:
    """As nobody, without a network."""
    inside = ["unshare", "--net", "chroot", "--userspec=65534:65534", str(tree), *argv]
    return subprocess.run(inside, check=True, capture_output=True, text=True, timeout=60).stdout


def test_two_builds_from_nothing_are_the_same_bytes(mirror: Archive, tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        store = Store(tmp_path / f"store-{name}")
        made.append([package(EXAMPLES / version, tmp_path / name, store, mirror) for version in ("one", "two")])
    if packages_of(tmp_path / "store-a") != packages_of(tmp_path / "store-b"):
        pytest.skip("NOT TESTED: the mirror got other packages between the two builds")
    assert everything(tmp_path / "a") == everything(tmp_path / "b")
    layers = [
        {layer.diff_id for layer in reading.layers(tmp_path / "a" / one.name / "oci", one.images[0].name)}
        for one in made[0]
    ]
    assert len(layers[0] & layers[1]) == 2, "what versions share is stored and fetched once"
    bill = (tmp_path / "a" / made[0][0].name / "sbom.cdx.json").read_text()
    python = environment(VALIDATOR) / "python"
    judged = subprocess.run([str(python), "-c", VALIDATE], input=bill, capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stderr[-2000:]
    tree = rooted(tmp_path / "a", made[0][1], "apps/web:1.1.0", tmp_path / "tree")
    assert run_in(tree, ["/usr/bin/busybox", "cat", "/www/index.html"]) == "hello from web 1.1.0\n"


def test_a_python_application_keeps_what_it_was_told(mirror: Archive, tmp_path: Path) -> None:
    described = package(EXAMPLES / "notes", tmp_path, Store(tmp_path / "store"), mirror)
    bill = json.loads((tmp_path / described.name / "sbom.cdx.json").read_text())
    names = {one["name"] for one in bill["components"][0]["components"]}
    assert {"python3", "python3.13-minimal", "libc6", "libsqlite3-0"} <= names
    tree = rooted(tmp_path, described, "apps/notes:1.0.0", tmp_path / "tree")
    (tree / "var/lib/notes").mkdir(parents=True)
    os.chown(tree / "var/lib/notes", 65534, 65534)
    with alone() as network:
        with served(network, tree, "/usr/bin/python3", "/srv/notes/notes.py"):
            assert ask(network, "/health") == "well\n"
            assert ask(network, "/", "--data-binary", "one\ntwo") == "kept\n"
            assert "1 to 200 bytes" in ask(network, "/", "--data-binary", "x" * 201)
        with served(network, tree, "/usr/bin/python3", "/srv/notes/notes.py"):
            assert ask(network, "/") == "one two\n", "the pod that came after it has them, too"


@contextmanager
def alone() -> Iterator[str]:
    """A network namespace with a loopback interface; ends with the block."""
    name = f"package-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


@contextmanager
def served(network: str, tree: Path, *argv: str) -> Iterator[None]:
    """The image's process, as nobody; ends by SIGTERM, as a pod does."""
    outside = ["ip", "netns", "exec", network, "env", "DATABASE=/var/lib/notes/notes.db"]
    inside = [*outside, "chroot", "--userspec=65534:65534", str(tree), *argv]
    with subprocess.Popen(inside) as running:
        try:
            yield
        finally:
            running.terminate()
            assert running.wait(20) == 0


def ask(network: str, path: str, *options: str) -> str:
    patience = ("--retry", "50", "--retry-connrefused", "--retry-delay", "1", "--max-time", "60")
    argv = ["ip", "netns", "exec", network, "curl", "-s", *patience, *options, f"http://127.0.0.1:8080{path}"]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=90).stdout


def test_debians_kustomize_renders_without_a_network(
    mirror: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, source = tmp_path / "work", tmp_path / "source"
    tree = Suite(name="trixie", archive=mirror).unpack(["kustomize"], work).tree
    monkeypatch.setenv("PATH", f"{tree / 'usr/bin'}{os.pathsep}{os.environ['PATH']}")
    shutil.copytree(EXAMPLES / "one", source)
    for name in ("base", "site"):
        (source / name).mkdir()
    (source / "web.yaml").rename(source / "base/web.yaml")
    (source / "base/kustomization.yaml").write_text("resources: [web.yaml]\n")
    (source / "site/kustomization.yaml").write_text(
        "resources: [../base]\nnamePrefix: site-\nreplicas: [{name: web, count: 5}]\n"
    )
    stated = (source / "application.toml").read_text().replace('manifests = "web.yaml"', 'kustomize = "site"')
    (source / "application.toml").write_text(stated.replace('service = "web"', 'service = "site-web"'))
    described = package(source, tmp_path, Store(tmp_path / "store"), mirror)
    text = (tmp_path / described.name / "manifests.yaml").read_text()
    assert "name: site-web\n" in text
    assert "replicas: 5\n" in text
    assert "image: apps/web:1.0.0\n" in text


def test_buildah_builds_a_containerfile(mirror: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unpacked, not installed: it would change this machine."""
    tree, home = unpacked(*BUILDAH), tmp_path / "home"
    (home / ".config/containers").mkdir(parents=True)
    shutil.copy(tree / "etc/containers/policy.json", home / ".config/containers/policy.json")
    monkeypatch.setenv("PATH", f"{tree / 'usr/bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tree / BUILDAH_LIBRARIES))
    monkeypatch.setenv("HOME", str(home))
    check(mirror.processes, ["buildah", "--version"])
    source = tmp_path / "source"
    (source / "built").mkdir(parents=True)
    busybox = next(unpacked("busybox-static").glob("**/bin/busybox"))
    shutil.copy(busybox, source / "built/busybox")
    (source / "built/Containerfile").write_text(
        'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "mkdir", "/made"]\nCMD ["/bin/busybox"]\n'
    )
    (source / "web.yaml").write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: app}]}\n"
    )
    (source / "application.toml").write_text(
        'name = "app"\nversion = "0.1"\nmanifests = "web.yaml"\n[images.app]\ncontainerfile = "built/Containerfile"\n'
    )
    store = Store(tmp_path / "store")
    described = package(source, tmp_path / "a", store, mirror)
    assert package(source, tmp_path / "b", store, mirror) == described
    layout = tmp_path / "a" / described.name / "oci"
    assert reading.check(layout) == ()
    assert len(reading.layers(layout, "apps/app:0.1")) == 1
