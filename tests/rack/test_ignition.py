"""Debian's own Ignition on real firmware: what a site program says is there before the first start, or there is none.

The engine, the ramdisk around it and the disk are the product's; nothing is stood in for.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.client import Client
from appliance.frontend.provision import Outcome, provision
from appliance.lab.demo import IMAGES, daemon, daemon_config, make_key, wait_until_ready
from appliance.lab.rack import Rack
from appliance.lab.spec import BRIDGE_ADDRESS, RackFirmware, RackSpec
from appliance.model.hardware import Firmware
from appliance.model.phase import Phase
from appliance.model.views import PlanView, RunState, RunView
from images.archive import Archive
from images.ignition.recipe import ensure_ignition
from images.mirror import find_mirror
from images.processes import HostProcesses
from images.ramdisk.modules import Variant
from images.store import Store
from tests.rack.person import anybody

pytestmark = [pytest.mark.rack, pytest.mark.long, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
SITE = ROOT / "examples" / "ignition.py"
SECRET = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7"


class Scene:
    """One machine and its daemon, with a site program of this test."""

    def __init__(self, rack: Rack, folder: Path) -> None:
        self.rack, self.folder, self.client = rack, folder, Client(folder / "api.sock")
        self.plans: list[PlanView] = []

    @contextmanager
    def daemon(self, site: str) -> Iterator[None]:
        program = self.folder / "site.py"
        program.write_text(site)
        key = self.folder / "id_ed25519"
        config = daemon_config(self.folder, socket=self.folder / "api.sock", key=key, site=program)
        with daemon(self.rack, config, self.folder) as process:
            wait_until_ready(self.client.health, lambda: process.poll() is None, self.folder / "daemon.log")
            yield

    def provisioned(self) -> Outcome:
        return provision(self.client, anybody(self._to_the_end, self.plans.append))

    def _to_the_end(self, run: RunView) -> RunView:
        pace, deadline = threading.Event(), time.monotonic() + 600
        while self.client.run(run.id).state is RunState.RUNNING:
            assert time.monotonic() < deadline, self.everything()
            pace.wait(0.2)
        return self.client.run(run.id)

    def everything(self) -> str:
        """All that the appliance shows or keeps for people to read."""
        events = "\n".join(event.text for event in self.client.events(after=0, limit=1000).events)
        files = [path for path in (self.folder / "state" / "logs").glob("*") if path.is_file()]
        logs = "\n".join(path.read_text(errors="replace") for path in (*files, self.folder / "daemon.log"))
        return f"{events}\n{logs}\n{self.plans}"

    def entered(self, *argv: str) -> str:
        """What `innervate ssh` says from outside of the rack's network."""
        program = [sys.executable, "-m", "appliance.main", "--socket", str(self.folder / "api.sock")]
        command = [*program, "ssh", "node-0", "--", *argv]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def scene(rack_firmware: RackFirmware, tmp_path: Path) -> Iterator[Scene]:
    archive = Archive(mirror=find_mirror(os.environ), processes=HostProcesses(), progress=lambda _line: None)
    ensure_ignition(Variant.CLOUD, Store(IMAGES), archive)
    make_key(tmp_path)
    spec = RackSpec(nodes=1, firmware=Firmware.UEFI, workdir=tmp_path, files=rack_firmware)
    with Rack.start(spec) as rack:
        yield Scene(rack, tmp_path)


def with_a_secret(site: str) -> str:
    named = 'User(name="ops"'
    assert named in site
    return site.replace(named, f'{named}, password_hash="{SECRET}"')


def test_a_machine_configured_before_its_first_start(scene: Scene) -> None:
    """From powered off to a shell: a file, a link, a user and a service are there, and Ignition says that it was it."""
    with scene.daemon(with_a_secret(SITE.read_text())):
        outcome = scene.provisioned()
        assert [run.state for run in outcome.runs] == [RunState.DONE, RunState.DONE], scene.everything()[-6000:]
        machine = scene.client.machine("node-0")
        assert machine.phase is Phase.ACTIVE
        assert {"written", "installer done", "first_boot", "ssh"} <= {proof.what for proof in machine.evidence}
        result = json.loads(scene.entered("cat", "/etc/.ignition-result.json"))
        assert result["userConfigProvided"] is True
        assert scene.entered("cat", "/run/beacon", "/etc/hostname") == "lit\nnode-0"
        assert scene.entered("systemctl", "is-active", "beacon.service") == "active"
        assert scene.entered("readlink", "/etc/localtime") == "/usr/share/zoneinfo/UTC"
        assert SECRET in scene.entered("getent", "shadow", "ops")
        assert "ignition" not in scene.entered("cat", "/proc/cmdline")
        [configure] = [step for plan in scene.plans for step in plan.steps if step.id.endswith(".run-installer")]
        assert "files /etc/beacon" in configure.summary
        assert machine.serial
        assert SECRET not in scene.everything()


def test_a_file_that_is_not_what_its_hash_says(scene: Scene) -> None:
    """The machine does not start, the step fails at once, and the timeline has Ignition's own words."""
    source = f"http://{BRIDGE_ADDRESS.ip}/autoexec.ipxe"
    verification = f'Verification(hash="sha512-{"0" * 128}")'
    far = f'File(path="/etc/far", contents=Resource(source="{source}", verification={verification})),'
    site = with_a_secret(SITE.read_text()).replace("files=(", f"files=({far}")
    site = site.replace("import Config,", "import Config, Resource, Verification,")
    with scene.daemon(site):
        outcome = scene.provisioned()
        assert outcome.runs[-1].state is RunState.FAILED, scene.everything()[-6000:]
        machine = scene.client.machine("node-0")
        [condition] = machine.conditions
        assert condition.code == "installer-failed"
        assert "Ignition could not configure the machine" in condition.reason
        assert "hash verification failed" in condition.evidence
        assert machine.stages["first_boot"] is None
        failed = [event for event in scene.client.events(after=0, limit=1000).events if event.kind == "installer-seen"]
        assert "hash verification failed" in failed[-1].text
        assert b"this machine was not configured and does not start" in scene.client.recorded("node-0")
        assert SECRET not in scene.everything()
        assert SECRET.encode() not in scene.client.recorded("node-0")
