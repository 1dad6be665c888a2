"""From a recipe to its artefacts: once, and again only when an input has changed."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from images.errors import BuildError
from images.ports import Progress
from images.store import Entry, Store, sha256_of

Build = Callable[[Path], Mapping[str, Path]]
"""Given an empty work folder: artefact name -> the file that holds it. The files are moved to the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that decides the outcome, but for the mirror and its moment: a newer package is no reason to rebuild."""

    name: str
    suite: str
    packages: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """SHA-256, in hex, of the canonical form. The order of packages does not count; that of options does."""
        canonical = [self.name, self.suite, sorted(set(self.packages)), self.options, sorted(self.sources.items())]
        return hashlib.sha256(json.dumps(canonical, separators=(",", ":")).encode()).hexdigest()


def hashes(folder: Path, patterns: Iterable[str]) -> dict[str, str]:
    """SHA-256 by path relative to `folder` of every file that a pattern (Path.glob) finds."""
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in sorted(found)}


def ensure(recipe: Recipe, store: Store, build: Build, progress: Progress) -> Entry:
    """The stored entry, or a fresh one. Raises ImagesError."""
    if (entry := store.find(recipe.name, recipe.key)) is not None:
        progress(f"{recipe.name}: in store")
        return entry
    progress(f"{recipe.name}: building")
    with store.building(recipe.name) as work:
        if (entry := store.find(recipe.name, recipe.key)) is not None:
            progress(f"{recipe.name}: built by another process meanwhile")
            return entry
        entry = _store(recipe, store, build(work))
    progress(f"{recipe.name}: built")
    return entry


def _store(recipe: Recipe, store: Store, files: Mapping[str, Path]) -> Entry:
    missing = [name for name, path in files.items() if not path.is_file()]
    if missing or not files:
        raise BuildError(f"{recipe.name} did not yield {', '.join(missing) or 'anything'}")
    artifacts = tuple(store.put(path, name) for name, path in files.items())
    entry = Entry(recipe=recipe.name, key=recipe.key, artifacts=artifacts)
    store.record(entry)
    return entry
