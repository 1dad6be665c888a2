"""A machine's ports and its switch's become a bond and a channel together, or neither does: on a Linux kernel in user
mode, whose bonding speaks LACP on both sides. A simulated command line stands before the switch's side."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.test_network_guest import NO_AVX
from tests.foreign import unpacked

pytestmark = [pytest.mark.alone, pytest.mark.long, pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[2]
OLD = {"bond": 0, "channel": [0], "pending": False}
NEW = {"bond": 2, "channel": [101], "pending": False}


Told = dict[str, dict[str, object]]


@pytest.fixture(scope="module")
def back(tree: Path) -> Told:
    return guest(tree, "back")


@pytest.fixture(scope="module")
def on(tree: Path) -> Told:
    return guest(tree, "on")


def guest(tree: Path, scenes: str) -> Told:
    """What it tells. Each scene has deadlines of minutes."""
    kernel = unpacked("user-mode-linux")
    if shutil.which("busybox") is None:
        pytest.skip("NOT TESTED: the guest needs busybox: apt install busybox")
    options = (
        "mem=1200M",
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        f"init={ROOT}/tests/guest/ports-init",
    )
    consoles = ("con=null", "con0=fd:0,fd:1", "ssl=null", "console=tty0", "quiet", NO_AVX)
    words = (f"MODULES={kernel}/usr/lib/uml/modules", f"TREE={tree}", f"REPOSITORY={ROOT}", f"SCENES={scenes}")
    run = (sys.executable, str(ROOT / "tests/guest/run.py"), str(kernel / "usr/bin/linux.uml"))
    shell = 'mount -t tmpfs -o size=1400m,exec shm /dev/shm; exec timeout 1500 "$@"'
    argv = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", shell, "sh"]
    done = subprocess.run(
        [*argv, *run, *options, *consoles, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1520,
        check=False,
    )
    said = {}
    for line in done.stdout.splitlines():
        if line.startswith("@"):
            name, _, rest = line[1:].strip().partition(" ")
            said[name] = json.loads(rest)
    assert said.get("end") == 0, done.stdout[-6000:] + done.stderr[-1000:]
    return said


@pytest.mark.parametrize("told_it", ["nothing", "channel"])
def test_where_the_appliance_dies_before_the_switch_is_told_for_good_both_are_as_they_were(
    back: Told, told_it: str
) -> None:
    assert back[f"killed-after-{told_it}"] == {"middle": "deciding", "last": "NOT_BEGUN", **OLD}


def test_a_machine_that_does_not_answer_over_the_bond_takes_both_back(back: Told) -> None:
    problem = "node-0 does not answer over bond0: both sides are as they were"
    assert back["unplugged"] == {"first": "NOT_BEGUN", "last": "FAILED", "evidence": {}, "problem": problem, **OLD}


def test_both_are_new(on: Told) -> None:
    bonded = on["bonded"]
    evidence = bonded.pop("evidence")
    assert bonded == {"first": "NOT_BEGUN", "last": "DONE", "problem": "", **NEW}
    assert isinstance(evidence, dict)
    assert evidence["channel"] == "101 of Ethernet1, Ethernet2"
    assert on["again"] == {"look": "DONE"}


def test_where_the_appliance_dies_after_the_switch_was_confirmed_the_machine_keeps_by_itself(on: Told) -> None:
    assert on["killed-after-confirmation"] == {"middle": "deciding", "last": "DONE", **NEW}
