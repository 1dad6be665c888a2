"""What is in a layer, by path: folders, files and links, with what of their metadata an image keeps.

That is type, mode and numeric owner. Times are the builders' epoch, names of owners are empty, and extended attributes
and hard links are left behind: two builders, whose machines differ in all of these, get the same layer.
"""

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from images.errors import LayoutError

_WHITEOUT = ".wh."
_PATH_LIMIT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    mode: int = 0o755
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """`source` is where its content is now, or the content itself."""

    source: Path | bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """`target` as it stands in the link: absolute ones lead to the image's own root."""

    target: str


Node: TypeAlias = Folder | File | Link
Content: TypeAlias = Mapping[str, Node]
"""By path: relative, with slashes, without dots. Folders that nothing describes are as `Folder()` is."""


def whole(content: Content) -> Mapping[str, Node]:
    """The same with every folder in it, sorted, so that each stands behind the one that holds it.

    Raises LayoutError for a path that leads out of the layer, or whose name would remove files of lower layers."""
    for path in content:
        _check(path)
    folders: dict[str, Node] = {parent: Folder() for path in content for parent in _parents(path)}
    nodes = {**folders, **content}
    if crossed := sorted(path for path in folders if not isinstance(nodes[path], Folder)):
        raise LayoutError("a path leads through what is no folder", evidence=crossed[0])
    return dict(sorted(nodes.items()))


def scan(tree: Path, without: Iterable[str] = ()) -> Content:
    """Everything in a folder but what a prefix in `without` names. Devices, sockets and pipes are left out: whatever
    runs an image makes its own."""
    prefixes = tuple(without)
    found: dict[str, Node] = {}
    for folder, folders, names in os.walk(tree):
        base = os.path.relpath(folder, tree)
        for name in (*folders, *names):
            path = name if base == "." else f"{base}/{name}"
            if not path.startswith(prefixes) and (node := _node(tree / path)) is not None:
                found[path] = node
    return found


def _node(path: Path) -> Node | None:
    status = path.lstat()
    mode, uid, gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
    if stat.S_ISLNK(status.st_mode):
        return Link(target=str(path.readlink()))
    if stat.S_ISDIR(status.st_mode):
        return Folder(mode=mode, uid=uid, gid=gid)
    return File(source=path, mode=mode, uid=uid, gid=gid) if stat.S_ISREG(status.st_mode) else None


def _parents(path: str) -> Iterable[str]:
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))


def _check(path: str) -> None:
    parts = path.split("/")
    if not path or len(path) > _PATH_LIMIT or {"", ".", ".."} & set(parts) or "\0" in path:
        raise LayoutError("a path leads out of the layer", evidence=repr(path)[:200])
    if any(part.startswith(_WHITEOUT) for part in parts):
        raise LayoutError("a file's name means that lower layers lose a file", evidence=repr(path)[:200])
