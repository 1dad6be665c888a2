from collections.abc import Mapping
from pathlib import Path

import pytest

from images.errors import BuildError
from images.recipe import Recipe, ensure, hashes
from images.store import Store

RECIPE = Recipe(name="ramdisk", suite="trixie", packages=("b", "a"), options=("x", "y"), sources={"init": "00"})


def test_key_is_stable() -> None:
    assert RECIPE.key == Path(__file__).parents[2].joinpath("golden/images/recipe.key").read_text().strip()


def test_key_ignores_order_and_repeats_of_packages() -> None:
    assert (
        Recipe(name="r", suite="s", packages=("a", "b")).key
        == Recipe(name="r", suite="s", packages=("b", "a", "b")).key
    )


@pytest.mark.parametrize(
    "other",
    [
        Recipe(name="other", suite="trixie", packages=("b", "a"), options=("x", "y"), sources={"init": "00"}),
        Recipe(name="ramdisk", suite="forky", packages=("b", "a"), options=("x", "y"), sources={"init": "00"}),
        Recipe(name="ramdisk", suite="trixie", packages=("b",), options=("x", "y"), sources={"init": "00"}),
        Recipe(name="ramdisk", suite="trixie", packages=("b", "a"), options=("y", "x"), sources={"init": "00"}),
        Recipe(name="ramdisk", suite="trixie", packages=("b", "a"), options=("x", "y"), sources={"init": "01"}),
    ],
)
def test_every_input_changes_the_key(other: Recipe) -> None:
    assert other.key != RECIPE.key


class Builder:
    def __init__(self, *names: str) -> None:
        self.names, self.runs = names, 0

    def __call__(self, work: Path) -> Mapping[str, Path]:
        self.runs += 1
        for name in self.names:
            (work / name).write_text(f"content of {name}")
        return {name: work / name for name in self.names}


def test_built_once_then_found(tmp_path: Path) -> None:
    store, build, lines = Store(tmp_path), Builder("vmlinuz", "initrd.zst"), list[str]()
    first = ensure(RECIPE, store, build, lines.append)
    assert ensure(RECIPE, store, build, lines.append) == first
    assert build.runs == 1
    assert [artifact.name for artifact in first.artifacts] == ["vmlinuz", "initrd.zst"]
    assert lines == ["ramdisk: building", "ramdisk: built", "ramdisk: in store"]
    assert list((tmp_path / "work").iterdir()) == []


def test_lost_artefact_is_built_again(tmp_path: Path) -> None:
    store, build = Store(tmp_path), Builder("vmlinuz")
    entry = ensure(RECIPE, store, build, lambda line: None)
    path = store.path_of(entry.artifact("vmlinuz").sha256)
    path.unlink()
    assert ensure(RECIPE, store, build, lambda line: None) == entry
    assert path.is_file()


@pytest.mark.parametrize("files", [{}, {"vmlinuz": Path("/nowhere/vmlinuz")}])
def test_build_must_yield_what_it_names(tmp_path: Path, files: dict[str, Path]) -> None:
    store = Store(tmp_path)
    with pytest.raises(BuildError):
        ensure(RECIPE, store, lambda work: files, lambda line: None)
    assert store.find(RECIPE.name, RECIPE.key) is None


def test_hashes_are_of_files_by_relative_path(tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent/a.py").write_bytes(b"")
    (tmp_path / "b.txt").write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert hashes(tmp_path, ("**/*.py", "agent/*")) == {"agent/a.py": empty}
