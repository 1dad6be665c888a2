"""The release around the disk: what it is read from, how it is put into a folder, and what building it needs."""

import hashlib
import io
from pathlib import Path

import pytest

from images import bundle
from images.appliance.iso import label_of
from images.appliance.release import KEY, SBOM, SIGNATURE, SUMS, last_sbom, parts_of, place, recipe_of
from images.errors import SignatureError
from images.means import lacking
from images.ramdisk.modules import Variant
from images.signature import make_key, read_public, verify
from images.store import Entry, Store

SECRET = make_key(bytes(range(40)))


def test_the_label_of_the_medium_is_of_its_version() -> None:
    assert label_of("0badcafe" * 8) == "INNERVATE_0BADCAFE"


def stored(store: Store, recipe: str, files: dict[str, bytes]) -> Entry:
    artifacts = []
    for name, content in files.items():
        path = store.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        artifacts.append(store.put(path, name))
    entry = Entry(recipe=recipe, key="ab" * 32, artifacts=tuple(artifacts))
    store.record(entry)
    return entry


def test_an_iso_starts_the_parts_of_the_disks_own_bundle(tmp_path: Path) -> None:
    store, given = Store(tmp_path / "store"), {name: tmp_path / f"given.{name}" for name in bundle.PARTS}
    for name, path in given.items():
        path.write_bytes(name.encode() * 1000)
    described = tuple(bundle.describe(path, name) for name, path in given.items())
    state = bundle.StateForm(form=1, schema="0001", kinds=())
    manifest = bundle.Manifest(version="0.1.0", build="0" * 12, state=state, parts=described)
    out = io.BytesIO()
    bundle.pack(manifest, SECRET, given, out)
    disk = stored(store, "appliance-generic", {"appliance.upgrade": out.getvalue()})

    parts = parts_of(disk, store, SECRET.public, tmp_path)

    assert {name: path.read_bytes() for name, path in parts.items()} == {
        name: path.read_bytes() for name, path in given.items()
    }
    with pytest.raises(SignatureError):
        parts_of(disk, store, make_key(bytes(40)).public, tmp_path)


def test_a_release_in_a_folder_can_be_checked_by_its_sums_and_its_key(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    disk = stored(store, "appliance-generic", {"appliance.raw.zst": b"disk"})
    sums = f"{hashlib.sha256(b'disk').hexdigest()}  appliance.raw.zst\n"
    (tmp_path / "sums").write_text(sums)
    with (tmp_path / "sums").open("rb") as content:
        signature = SECRET.sign(content, "Innervate 1")
    files = {SBOM: b"{}", SUMS: sums.encode(), SIGNATURE: signature.encode(), KEY: SECRET.public.text.encode()}
    release = stored(store, "appliance-release-generic", files)

    placed = place(release, store, tmp_path / "out")

    assert {path.name for path in placed} == {"appliance.raw.zst", *files}
    assert (tmp_path / "out/appliance.raw.zst").read_bytes() == b"disk"
    key = read_public((tmp_path / "out" / KEY).read_text())
    with (tmp_path / "out" / SUMS).open("rb") as content:
        assert verify(key, content, (tmp_path / "out" / SIGNATURE).read_text()) == "Innervate 1"
    assert last_sbom(store) == "{}"
    assert recipe_of(Variant.GENERIC, disk, key).key != recipe_of(Variant.CLOUD, disk, key).key


def test_where_no_release_was_built_there_is_no_sbom(tmp_path: Path) -> None:
    assert last_sbom(Store(tmp_path)) is None


def test_what_is_missing_to_build_is_said_by_package(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path(__file__).parents[3] / "images/packages.txt"
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("images.means.SBIN", ())
    found = lacking()
    assert {"mmdebstrap", "xorriso", "qemu-utils"} <= set(found)
    assert set(found) <= set(here.read_text().split())
