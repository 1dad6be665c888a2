"""Artefacts by the SHA-256 of their content, and what each recipe yielded.

    ROOT/objects/ab/abcd...             content, read-only
    ROOT/entries/RECIPE/KEY.json        artefacts of that recipe for that key
    ROOT/locks/RECIPE                   held while that recipe is built
    ROOT/work/RECIPE                    its scratch space, wiped by the next builder

Nothing found here is trusted: `find` hashes every artefact again, and an entry with a missing or changed artefact is
no entry. Files appear by rename after fsync, so a power cut leaves the old state or the new one.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from images.errors import StoreError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MEDIA = {".json": "application/json", ".zst": "application/zstd", ".tar": "application/x-tar"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """`name` is how a recipe's users ask for it, `size` in bytes, `media` a media type."""

    name: str
    sha256: str
    size: int
    media: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or not _SHA256.fullmatch(self.sha256) or self.size < 0:
            raise StoreError("not an artefact", evidence=repr((self.name, self.sha256, self.size))[:300])


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    recipe: str
    key: str
    artifacts: tuple[Artifact, ...]

    def artifact(self, name: str) -> Artifact:
        """Raises StoreError when the recipe yields no such artefact."""
        for artifact in self.artifacts:
            if artifact.name == name:
                return artifact
        names = ", ".join(artifact.name for artifact in self.artifacts)
        raise StoreError(f"{self.recipe} has no artefact {name}", evidence=f"it has {names}")


class Store:
    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, path: Path, name: str) -> Artifact:
        """Take the file over (it is moved). Content that is here already stays the file that it is: somebody may be
        serving it, and serves no file that was changed since he hashed it. Raises StoreError."""
        try:
            artifact = _describe(path, name)
            target = self.path_of(artifact.sha256)
            if self.verify(artifact):
                path.unlink()
                return artifact
            target.parent.mkdir(parents=True, exist_ok=True)
            path.chmod(0o444)
            _settle(path, target)
        except OSError as cause:
            raise self._refusal(f"{name} could not be stored", cause) from cause
        return artifact

    def path_of(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise StoreError("not a SHA-256", evidence=repr(sha256)[:100])
        return self.root / "objects" / sha256[:2] / sha256

    def find(self, recipe: str, key: str) -> Entry | None:
        """The entry if it is there and whole; None sends the caller to build. Raises StoreError if unreadable."""
        path = self._entry_path(recipe, key)
        try:
            entry = _parse_entry(path.read_text("utf-8"), recipe, key)
        except FileNotFoundError:
            return None
        except (ValueError, StoreError):
            return None  # a damaged entry is worth no more than a missing one: the build replaces it
        except OSError as cause:
            raise self._refusal(f"the entry of {recipe} could not be read", cause) from cause
        return entry if all(self.verify(artifact) for artifact in entry.artifacts) else None

    def entries(self) -> tuple[Entry, ...]:
        """All of them, without a look at their artefacts; damaged ones are left out. Raises StoreError."""
        try:
            found = [_parsed(path) for path in sorted((self.root / "entries").glob("*/*.json"))]
        except OSError as cause:
            raise self._refusal("the entries could not be read", cause) from cause
        return tuple(entry for entry in found if entry is not None)

    def verify(self, artifact: Artifact) -> bool:
        """Is the stored content there and what it is called? Raises StoreError if that cannot be told."""
        path = self.path_of(artifact.sha256)
        try:
            return path.stat().st_size == artifact.size and sha256_of(path) == artifact.sha256
        except FileNotFoundError:
            return False
        except OSError as cause:
            raise self._refusal(f"{artifact.name} could not be read", cause) from cause

    def record(self, entry: Entry) -> None:
        path = self._entry_path(entry.recipe, entry.key)
        fresh = path.with_suffix(".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(_entry_json(entry), "utf-8")
            _settle(fresh, path)
        except OSError as cause:
            raise self._refusal(f"the entry of {entry.recipe} could not be written", cause) from cause

    @contextlib.contextmanager
    def building(self, recipe: str) -> Iterator[Path]:
        """An empty work folder on the store's filesystem, for one builder of this recipe at a time; others wait."""
        lock, work = self.root / "locks" / recipe, self.root / "work" / recipe
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            try:
                yield work
            finally:
                shutil.rmtree(work, ignore_errors=True)

    def _entry_path(self, recipe: str, key: str) -> Path:
        if not _NAME.fullmatch(recipe) or not _SHA256.fullmatch(key):
            raise StoreError("not a recipe and key", evidence=repr((recipe, key))[:300])
        return self.root / "entries" / recipe / f"{key}.json"

    def _refusal(self, message: str, cause: OSError) -> StoreError:
        return StoreError(message, evidence=str(cause), next_action=f"look at space and permissions of {self.root}")


def _parsed(path: Path) -> Entry | None:
    try:
        return _parse_entry(path.read_text("utf-8"), path.parent.name, path.stem)
    except (ValueError, StoreError):
        return None


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _describe(path: Path, name: str) -> Artifact:
    media = _MEDIA.get(Path(name).suffix, "application/octet-stream")
    return Artifact(name=name, sha256=sha256_of(path), size=path.stat().st_size, media=media)


def _settle(source: Path, target: Path) -> None:
    _fsync(source)
    source.replace(target)
    _fsync(target.parent)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _entry_json(entry: Entry) -> str:
    rows = [[a.name, a.sha256, a.size, a.media] for a in entry.artifacts]
    return json.dumps({"recipe": entry.recipe, "key": entry.key, "artifacts": rows}, indent=1)


def _parse_entry(text: str, recipe: str, key: str) -> Entry:
    value: object = json.loads(text)
    match value:
        case {"recipe": str(found_recipe), "key": str(found_key), "artifacts": list(rows)} if (
            found_recipe == recipe and found_key == key
        ):
            return Entry(recipe=recipe, key=key, artifacts=tuple(_parse_artifact(row) for row in rows))
        case _:
            raise ValueError("not the entry of this recipe and key")


def _parse_artifact(row: object) -> Artifact:
    match row:
        case [str(name), str(sha256), int(size), str(media)]:
            return Artifact(name=name, sha256=sha256, size=size, media=media)
        case _:
            raise ValueError("not an artefact row")
