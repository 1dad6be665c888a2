import hashlib
import threading
from pathlib import Path

import pytest

from images.errors import StoreError
from images.store import Artifact, Entry, Store

KEY = "ab" * 32


def _put(store: Store, tmp_path: Path, content: bytes = b"content", name: str = "initrd.zst") -> Artifact:
    path = tmp_path / "fresh"
    path.write_bytes(content)
    return store.put(path, name)


def test_put_moves_content_under_its_hash(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    artifact = _put(store, tmp_path)
    assert artifact == Artifact(
        name="initrd.zst", sha256=hashlib.sha256(b"content").hexdigest(), size=7, media="application/zstd"
    )
    assert store.path_of(artifact.sha256).read_bytes() == b"content"
    assert not (tmp_path / "fresh").exists()


def test_content_that_is_here_stays_the_file_that_it_is(tmp_path: Path) -> None:
    """A daemon that serves it looks whether it was changed since it was hashed."""
    store = Store(tmp_path / "store")
    artifact = _put(store, tmp_path)
    before = store.path_of(artifact.sha256).stat()
    assert _put(store, tmp_path) == artifact
    after = store.path_of(artifact.sha256).stat()
    assert (before.st_ino, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_ino,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )
    assert not (tmp_path / "fresh").exists()


def test_entry_is_found_by_recipe_and_key(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    entry = Entry(recipe="ramdisk", key=KEY, artifacts=(_put(store, tmp_path),))
    assert store.find("ramdisk", KEY) is None
    store.record(entry)
    assert store.find("ramdisk", KEY) == entry
    assert store.find("ramdisk", "cd" * 32) is None
    assert store.find("firmware", KEY) is None


@pytest.mark.parametrize("damage", ["missing", "longer", "same size"])
def test_damaged_artefact_is_not_trusted(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path / "store")
    artifact = _put(store, tmp_path)
    store.record(Entry(recipe="ramdisk", key=KEY, artifacts=(artifact,)))
    path = store.path_of(artifact.sha256)
    path.unlink()
    if damage != "missing":
        path.write_bytes(b"contents" if damage == "longer" else b"kontent")
    assert store.find("ramdisk", KEY) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"recipe": "other", "key": "K", "artifacts": []}',
        '{"recipe": "r", "key": "K", "artifacts": [1]}',
    ],
)
def test_damaged_entry_is_no_entry(tmp_path: Path, text: str) -> None:
    store = Store(tmp_path)
    path = tmp_path / "entries" / "r" / f"{KEY}.json"
    path.parent.mkdir(parents=True)
    path.write_text(text.replace("K", KEY))
    assert store.find("r", KEY) is None


@pytest.mark.parametrize("sha256", ["", "../../etc/passwd", "AB" * 32, "ab" * 31])
def test_only_hashes_name_content(tmp_path: Path, sha256: str) -> None:
    with pytest.raises(StoreError):
        Store(tmp_path).path_of(sha256)


def test_names_cannot_leave_the_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        Store(tmp_path).find("../x", KEY)
    with pytest.raises(StoreError):
        Artifact(name="a/b", sha256=KEY, size=1, media="")


def test_missing_artefact_name_says_what_there_is() -> None:
    entry = Entry(recipe="r", key=KEY, artifacts=(Artifact(name="vmlinuz", sha256=KEY, size=1, media=""),))
    with pytest.raises(StoreError) as caught:
        entry.artifact("initrd")
    assert "vmlinuz" in caught.value.evidence


def test_one_builder_at_a_time_and_the_next_starts_clean(tmp_path: Path) -> None:
    store, inside, order = Store(tmp_path), threading.Event(), list[str]()

    def second() -> None:
        inside.wait(10)
        with store.building("r") as work:
            order.append("second")
            assert list(work.iterdir()) == []

    other = threading.Thread(target=second)
    other.start()
    with store.building("r") as work:
        inside.set()
        (work / "leftover").write_bytes(b"x")
        order.append("first")
    other.join(10)
    assert order == ["first", "second"]
