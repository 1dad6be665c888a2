"""The hand-over report tells what the log knows: what was installed where, what proved it, and what failed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.model.filter import parse
from appliance.model.report_views import HandedOver
from appliance.model.views import RunState
from appliance.services.report import fingerprint
from tests.unit.appliance.conductor.rack import FakeRack, Net
from tests.unit.appliance.services.test_going_on import play
from tests.unit.appliance.store.samples import FACTS

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8hMJuRHb1rXkWFVtGn0qWBlGqhF2ngmY0mUqyhOZSd root@node-0"


def report(net: Net, wanted: str = "") -> dict[str, HandedOver]:
    return {one.machine.name: one for one in net.application.report(parse(wanted), wanted).machines}


def test_what_was_installed_and_what_proved_it(tmp_path: Path) -> None:
    async def scene(_rack: FakeRack, net: Net) -> None:
        before = report(net)["node-0"]
        assert (before.system, before.installed, before.work) == (None, None, ())
        await net.finish()
        one, state = report(net)["node-0"], net.memory.world.machine(before.machine.name)  # type: ignore[arg-type]
        assert one.system is not None
        assert one.system.firmware_version == FACTS.firmware_version == "1.16.3-debian-1.16.3-2 (04/01/2014)"
        assert [port.mac for port in one.ports] == ["52:54:00:77:00:01"]
        assert one.installed is not None
        assert state.installed is not None
        assert state.installed.disk is not None
        assert one.installed.disk_serial == state.installed.disk.serial == "DISK0001"
        assert (one.installed.image, one.installed.confirmed, one.installed.smoke_passed) == ("debian-13", True, True)
        assert one.installed.host_keys == tuple(map(fingerprint, state.installed.host_keys))
        assert any(work.kind == "destructive" and work.state == "done" for work in one.work)
        assert [work.started for work in one.work] == sorted(work.started for work in one.work)
        assert not any(work.problem for work in one.work)
        whole = net.application.report(parse(""), "")
        assert [run.state for run in whole.runs] == [RunState.DONE] * len(net.memory.world.runs)

    play(tmp_path, scene)


def test_what_failed_is_named(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await net.approve()
        next(iter(rack.machines.values())).crashes = 99
        await net.approve()
        (failed,) = [work for work in report(net)["node-0"].work if work.problem]
        assert failed.state == "failed"
        assert failed.next_action
        assert report(net)["node-0"].installed is None

    play(tmp_path, scene)


def test_only_those_that_are_wanted_and_their_runs(tmp_path: Path) -> None:
    async def scene(_rack: FakeRack, net: Net) -> None:
        await net.approve()
        assert set(report(net)) == {"node-0", "node-1"}
        assert set(report(net, "node-1")) == {"node-1"}
        nobody = net.application.report(parse("rack:r9"), "rack:r9")
        assert (nobody.machines, nobody.runs, nobody.wanted) == ((), (), "rack:r9")

    play(tmp_path, scene, machines=2)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_fingerprints_are_those_of_openssh(tmp_path: Path) -> None:
    file = tmp_path / "key.pub"
    file.write_text(f"{KEY}\n")
    done = subprocess.run(["ssh-keygen", "-lf", file], capture_output=True, text=True, check=True)
    assert fingerprint(KEY) == done.stdout.split()[1]


@pytest.mark.parametrize("key", ["", "ssh-ed25519", "ssh-ed25519 !!", "\x1b"], ids=["empty", "half", "odd", "escape"])
def test_what_is_no_key_has_no_fingerprint(key: str) -> None:
    assert fingerprint(key) == ""
