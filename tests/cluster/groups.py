"""Control groups of the nodes' own, in every hierarchy of this machine, whichever way they are mounted."""

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

PREFIX = "innervate-cluster-"
_ROOT = Path("/sys/fs/cgroup")
_DEADLINE = 20.0
_ALWAYS = ("rw", "ro", "relatime", "nosuid", "nodev", "noexec", "xattr")
_LEGACY, _UNIFIED = "cgroup", "cgroup2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """`options` as mount(8) takes them."""

    folder: Path
    kind: str
    options: str

    @property
    def place(self) -> str:
        """Where a node has it, relative to /sys/fs/cgroup; empty for that folder itself."""
        return "" if self.kind == _UNIFIED else str(self.folder.relative_to(_ROOT))


def hierarchies(mounts: str, *, unified: bool = False) -> tuple[Hierarchy, ...]:
    """Of /proc/self/mounts (fstab(5)). A unified hierarchy beside the old ones has no controllers: it is left out,
    because containers' processes stay in it when their other groups are gone, and Kubernetes then waits for them. With
    `unified` it alone is taken: units of podman need it, and can do without controllers."""
    rows = [line.split() for line in mounts.splitlines()]
    found = [
        Hierarchy(folder=Path(row[1]), kind=row[2], options=_options(row[3]))
        for row in rows
        if row[2] in (_LEGACY, _UNIFIED) and Path(row[1]).is_relative_to(_ROOT)
    ]
    if unified:
        return tuple(one for one in found if one.kind == _UNIFIED)
    legacy = tuple(one for one in found if one.kind == _LEGACY)
    return legacy or tuple(found)


def _options(mounted: str) -> str:
    """`rw,relatime,cpu,cpuacct` names controllers; the hierarchy of systemd has a name instead."""
    words = [word for word in mounted.split(",") if word not in _ALWAYS]
    named = [word for word in words if word.startswith("name=")]
    return ",".join(["none", *named] if named else words)


class Groups:
    """Those of one ground. Leftovers of processes that were killed are swept when the next ground is made."""

    def __init__(self, name: str, *, unified: bool = False) -> None:
        self.hierarchies = hierarchies(Path("/proc/self/mounts").read_text(), unified=unified)
        self._name = f"{PREFIX}{os.getpid()}-{name}"

    def make(self, node: str) -> tuple[Path, ...]:
        """One folder in each hierarchy, to which a process may be moved."""
        return tuple(self._make(hierarchy, node) for hierarchy in self.hierarchies)

    def remove(self) -> None:
        """Raises AssertionError when a process is still in one of them."""
        deadline = time.monotonic() + _DEADLINE
        tops = [hierarchy.folder / self._name for hierarchy in self.hierarchies]
        while left := [top for top in tops if not _removed(top)]:
            assert time.monotonic() < deadline, f"there is still a process in {left[0]}"
            time.sleep(0.05)

    def sweep(self) -> None:
        for hierarchy in self.hierarchies:
            for top in hierarchy.folder.glob(f"{PREFIX}*"):
                if not Path("/proc", top.name.removeprefix(PREFIX).partition("-")[0]).exists():
                    _removed(top)

    def _make(self, hierarchy: Hierarchy, node: str) -> Path:
        top = hierarchy.folder / self._name
        for folder in (top, top / node):
            folder.mkdir(exist_ok=True)
            _settle(hierarchy, folder)
        return top / node


def _settle(hierarchy: Hierarchy, folder: Path) -> None:
    """What a new group has to be told before it takes processes, or hands its controllers down."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if hierarchy.kind == _LEGACY and (folder / name).exists():
            (folder / name).write_text((folder.parent / name).read_text())
            (folder / "cgroup.clone_children").write_text("1")
    if hierarchy.kind == _UNIFIED:
        controllers = (folder.parent / "cgroup.controllers").read_text().split()
        (folder.parent / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))


def _removed(top: Path) -> bool:
    folders = [Path(folder) for folder, _, _ in os.walk(top, topdown=False)]
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()
    return not top.exists()
