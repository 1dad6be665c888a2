"""The release around the disk: what it is read from, how it is put into a folder, and what building it needs."""

import hashlib
from pathlib import Path

import pytest

from images.appliance.iso import label_of
from images.appliance.release import KEY, SBOM, SIGNATURE, SUMS, last_sbom, partitions, place, recipe_of
from images.appliance.release import Partition as Part
from images.errors import BuildError
from images.means import lacking
from images.ramdisk.modules import Variant
from images.signature import make_key, read_public, verify
from images.store import Entry, Store

TABLE = """{"partitiontable": {"label": "gpt", "partitions": [
 {"node": "disk.raw1", "start": 2048, "size": 2048, "type": "21", "name": "bios"},
 {"node": "disk.raw3", "start": 1048576, "size": 8, "type": "0F", "name": "root-a"}]}}"""
SECRET = make_key(bytes(range(40)))


def test_partitions_are_found_by_name() -> None:
    assert partitions(TABLE) == {
        "bios": Part(start=1 << 20, size=1 << 20),
        "root-a": Part(start=512 << 20, size=4096),
    }


@pytest.mark.parametrize("text", ["{}", '{"partitiontable": {"partitions": [{"start": 1, "size": 2}]}}'])
def test_a_disk_without_named_partitions_is_refused(text: str) -> None:
    with pytest.raises(BuildError):
        partitions(text)


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
