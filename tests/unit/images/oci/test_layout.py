import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from images.epoch import EPOCH
from images.errors import LayoutError
from images.oci import reading
from images.oci.content import Content, File, Folder, Link, scan
from images.oci.document import Compression, Settings
from images.oci.layer import pack
from images.oci.layout import Layout
from images.oci.reading import Fault, Wrong

GOLDEN = Path(__file__).parents[3] / "golden/images/oci"
NAME = "apps/hello:v1"
HELLO: Content = {
    "usr/bin/hello": File(source=b"#!/bin/sh\necho hello\n", mode=0o755),
    "bin": Link(target="usr/bin"),
    "srv": Folder(mode=0o750, uid=33, gid=33),
    "srv/page": File(source=b"hello\n", uid=33, gid=33),
}
SETTINGS = Settings(
    entrypoint=("/usr/bin/hello",),
    cmd=("-v",),
    environment={"PATH": "/usr/bin", "LANG": "C"},
    folder="/srv",
    user="33:33",
    ports=("8080/tcp",),
    labels={"org.opencontainers.image.title": "hello"},
    stop_signal="SIGINT",
)


def _layout(folder: Path, compression: Compression = Compression.GZIP) -> Layout:
    layout = Layout.create(folder)
    base = layout.add_layer({"etc/os-release": File(source=b"ID=debian\n")}, compression)
    layout.add_image(NAME, (base, layout.add_layer(HELLO, compression)), SETTINGS)
    return layout


def _everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("compression", list(Compression))
def test_equal_input_is_equal_bytes(tmp_path: Path, compression: Compression) -> None:
    _layout(tmp_path / "one", compression)
    _layout(tmp_path / "two", compression)
    assert _everything(tmp_path / "one") == _everything(tmp_path / "two")


def test_documents_are_the_golden_ones(tmp_path: Path) -> None:
    """With the layers' bytes taken out: how well they are compressed is the library's business."""
    layers = _layout(tmp_path / "layout").adopt(tmp_path / "layout", NAME)
    manifest = json.loads(
        (tmp_path / "layout" / reading.path_of(reading.image(tmp_path / "layout", NAME))).read_bytes()
    )
    config = (tmp_path / "layout/blobs/sha256" / manifest["config"]["digest"].removeprefix("sha256:")).read_bytes()
    assert config == (GOLDEN / "config.json").read_bytes()
    assert [layer["mediaType"] for layer in manifest["layers"]] == [Compression.GZIP.media] * 2
    assert json.loads(config)["rootfs"]["diff_ids"] == [layer.diff_id for layer in layers]


def test_the_order_of_images_says_nothing(tmp_path: Path) -> None:
    names = ("b/two:1", "a/one:2")
    for folder, order in (("one", names), ("two", names[::-1])):
        layout = Layout.create(tmp_path / folder)
        for name in order:
            layout.add_image(name, (layout.add_layer({"name": File(source=name.encode())}),), Settings())
    assert _everything(tmp_path / "one") == _everything(tmp_path / "two")
    assert [image.name for image in layout.images] == sorted(names)


def test_a_tree_gives_what_its_content_gives(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "usr/bin").mkdir(parents=True, mode=0o755)
    (tree / "usr/bin/hello").write_bytes(b"#!/bin/sh\necho hello\n")
    (tree / "usr/bin/hello").chmod(0o755)
    (tree / "bin").symlink_to("usr/bin")
    (tree / "usr/share").mkdir()
    (tree / "usr/share/left-out").touch()
    os.mkfifo(tree / "pipe")
    mine = {"uid": os.getuid(), "gid": os.getgid()}
    assert scan(tree, without=("usr/share",)) == {
        "usr": Folder(**mine),
        "usr/bin": Folder(**mine),
        "usr/bin/hello": File(source=tree / "usr/bin/hello", mode=0o755, **mine),
        "bin": Link(target="usr/bin"),
    }


def test_a_layer_is_a_tar_in_order_without_times_and_names_of_owners(tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(3 << 20))
    content = {**HELLO, "big": File(source=big), f"long/{'x' * 200}": File(source=b"x")}
    pack(content, tmp_path / "layer", Compression.GZIP)
    with tarfile.open(tmp_path / "layer", "r:gz") as tar:
        members = tar.getmembers()
        stream = tar.extractfile("big")
        assert stream is not None
        assert stream.read() == big.read_bytes()
    assert [member.name for member in members] == sorted({*content, "usr", "usr/bin", "long"}, key=lambda name: name)
    assert {(member.mtime, member.uname, member.gname) for member in members} == {(EPOCH, "", "")}
    modes = {member.name: (member.mode, member.uid) for member in members}
    assert (modes["usr/bin/hello"], modes["srv"], modes["usr"]) == ((0o755, 0), (0o750, 33), (0o755, 0))


def test_gzip_says_neither_when_nor_by_what_name(tmp_path: Path) -> None:
    pack(HELLO, tmp_path / "layer", Compression.GZIP)
    header = (tmp_path / "layer").read_bytes()[:10]
    assert header[:4] == b"\x1f\x8b\x08\x00", "no flag: no name, no comment"
    assert header[4:8] == bytes(4), "no time"


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "a/../../b", "./a", "a//b", "a/", "etc/.wh.passwd", ".wh..wh..opq", "a\0b", "x" * 5000]
)
def test_a_path_that_leads_elsewhere_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(LayoutError):
        pack({path: File(source=b"")}, tmp_path / "layer", Compression.GZIP)


def test_a_path_through_a_link_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="no folder"):
        pack({"bin": Link(target="/usr/bin"), "bin/sh": File(source=b"")}, tmp_path / "layer", Compression.GZIP)


def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    layout = Layout.create(tmp_path / "layout")
    with pytest.raises(LayoutError, match="could not be written"):
        layout.add_layer({"gone": File(source=tmp_path / "gone")})
    assert [path.name for path in (tmp_path / "layout").rglob("*") if path.is_file()] == ["oci-layout", "index.json"]


def test_an_image_is_built_upon_another_layouts(tmp_path: Path) -> None:
    _layout(tmp_path / "below")
    above = Layout.create(tmp_path / "above")
    base = above.adopt(tmp_path / "below", NAME)
    above.add_image("apps/more:v2", (*base, above.add_layer({"more": File(source=b"more")})), Settings())
    assert reading.check(tmp_path / "above") == ()
    assert [layer.diff_id for layer in base] == [layer.diff_id for layer in reading.layers(tmp_path / "below", NAME)]
    with pytest.raises(LayoutError, match="no image apps/less"):
        above.adopt(tmp_path / "below", "apps/less:v1")


def test_an_opened_layout_keeps_its_images(tmp_path: Path) -> None:
    _layout(tmp_path / "layout")
    layout = Layout.open(tmp_path / "layout")
    layout.add_image("apps/second:v1", (layout.add_layer({"second": File(source=b"")}),), Settings())
    layout.add_image("apps/second:v1", (layout.add_layer({"second": File(source=b"again")}),), Settings())
    assert [image.name for image in reading.images(tmp_path / "layout")] == [NAME, "apps/second:v1"]
    assert reading.check(tmp_path / "layout") == ()


def test_a_folder_with_something_in_it_becomes_no_layout(tmp_path: Path) -> None:
    _layout(tmp_path / "layout")
    with pytest.raises(LayoutError, match="no layout can be made"):
        Layout.create(tmp_path / "layout")


def _remove(path: Path) -> None:
    path.unlink()


def _tamper(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("harm", [(_remove, Wrong.MISSING), (_tamper, Wrong.CHANGED), (_cut, Wrong.SIZE)])
def test_every_blob_that_is_gone_or_changed_is_found(
    tmp_path: Path, harm: tuple[Callable[[Path], None], Wrong]
) -> None:
    spoil, wrong = harm
    whole = tmp_path / "whole"
    _layout(whole)
    assert reading.check(whole) == ()
    blobs = sorted((whole / "blobs/sha256").iterdir())
    assert len(blobs) == 4
    for blob in blobs:
        harmed = tmp_path / f"harmed-{blob.name}"
        shutil.copytree(whole, harmed)
        spoil(harmed / "blobs/sha256" / blob.name)
        fault = Fault(image=NAME, digest=f"sha256:{blob.name}", wrong=wrong)
        assert reading.check(harmed) == (fault,)
        assert fault.describe() == f"{NAME}: sha256:{blob.name} is {wrong}"


def test_a_spoilt_layer_is_not_built_upon(tmp_path: Path) -> None:
    _layout(tmp_path / "below")
    layer = reading.layers(tmp_path / "below", NAME)[0]
    _tamper(tmp_path / "below" / reading.path_of(layer.blob))
    with pytest.raises(LayoutError, match="cannot be built upon"):
        Layout.create(tmp_path / "above").adopt(tmp_path / "below", NAME)


def _nested(folder: Path, depth: int) -> None:
    """The layout's image below that many indexes."""
    listed = json.loads((folder / "index.json").read_bytes())["manifests"]
    for _ in range(depth):
        raw = json.dumps({"schemaVersion": 2, "manifests": listed}).encode()
        digest = hashlib.sha256(raw).hexdigest()
        (folder / "blobs/sha256" / digest).write_bytes(raw)
        media = "application/vnd.oci.image.index.v1+json"
        listed = [{"mediaType": media, "digest": f"sha256:{digest}", "size": len(raw)}]
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": listed}))


def test_indexes_are_followed_so_far(tmp_path: Path) -> None:
    _layout(tmp_path / "layout")
    _nested(tmp_path / "layout", 2)
    assert reading.check(tmp_path / "layout") == ()
    layer = next(path for path in (tmp_path / "layout/blobs/sha256").iterdir() if path.read_bytes()[:2] == b"\x1f\x8b")
    layer.unlink()
    assert [fault.digest for fault in reading.check(tmp_path / "layout")] == [f"sha256:{layer.name}"]
    _nested(tmp_path / "layout", 9)
    with pytest.raises(LayoutError, match="an index"):
        reading.check(tmp_path / "layout")


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"[]",
        b"{",
        b'{"schemaVersion":1,"manifests":[]}',
        b'{"schemaVersion":2,"manifests":[7]}',
        b'{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"sha256:../../x","size":1}]}',
        b'{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"sha256:%s","size":-1}]}' % (b"a" * 64),
        b'{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"sha256:%s","size":true}]}' % (b"a" * 64),
        b"[" * 100_000,
        b" " * ((4 << 20) + 1),
    ],
    ids=range(10),
)
def test_what_is_no_index_is_refused(tmp_path: Path, index: bytes) -> None:
    _layout(tmp_path / "layout")
    (tmp_path / "layout/index.json").write_bytes(index)
    with pytest.raises(LayoutError):
        reading.check(tmp_path / "layout")


def test_a_folder_that_is_no_layout_is_said(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="could not be read"):
        reading.check(tmp_path)


@pytest.mark.parametrize("compression", list(Compression))
def test_skopeo_reads_it_and_keeps_its_digest(tmp_path: Path, compression: Compression) -> None:
    """https://github.com/containers/skopeo: it checks every digest and diff_id that it copies."""
    layout = _layout(tmp_path / "layout", compression)
    said = _skopeo("inspect", f"oci:{tmp_path}/layout:{NAME}")
    assert json.loads(said)["Digest"] == layout.images[0].digest
    config = json.loads(_skopeo("inspect", "--config", f"oci:{tmp_path}/layout:{NAME}"))
    assert config["config"]["Entrypoint"] == ["/usr/bin/hello"]
    _skopeo("copy", "--preserve-digests", f"oci:{tmp_path}/layout:{NAME}", f"oci:{tmp_path}/copy:{NAME}")
    assert reading.check(tmp_path / "copy") == ()
    assert reading.image(tmp_path / "copy", NAME).digest == layout.images[0].digest


def _skopeo(*words: str) -> str:
    """With the policy that takes every image: whose work an image is, nobody asks here."""
    argv = ["skopeo", "--insecure-policy", *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
