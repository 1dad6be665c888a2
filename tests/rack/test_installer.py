"""Debian's own installer on real firmware, without an uplink: from powered off to SSH, in one run."""

import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.client import Client
from appliance.frontend.provision import provision
from appliance.lab.demo import IMAGES, daemon, daemon_config, make_key, wait_until_ready
from appliance.lab.rack import Rack
from appliance.lab.spec import RackFirmware, RackSpec
from appliance.model.hardware import Firmware
from appliance.model.phase import Phase
from appliance.model.views import RunState, RunView
from images.archive import Archive
from images.build import Product, ensure_all
from images.mirror import find_mirror
from images.processes import HostProcesses
from images.ramdisk.modules import Variant
from images.store import Store
from tests.rack.person import anybody

pytestmark = [pytest.mark.rack, pytest.mark.long, pytest.mark.timeout(7200)]

SITE = Path(__file__).parents[2] / "examples" / "lab_installer.py"
INSTALL_SECONDS = 7000.0
"""2,400 s, emulated on a machine with nothing else to do."""


@pytest.fixture(scope="module", autouse=True)
def installer() -> None:
    archive = Archive(mirror=find_mirror(os.environ), processes=HostProcesses(), progress=print)
    ensure_all(Store(IMAGES), archive, Variant.CLOUD, (Product.INSTALLER,))


def to_the_end(client: Client) -> Callable[[RunView], RunView]:
    pace = threading.Event()

    def follow(run: RunView) -> RunView:
        deadline = time.monotonic() + INSTALL_SECONDS
        while (seen := client.run(run.id)).state is RunState.RUNNING:
            assert time.monotonic() < deadline, client.explain("node-0")
            pace.wait(1.0)
        return seen

    return follow


@pytest.mark.parametrize("firmware", [Firmware.UEFI, Firmware.BIOS], ids=["uefi", "bios"])
def test_from_powered_off_to_ssh(rack_firmware: RackFirmware, tmp_path: Path, firmware: Firmware) -> None:
    key = make_key(tmp_path)
    config = daemon_config(tmp_path, socket=tmp_path / "api.sock", key=key, site=SITE)
    spec = RackSpec(nodes=1, firmware=firmware, workdir=tmp_path, files=rack_firmware, disk_gib=4)
    with Rack.start(spec) as rack, daemon(rack, config, tmp_path) as process:
        client = Client(tmp_path / "api.sock")
        wait_until_ready(client.health, lambda: process.poll() is None, tmp_path / "daemon.log")
        outcome = provision(client, anybody(to_the_end(client)))
        machine = client.machine("node-0")
        told = [event for event in client.events(after=0, limit=1000).events if event.kind == "installer-seen"]
        (tmp_path / "told.txt").write_text("".join(f"{event.time:.0f} {event.text}\n" for event in told))
        assert [run.state for run in outcome.runs] == [RunState.DONE, RunState.DONE], machine.conditions
        assert machine.phase is Phase.ACTIVE
        stages = [machine.stages[name] for name in ("dhcp", "script", "hello", "written", "first_boot", "ssh")]
        assert stages == sorted(times for times in stages if times is not None)
        assert not client.make_plan().steps
        entered = inside(
            rack, tmp_path, machine.address, "cat /etc/debian_version; hostname; findmnt -no SOURCE /boot/efi"
        )
        assert entered[0].startswith("13.")
        assert entered[1] == "node-0"
        assert (len(entered) == 3) == (firmware is Firmware.UEFI)


def inside(rack: Rack, folder: Path, address: str, command: str) -> list[str]:
    """By the SSH client of a person, with the daemon's key."""
    options = ["-i", str(folder / "id_ed25519"), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    argv = ["ssh", *options, f"root@{address}", command]
    with rack.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder) as program:
        return program.communicate(timeout=120)[0].decode().split("\n")[:-1]
