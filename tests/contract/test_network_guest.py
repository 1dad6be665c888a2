"""The node image's own programs with a bond, a static address and a VLAN, on a Linux kernel in user mode.

Half a minute, no emulation. What needs firmware and disks is in tests/rack/test_network.py."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.lab.demo import IMAGES
from appliance.model.links import BondLink, BondMode, MachineNetwork, NicLink, VlanLink
from appliance.model.stated_links import static, with_routes
from images.store import Store
from pxe.client import Mac
from tests.foreign import unpacked
from tests.unit.appliance.install.test_seed import ACTION, seed

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
BASE = "debian-13-base-cloud"
FIRST, SECOND = "52:54:00:77:00:01", "52:54:00:77:01:01"
NETWORK = MachineNetwork(
    links=(
        NicLink(name="bond0p0", mac=Mac(FIRST)),
        NicLink(name="bond0p1", mac=Mac(SECOND)),
        BondLink(
            name="bond0",
            members=("bond0p0", "bond0p1"),
            mode=BondMode.ACTIVE_BACKUP,
            mac=Mac(FIRST),
            primary="bond0p0",
            ip=with_routes(
                static("10.30.0.50/24", dns=("10.77.0.1",), search=("rack.test",)), ("10.77.0.0/24", "10.30.0.1")
            ),
        ),
        VlanLink(name="storage", id=20, parent="bond0", mtu=1400, ip=static("10.20.0.50/24", "fd00:20::50/64")),
    )
)
_AVX = (
    *("AVX", "AVX2", "AVX_Fast_Unaligned_Load", "AVX512F", "AVX512VL", "AVX512BW", "AVX512DQ", "AVX512CD"),
    *("XSAVE", "XSAVEC", "BMI1", "BMI2", "LZCNT", "MOVBE", "RTM"),
)
NO_AVX = f"GLIBC_TUNABLES=glibc.cpu.hwcaps={','.join(f'-{name}' for name in _AVX)}"
_WIRES = """set -e
mount -t tmpfs -o size=900m,exec shm /dev/shm
ip link set lo up
ip link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
ip address add 10.77.0.1/24 dev br0
ip address add 10.30.0.1/24 dev br0
ip link set br0 up
for tap in tap0 tap1; do ip tuntap add $tap mode tap; ip link set $tap master br0 up; done
exec timeout 120 "$@"
"""


@pytest.fixture
def tree() -> Iterator[Path]:
    """The packages of the node image with its files laid over, and a seed."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: a guest needs root for its namespaces")
    entries = [entry for entry in Store(IMAGES).entries() if entry.recipe == BASE]
    if not entries:
        pytest.skip(f"NOT TESTED: no {BASE} in {IMAGES}: ./run image")
    tarball = Store(IMAGES).path_of(entries[-1].artifact("base.tar").sha256)
    with tempfile.TemporaryDirectory(prefix="innervate-guest-") as folder:
        subprocess.run(["tar", "-C", folder, "-xf", str(tarball)], check=True, timeout=120)
        root = Path(folder)
        shutil.copytree(ROOT / "images/debian/files", root, dirs_exist_ok=True)
        shutil.copy(ROOT / "tests/guest/init", root / "guest-init")
        (root / "etc/resolv.conf").unlink(missing_ok=True)
        _kernel_of(root)
        _seed_of(root)
        yield root


def _kernel_of(root: Path) -> None:
    (modules,) = (unpacked("user-mode-linux") / "usr/lib/uml/modules").iterdir()
    shutil.copytree(modules, root / "usr/lib/modules" / modules.name)
    subprocess.run(["chroot", str(root), "/sbin/depmod", modules.name], check=True, timeout=60)


def _seed_of(root: Path) -> None:
    """The root is no disk here: what finds and mounts the partition is replaced, and nothing else."""
    (root / "seed").mkdir()
    for name, data in seed(replace(ACTION, network=NETWORK)).items():
        (root / "seed" / name).write_bytes(data)
    (root / "stubs").mkdir()
    last = 'for last; do :; done\ncp /seed/* "$last"'
    for name, text in (("findmnt", "echo 0:0"), ("blkid", "echo /dev/seed"), ("mount", last), ("umount", ":")):
        stub = root / "stubs" / name
        stub.write_text(f"#!/bin/sh\n{text}\n")
        stub.chmod(0o755)
    for script in (root / "usr/lib/innervate").iterdir():
        script.chmod(0o755)


def said(root: Path) -> dict[str, list[str]]:
    """What the guest says after each of its marks."""
    kernel = unpacked("user-mode-linux") / "usr/bin/linux.uml"
    nics = (f"vec{at}:transport=tap,ifname=tap{at},depth=64,mac={mac}" for at, mac in enumerate((FIRST, SECOND)))
    options = ("mem=512M", "root=/dev/root", "rootfstype=hostfs", f"rootflags={root}", "rw", "init=/guest-init")
    consoles = ("con=null", "con0=fd:0,fd:1", "ssl=null", "console=tty0", "quiet", NO_AVX)
    uml = (sys.executable, str(ROOT / "tests/guest/run.py"), str(kernel), *options, *consoles, *nics)
    argv = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _WIRES, "sh", *uml]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200, check=False)
    marks: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        if line.startswith("@"):
            mark, _, rest = line[1:].strip().partition(" ")
            marks.setdefault(mark, []).append(rest)
    assert "end" in marks, done.stdout[-3000:] + done.stderr[-1000:]
    return marks


def test_the_node_image_makes_its_network_of_the_seed(tree: Path) -> None:
    marks = said(tree)
    assert "vec0" in marks["named-first"][0]
    assert {"bond0p0", "bond0p1"} <= {Path(name).name for name in marks["named-then"][0].split()}
    links = {link["ifname"]: link for link in json.loads(marks["links"][0])}
    assert set(links) == {"lo", "bond0p0", "bond0p1", "bond0", "storage"}
    addresses = {f"{a['local']}/{a['prefixlen']}" for name in links for a in links[name]["addr_info"]}
    assert {"10.30.0.50/24", "10.20.0.50/24", "fd00:20::50/64"} <= addresses
    assert (links["bond0"]["address"], links["bond0p1"]["permaddr"]) == (FIRST, SECOND)
    assert (links["storage"]["link"], links["storage"]["mtu"]) == ("bond0", 1400)
    assert links["storage"]["linkinfo"]["info_data"]["id"] == 20
    assert [marks[f"active-{when}"] for when in ("first", "without", "again")] == [
        ["bond0p0"],
        ["bond0p1"],
        ["bond0p0"],
    ]
    assert {"answered-first", "answered-without", "answered-again"} <= set(marks)
    assert marks["resolver"] == ["search rack.test nameserver 10.77.0.1"]
    assert not [line for line in marks["networkd"] if line.startswith("/etc/systemd/network")]
