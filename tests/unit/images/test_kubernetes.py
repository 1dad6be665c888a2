"""The set of Kubernetes; that its programs run is shown in tests/cluster."""

import os
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from images.archive import Archive
from images.artifact_set import ArtifactSet, Engine, Provenance, SetFile, SetImage
from images.errors import SetError
from images.kubernetes import binaries, recipe
from images.kubernetes.suite import Suite
from images.oci import reading
from images.oci.content import File
from images.oci.document import Settings
from images.oci.layout import Layout
from images.ports import Finished, Progress
from images.processes import HostProcesses
from images.ramdisk.modules import Variant
from images.store import Entry, Store, sha256_of

GOLDEN = Path(__file__).parents[2] / "golden/images/kubernetes.key"
NAME = "k8s/pause:3.2"
SHIM = Path(recipe.__file__).with_name("crictl")
ARCHIVE = Archive(mirror="http://mirror.example/debian", processes=HostProcesses(), progress=lambda line: None)


def test_programs_are_compiled_again_only_when_what_decides_them_has_changed() -> None:
    """A new key means a quarter of an hour for everybody: accept it by hand."""
    assert binaries.binaries_recipe().key == GOLDEN.read_text().strip()
    assert recipe.recipe_of(Variant.CLOUD).key != recipe.recipe_of(Variant.GENERIC).key


def _entry(store: Store, folder: Path, change: bytes = b"") -> Entry:
    """As the recipe leaves it: one file, and a layout with one image."""
    layout = Layout.create(folder / "oci")
    image = layout.add_image(NAME, (layout.add_layer({"pause": File(source=b"")}),), Settings())
    (folder / "kubelet").write_bytes(b"kubelet")
    kubelet = SetFile(name="kubelet", role="kubelet", size=7, sha256=sha256_of(folder / "kubelet"))
    described = ArtifactSet(
        engine=Engine.KUBEADM,
        version=binaries.VERSION,
        arch="amd64",
        provenance=Provenance.REBUILT,
        files=(kubelet,),
        images=(SetImage(repository="k8s/pause", tag="3.2", digest=image.digest),),
    )
    (folder / "set.json").write_bytes(described.to_json() + change)
    with tarfile.open(folder / "oci.tar", "w") as tar:
        tar.add(folder / "oci", "oci")
    artifacts = tuple(store.put(folder / name, name) for name in ("set.json", "oci.tar", "kubelet"))
    return Entry(recipe="kubernetes-cloud", key="ab" * 32, artifacts=artifacts)


def test_an_entry_becomes_the_sets_folder(tmp_path: Path) -> None:
    store, built, folder = Store(tmp_path / "store"), tmp_path / "built", tmp_path / "set"
    found = recipe.unpack(_entry(store, built), store, folder, ARCHIVE)
    assert sorted(path.name for path in folder.iterdir()) == ["kubelet", "oci", "set.json"]
    assert [file.sha256 for file in found.files] == [sha256_of(folder / "kubelet")]
    assert reading.check(folder / "oci") == ()
    assert {image.name: image.digest for image in found.images} == {
        blob.name: blob.digest for blob in reading.images(folder / "oci")
    }


def test_an_entry_whose_description_is_not_in_its_only_form_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(SetError):
        recipe.unpack(_entry(store, tmp_path / "built", b" "), store, tmp_path / "set", ARCHIVE)


class Recorded:
    """Answers every command with success, and makes the files that apt would."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        stdin: bytes = b"",
        cwd: Path | None = None,
        watch: Progress | None = None,
    ) -> Finished:
        self.commands.append(list(argv))
        if "download" in argv and cwd is not None:
            for name in argv[list(argv).index("download") + 1 :]:
                (cwd / f"{name}_1%3a2.0-1_amd64.deb").touch()
        return Finished(status=0, output=b"", errors=b"")


def test_apt_is_asked_with_a_state_of_its_own(tmp_path: Path) -> None:
    processes = Recorded()
    suite = Suite(
        name="trixie", archive=Archive(mirror=ARCHIVE.mirror, processes=processes, progress=lambda line: None)
    )
    assert suite.lacking(("runc",), tmp_path / "status", tmp_path) == ()
    update, install = processes.commands
    assert f"Dir::Etc::sourcelist={tmp_path / 'debian.sources'}" in update
    assert [word for word in install if word.startswith("Dir::State::status=")][-1] == (
        f"Dir::State::status={tmp_path / 'status'}"
    )
    assert install[-3:] == ["--download-only", "install", "runc"]
    assert "URIs: http://mirror.example/debian\nSuites: trixie\n" in (tmp_path / "debian.sources").read_text()


def test_a_packages_version_is_read_from_its_file(tmp_path: Path) -> None:
    processes = Recorded()
    suite = Suite(name="bookworm", archive=Archive(mirror="http://m", processes=processes, progress=lambda line: None))
    assert suite.unpack(("etcd-server",), tmp_path / "work").versions == {"etcd-server": "1:2.0-1"}


def _crictl(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """With a ctr that warns, and writes down what it was asked."""
    ctr = folder / "ctr"
    asked = f'echo "ctr $*" >>{folder}/asked\necho DEPRECATED >&2\n'
    ctr.write_text(f'#!/bin/sh\n{asked}[ "$6" != list ] || echo k8s/pause:3.2\n')
    ctr.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run(
        ["sh", str(SHIM), *words], env=environment, capture_output=True, text=True, timeout=20, check=False
    )


SOCKET = "/run/containerd/containerd.sock"
CTR = f"ctr --address {SOCKET} --namespace k8s.io"


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (("info",), "version"),
        (("pull", NAME), f"images pull --hosts-dir /etc/containerd/certs.d {NAME}"),
        (("inspecti", NAME), "images list --quiet"),
        (("pods", "-q"), 'containers list --quiet labels."io.cri-containerd.kind"==sandbox'),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_the_shim_asks_ctr(tmp_path: Path, words: tuple[str, ...], asked: str) -> None:
    done = _crictl(tmp_path, "-r", SOCKET, *words)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "asked").read_text() == f"{CTR} {asked}\n"


def test_what_ctr_warns_of_is_no_pod(tmp_path: Path) -> None:
    """kubeadm reads what is said on either channel."""
    done = _crictl(tmp_path, "-r", SOCKET, "pods", "-q")
    assert (done.stdout, done.stderr) == ("k8s/pause:3.2\n", "")


def test_the_shim_finds_no_image_that_is_not_there_and_refuses_what_it_cannot(tmp_path: Path) -> None:
    assert _crictl(tmp_path, "inspecti", "k8s/pause:3x2").returncode == 1
    refused = _crictl(tmp_path, "exec", "-it", "0123", "sh")
    assert refused.returncode == 2
    assert "exec is not among the verbs" in refused.stderr
