"""A real store: what it holds, who runs it, and what became of its files."""

import asyncio
from pathlib import Path

import pytest

from appliance.errors import NotFoundError
from appliance.model.ids import MachineName
from appliance.model.image_views import HashState, ImageView
from appliance.services.shelf import Shelf
from images.store import Entry, Store

OLD, NEW = "ab" * 32, "cd" * 32
NODE = MachineName("node-0")


def entry(store: Store, key: str, *contents: bytes) -> Entry:
    artifacts = []
    for number, content in enumerate(contents):
        path = store.root / "fresh"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        artifacts.append(store.put(path, f"part-{number}.zst"))
    made = Entry(recipe="debian-13", key=key, artifacts=tuple(artifacts))
    store.record(made)
    return made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def look(shelf: Shelf, users: dict[str, list[MachineName]] | None = None) -> tuple[ImageView, ...]:
    return asyncio.run(shelf.images(users or {}, 5.0)).images


def test_what_is_served_comes_first_and_says_who_runs_it(store: Store) -> None:
    old, new = entry(store, OLD, b"old"), entry(store, NEW, b"small", b"the larger one")
    shelf = Shelf(store.root, (new,))
    first, second = look(shelf, {old.artifacts[0].sha256: [NODE]})
    assert (first.name, first.version, first.served, first.machines) == ("debian-13", NEW, True, ())
    assert (first.size_bytes, first.sha256) == (19, new.artifacts[1].sha256)
    assert (first.state, first.looked) == (HashState.WHOLE, 5.0)
    assert (second.version, second.served, second.machines) == (OLD, False, (NODE,))
    assert second.state is HashState.UNCHECKED
    for name, key in (("debian-13", NEW), (OLD, OLD)):
        assert asyncio.run(shelf.image(name, {}, 0)).version == key
    with pytest.raises(NotFoundError, match="no image is called windows"):
        asyncio.run(shelf.image("windows", {}, 0))


@pytest.mark.parametrize(
    ("damage", "state"),
    [("gone", HashState.MISSING), ("other", HashState.CHANGED), ("longer", HashState.CHANGED)],
)
def test_a_file_that_was_touched_is_not_whole(damage: str, state: HashState, store: Store) -> None:
    made = entry(store, NEW, b"good", b"best")
    shelf, path = Shelf(store.root, (made,)), store.path_of(made.artifacts[0].sha256)
    path.chmod(0o644)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"evil" if damage == "other" else b"evil and longer")
    (image,) = look(shelf)
    assert (image.state, [one.state for one in image.artifacts]) == (state, [state, HashState.WHOLE])


def test_an_empty_store_and_a_damaged_entry(store: Store) -> None:
    assert look(Shelf(store.root, ())) == ()
    entry(store, NEW, b"good")
    next((store.root / "entries").glob("*/*.json")).write_text("{")
    assert look(Shelf(store.root, ())) == ()
