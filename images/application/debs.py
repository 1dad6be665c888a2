"""Debian packages below an application: with all that they need, unpacked and not configured.

They are an entry of their own in the store: versions of an application, and applications, that name the same packages
share a layer, which every node then has already.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from images import packages
from images.archive import SUITE, Archive
from images.errors import ToolError
from images.kubernetes.suite import Suite, read_by_programs
from images.oci.content import Content
from images.packages import Package
from images.processes import check
from images.recipe import Recipe, ensure, hashes
from images.store import Store

NAME = "layer-of-packages"
_LIST = "packages.json"
_UNWANTED = (
    *("etc/init.d/", "usr/lib/systemd/", "usr/share/info/", "usr/share/lintian/", "usr/share/locale/"),
    *("usr/share/man/", "var/cache/", "var/log/"),
)
_NOTHING = Path("/dev/null")
_PACKAGE = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Debs:
    """`content` is read from a folder that whoever asked has to keep meanwhile."""

    content: Content
    packages: tuple[Package, ...]


def recipe_of(names: Sequence[str]) -> Recipe:
    sources = hashes(_PACKAGE, ("application/debs.py", "kubernetes/suite.py", "packages.py"))
    return Recipe(name=NAME, suite=SUITE, packages=tuple(names), sources=sources)


def unpacked(names: Sequence[str], store: Store, archive: Archive, tree: Path) -> Debs:
    """Below `tree`, which is made. Fetched at first use: for that the process has to be root. Raises ImagesError."""
    tree.mkdir(parents=True)
    if not names:
        return Debs(content={}, packages=())
    if os.geteuid() != 0:
        raise ToolError("Debian packages are unpacked by root, whose files they are", next_action="run it with sudo")

    def build(work: Path) -> Mapping[str, Path]:
        own, listed = work / "apt", work / _LIST
        own.mkdir()
        debs = Suite(name=SUITE, archive=archive).lacking(names, _NOTHING, own)
        for deb in debs:
            _unpack(deb, tree, archive)
        listed.write_text(packages.to_json(packages.describe(deb, tree, archive.processes) for deb in debs))
        return {_LIST: listed, **{_plain(deb.name): deb for deb in debs}}

    entry = ensure(recipe_of(names), store, build, archive.progress)
    shutil.rmtree(tree)
    tree.mkdir()
    for artifact in entry.artifacts:
        if artifact.name != _LIST:
            _unpack(store.path_of(artifact.sha256), tree, archive)
    listed = store.path_of(entry.artifact(_LIST).sha256).read_text()
    return Debs(content=read_by_programs(tree, _UNWANTED), packages=packages.parse(listed))


def _unpack(deb: Path, tree: Path, archive: Archive) -> None:
    check(archive.processes, ["dpkg-deb", "-x", str(deb), str(tree)])


def _plain(name: str) -> str:
    """A file's name without what the store's names may not have: `%3a` for the epoch's colon, and the tilde."""
    return unquote(name).replace(":", ".").replace("~", ".")
