"""What the boot services hand out: immutable bodies, found by name in a table.

A name is a key of the table and never becomes a path: what is not in the table does not exist.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from pxe.errors import ConfigError

OCTETS = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What tells, without hashing gigabytes, that a file is still the one that was hashed: inode(7), `st_ctime` and
    `st_ino`. Whoever writes to it changes the first, whoever puts another one in its place the second."""

    changed_ns: int
    inode: int

    @classmethod
    def of(cls, file: os.stat_result) -> "Mark":
        return cls(changed_ns=file.st_ctime_ns, inode=file.st_ino)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContent:
    """A file that nobody changes while it is served; `digest` (hex) becomes the HTTP entity tag. With a `mark` one that
    was changed nevertheless is not served any more: firmware and iPXE check no hash."""

    path: Path
    size: int
    media_type: str = OCTETS
    digest: str = ""
    mark: Mark | None = None

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ConfigError("a file cannot have a negative size", evidence=str(self.path))


def opened(content: FileContent) -> int:
    """A descriptor of the file that was meant. Raises OSError."""
    fd = os.open(content.path, os.O_RDONLY | os.O_CLOEXEC)
    found = os.fstat(fd)
    if found.st_size != content.size:
        os.close(fd)
        raise OSError(f"{content.path} is not {content.size} bytes long")
    if content.mark is not None and Mark.of(found) != content.mark:
        os.close(fd)
        raise OSError(f"{content.path} was changed since it was hashed")
    return fd


@dataclass(frozen=True, slots=True, kw_only=True)
class BytesContent:
    data: bytes
    media_type: str = OCTETS
    digest: str = ""

    @property
    def size(self) -> int:
        return len(self.data)


Content = FileContent | BytesContent


@dataclass(frozen=True, slots=True)
class ContentTable:
    """Names are relative paths with forward slashes: `nbp/snponly.efi`."""

    entries: Mapping[str, Content] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.entries:
            if not name or name.startswith("/") or "\\" in name:
                raise ConfigError(
                    "content names are relative, with forward slashes", evidence=name, next_action="rename it"
                )
        object.__setattr__(self, "entries", MappingProxyType(dict(self.entries)))

    def content(self, name: str) -> Content | None:
        return self.entries.get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)
