"""The folder of an artifact set on a disk. Whoever filled it is not trusted with the rest of the disk: every step of a
path is opened in the folder before it, and no link is followed (openat(2), O_NOFOLLOW)."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import BinaryIO

from images.artifact_set import DESCRIPTION, LAYOUT, ArtifactSet, read_set
from images.errors import SetError
from images.oci.parts import BLOBS, MANIFEST_LIMIT, Document, tree

_BLOCK = 1 << 20
_DESCRIPTION_LIMIT = 8 << 20
_ALGORITHM = "sha256"

Counted = Callable[[int], None]
"""Told of bytes that were read."""


class SetFolder:
    """Every method raises `SetError`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise _unreadable(str(path), error) from error

    def close(self) -> None:
        os.close(self._root)

    def description(self) -> ArtifactSet:
        return read_set(self.small(DESCRIPTION, limit=_DESCRIPTION_LIMIT))

    def names(self) -> tuple[str, ...]:
        """Of all that stands directly in it, sorted."""
        return tuple(sorted(found.name for found in self._path.iterdir()))

    def small(self, *steps: str, limit: int) -> bytes:
        name = "/".join(steps)
        with self._opened(steps) as file, _reading(name):
            content = file.read(limit + 1)
        if len(content) > limit:
            raise _wrong(name, f"it has more than {limit} bytes")
        return content

    def document(self, digest: str) -> bytes:
        """The content of an image's manifest or index. Whether it is what it is called, the reader finds out."""
        return self.small(*_place(digest), limit=MANIFEST_LIMIT)

    def documents(self, digest: str) -> tuple[Document, ...]:
        """All of an image, each behind what it names."""
        return tuple(tree(digest, self.document))

    def blob(self, digest: str) -> AbstractContextManager[BinaryIO]:
        """What befalls whoever reads it is theirs."""
        return self._opened(_place(digest))

    def file(self, name: str) -> AbstractContextManager[BinaryIO]:
        return self._opened((name,))

    def measured(self, name: str, counted: Counted = lambda _size: None) -> tuple[int, str]:
        """A file's size in bytes, and its SHA-256 in hex."""
        with self.file(name) as file, _reading(name):
            return hash_of(file, counted)

    def check_file(self, name: str, size: int, sha256: str, counted: Counted = lambda _size: None) -> None:
        _compare(name, self.measured(name, counted), (size, sha256))

    def check_blob(self, digest: str, size: int, counted: Counted = lambda _size: None) -> None:
        name = "/".join(_place(digest))
        with self.blob(digest) as file, _reading(name):
            found = hash_of(file, counted)
        _compare(name, found, (size, digest.removeprefix(f"{_ALGORITHM}:")))

    @contextmanager
    def _opened(self, steps: tuple[str, ...]) -> Iterator[BinaryIO]:
        name = "/".join(steps)
        with _reading(name):
            found = self._found(steps)
        with os.fdopen(found, "rb") as file:
            if not stat.S_ISREG(os.fstat(found).st_mode):
                raise _wrong(name, "it is no ordinary file")
            yield file

    def _found(self, steps: tuple[str, ...]) -> int:
        with closing(_Held(os.dup(self._root))) as held:
            for step in steps[:-1]:
                held.enter(step)
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            return os.open(steps[-1], flags, dir_fd=held.fd)


class _Held:
    """A folder's descriptor, replaced at each step downwards."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def enter(self, name: str) -> None:
        deeper = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd)
        os.close(self.fd)
        self.fd = deeper

    def close(self) -> None:
        os.close(self.fd)


def hash_of(file: BinaryIO, counted: Counted = lambda _size: None) -> tuple[int, str]:
    """Size in bytes, and the SHA-256 in hex, of all that is left of it."""
    seen, size = hashlib.sha256(), 0
    while block := file.read(_BLOCK):
        seen.update(block)
        size += len(block)
        counted(len(block))
    return size, seen.hexdigest()


def _place(digest: str) -> tuple[str, ...]:
    return LAYOUT, BLOBS, _ALGORITHM, digest.removeprefix(f"{_ALGORITHM}:")


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _unreadable(name, error) from error


def _compare(name: str, found: tuple[int, str], wanted: tuple[int, str]) -> None:
    if found != wanted:
        raise _wrong(name, f"expected {wanted[0]} bytes, sha256 {wanted[1]}; found {found[0]} bytes, sha256 {found[1]}")


def _wrong(name: str, evidence: str) -> SetError:
    return SetError(
        f"{name} is not what the set says",
        evidence=evidence,
        next_action="get the set again from where it was made; nothing of it was used",
    )


def _unreadable(name: str, error: OSError) -> SetError:
    return SetError(
        f"{name} of the set cannot be read",
        evidence=str(error)[:200],
        next_action="complete the folder: ordinary files and folders, no links, readable by the appliance's user",
    )
