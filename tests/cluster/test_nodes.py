"""Nodes are machines to whoever enters them, and leave nothing behind."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.groups import PREFIX, Groups, Hierarchy, hierarchies
from tests.cluster.nodes import GATEWAY, CommandError, Ground, ground, nodes

pytestmark = [pytest.mark.alone, pytest.mark.timeout(600)]
ONE, OTHER = nodes("one", "other")
_OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory")
_DEADLINE = 20.0


@pytest.fixture(scope="module")
def pair(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with ground(tmp_path_factory.mktemp("ground"), tree, (ONE, OTHER)) as made:
        made.start(ONE)
        made.start(OTHER)
        yield made


def _groups() -> list[Path]:
    return sorted(Path("/sys/fs/cgroup").glob(f"**/{PREFIX}*"))


def test_process_1_is_systemd_and_every_unit_came_up(pair: Ground) -> None:
    for node in (ONE, OTHER):
        assert pair.ssh(node, "cat", "/proc/1/comm", "/proc/sys/kernel/hostname").split() == ["systemd", node.name]
        _until_running(pair)


def _until_running(pair: Ground) -> None:
    deadline = time.monotonic() + _DEADLINE
    while (state := pair.ssh(ONE, "sh", "-c", "systemctl is-system-running || true").strip()) != "running":
        assert state == "starting", pair.ssh(ONE, "systemctl", "list-units", "--failed")
        assert time.monotonic() < deadline, pair.ssh(ONE, "systemctl", "list-jobs")
        time.sleep(0.1)


def test_nodes_reach_each_other_and_the_appliance_and_nobody_else(pair: Ground) -> None:
    for address in (OTHER.address, GATEWAY.ip):
        pair.ssh(ONE, "busybox", "ping", "-c", "1", "-W", "5", str(address))
    with pytest.raises(CommandError, match="100% packet loss"):
        pair.ssh(ONE, "busybox", "ping", "-c", "1", "-W", "1", "192.0.2.1")


def test_a_setting_of_the_kernel_is_this_nodes_alone(pair: Ground) -> None:
    before = _OVERCOMMIT.read_text()
    changed = "1" if before.strip() != "1" else "2"
    pair.ssh(ONE, "sh", "-c", f"echo {changed} >{_OVERCOMMIT}")
    assert pair.ssh(ONE, "cat", str(_OVERCOMMIT)).strip() == changed
    assert pair.ssh(OTHER, "cat", str(_OVERCOMMIT)) == before
    assert _OVERCOMMIT.read_text() == before
    with pytest.raises(CommandError, match=r"Read-only|nonexistent"):
        pair.ssh(ONE, "sh", "-c", "echo 1 >/proc/sys/vm/drop_caches")


def test_a_service_has_a_control_group_below_the_nodes_own(pair: Ground) -> None:
    pair.ssh(ONE, "systemd-run", "--unit=idle", "sleep", "600")
    group = pair.ssh(ONE, "sh", "-c", "grep -h systemd /proc/$(systemctl show -P MainPID idle)/cgroup").strip()
    assert group.endswith(":/system.slice/idle.service"), "as it is on a machine of its own"
    assert any(path.name == "idle.service" for top in _groups() for path in top.glob(f"{ONE.name}/system.slice/*"))


def test_a_power_cut_ends_everything_but_the_disk(pair: Ground) -> None:
    pair.ssh(OTHER, "sh", "-c", "echo kept >/root/disk; echo lost >/run/memory; sync")
    pair.cut(OTHER)
    pair.start(OTHER)
    assert pair.ssh(OTHER, "cat", "/root/disk") == "kept\n"
    with pytest.raises(CommandError, match="No such file"):
        pair.ssh(OTHER, "cat", "/run/memory")


def test_a_new_disk_is_as_on_the_first_day(pair: Ground) -> None:
    pair.ssh(OTHER, "touch", "/root/disk")
    pair.cut(OTHER)
    pair.replace_disk(OTHER)
    pair.start(OTHER)
    with pytest.raises(CommandError, match="No such file"):
        pair.ssh(OTHER, "cat", "/root/disk")


def test_nothing_is_left_of_a_ground(tree: Path, tmp_path: Path) -> None:
    (node,) = nodes("gone")
    groups = _groups()
    with ground(tmp_path, tree, (node,)) as made:
        made.start(node)
        made.ssh(node, "systemd-run", "--unit=idle", "sleep", "600")
        inside = {process for process in Path("/proc").glob("[0-9]*") if _is_of(process, node.name)}
    assert len(inside) > 5, "systemd, its journal, sshd, the sleep"
    assert not [process for process in inside if process.exists()]
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
    assert [path for path in _groups() if path not in groups] == []
    assert not (tmp_path / node.name / "root").exists(), "what it wrote was in memory"


def test_all_of_it_ends_with_a_process_that_was_killed(tree: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", _MAKER, str(tree), str(tmp_path)]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, cwd=_ROOT, env={**os.environ, "PYTHONPATH": str(_ROOT)}
    ) as maker:
        assert maker.stdout is not None
        assert maker.stdout.readline() == b"up\n"
        inside = {process for process in Path("/proc").glob("[0-9]*") if _is_of(process, "killed")}
        maker.kill()
    deadline = time.monotonic() + _DEADLINE
    while left := [process for process in inside if process.exists()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    Groups("sweeper").sweep()
    assert not [path for path in _groups() if path.name.startswith(f"{PREFIX}{maker.pid}-")]


_ROOT = Path(__file__).parents[2]
_MAKER = """\
import sys, time
from pathlib import Path
from tests.cluster.nodes import ground, nodes
tree, folder = map(Path, sys.argv[1:])
(node,) = nodes("killed")
with ground(folder, tree, (node,)) as made:
    made.start(node)
    print("up", flush=True)
    time.sleep(600)
"""


def _is_of(process: Path, node: str) -> bool:
    try:
        return (process / "root/etc/hostname").read_text() == f"{node}\n"
    except OSError:
        return False


LEGACY = """\
tmpfs /sys/fs/cgroup tmpfs rw,relatime,mode=755 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,nodev,noexec,relatime,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,xattr,name=systemd 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime,nsdelegate 0 0
cgroup /mnt/elsewhere cgroup rw,relatime,pids 0 0
"""


def test_old_hierarchies_are_taken_and_the_empty_one_beside_them_is_not() -> None:
    cpu, systemd = hierarchies(LEGACY)
    assert cpu == Hierarchy(folder=Path("/sys/fs/cgroup/cpu,cpuacct"), kind="cgroup", options="cpu,cpuacct")
    assert (systemd.options, systemd.place) == ("none,name=systemd", "systemd")


def test_a_unified_hierarchy_is_taken_as_a_whole() -> None:
    (only,) = hierarchies("cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate 0 0\n")
    assert (only.kind, only.options, only.place) == ("cgroup2", "nsdelegate", "")
