"""The folder that an application is packaged from: the files that count, the same wherever it was checked out."""

import hashlib
import json
from pathlib import Path

from images.application.description import FILE, Description, read
from images.errors import PackageError
from images.oci.content import Content, File, Folder, Link, Node, scan
from images.store import sha256_of

_LEFT_OUT = frozenset({".git", ".svn", "__pycache__"})
_EXECUTABLE = 0o100
_TEXT_LIMIT = 16 << 20


class Source:
    """Every method raises `PackageError`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.description: Description = read(self.content(FILE))

    def content(self, name: str) -> bytes:
        path = self.folder / name
        try:
            self._refuse_outside(path)
            with path.open("rb") as file:
                found = file.read(_TEXT_LIMIT + 1)
        except OSError as error:
            raise _unreadable(name, error) from error
        if len(found) > _TEXT_LIMIT:
            raise PackageError(f"{name} has more than {_TEXT_LIMIT} bytes", next_action="split it")
        return found

    def text(self, name: str) -> str:
        try:
            return self.content(name).decode()
        except UnicodeDecodeError as error:
            raise PackageError(f"{name} is not UTF-8", evidence=str(error), next_action="save it as UTF-8") from error

    def tree(self, folder: str, at: str = "") -> Content:
        """For an image: everything is root's; only whether a file may be executed counts of its mode."""
        root = self.below(folder)
        return {f"{at}/{path}".lstrip("/"): node for path, node in _settled(root).items()}

    def below(self, folder: str) -> Path:
        path = self.folder / folder
        self._refuse_outside(path)
        if not path.is_dir():
            raise PackageError(f"{folder} is no folder", evidence=str(path), next_action=f"correct {FILE}")
        return path

    def fingerprint(self) -> str:
        """SHA-256, in hex, of all of it."""
        try:
            rows = [[path, *_trait(node)] for path, node in sorted(_settled(self.folder).items())]
        except OSError as error:
            raise _unreadable(str(self.folder), error) from error
        return hashlib.sha256(json.dumps(rows).encode("utf-8", "surrogateescape")).hexdigest()

    def _refuse_outside(self, path: Path) -> None:
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise PackageError(
                f"{path.relative_to(self.folder)} leads out of the source",
                evidence=str(path.resolve()),
                next_action="copy what it needs into the folder",
            )


def _settled(root: Path) -> Content:
    found = scan(root).items()
    return {path: _plain(node) for path, node in found if not _LEFT_OUT & set(path.split("/"))}


def _plain(node: Node) -> Node:
    match node:
        case File(source=source, mode=mode):
            return File(source=source, mode=0o755 if mode & _EXECUTABLE else 0o644)
        case Folder():
            return Folder()
        case Link():
            return node


def _trait(node: Node) -> list[str]:
    match node:
        case File(source=Path() as source, mode=mode):
            return [oct(mode), sha256_of(source)]
        case File(source=source):
            raise AssertionError(source)
        case Link(target=target):
            return ["link", target]
        case Folder():
            return ["folder"]


def _unreadable(name: str, error: OSError) -> PackageError:
    return PackageError(f"{name} cannot be read", evidence=str(error)[:200], next_action="complete the source")
