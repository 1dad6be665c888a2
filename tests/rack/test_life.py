"""A machine's life on real firmware: its disk dies while it is installed, a spare takes over, another one retires."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.frontend.provision import provision
from appliance.lab.demo import IMAGES, daemon, daemon_config, make_key, wait_until_ready
from appliance.lab.rack import Rack
from appliance.lab.spec import RackFirmware, RackSpec
from appliance.model.hardware import Firmware
from appliance.model.phase import Phase
from appliance.model.views import Errand, MachineView, RunState
from images.build import Product, find_all
from images.manifest import Manifest
from images.ramdisk.modules import Variant
from images.store import Store
from tests.rack.person import anybody
from tests.rack.scene import Scene

pytestmark = [pytest.mark.rack, pytest.mark.long, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
SITE = ROOT / "examples" / "lab_roles.py"
SECTOR = 512


def sector_in_the_middle_of_the_image() -> int:
    """Of what is written, not of what is left out."""
    store = Store(IMAGES)
    entry = find_all(store, Variant.CLOUD).entry(Product.DEBIAN)
    manifest = Manifest.parse(store.path_of(entry.artifact("manifest.json").sha256).read_bytes())
    block = manifest.blocks[len(manifest.blocks) // 2]
    return block.index * manifest.block_size // SECTOR


class Life(Scene):
    def machine(self, name: str) -> MachineView:
        return self.client.machine(name)

    def inside(self, *argv: str) -> str:
        """What a program says in the rack's own network."""
        with self.rack.run(list(argv), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.folder) as program:
            return program.communicate(timeout=60)[0].decode(errors="replace")


@contextmanager
def running(files: RackFirmware, folder: Path, bad_sectors: tuple[tuple[int, int], ...]) -> Iterator[Life]:
    key = make_key(folder)
    config = daemon_config(folder, socket=folder / "api.sock", key=key, site=SITE)
    spec = RackSpec(nodes=3, firmware=Firmware.UEFI, workdir=folder, files=files, disk_gib=3, bad_sectors=bad_sectors)
    with Rack.start(spec) as rack:
        scene = Life(rack, folder)
        with daemon(rack, config, folder) as process:
            wait_until_ready(scene.client.health, lambda: process.poll() is None, folder / "daemon.log")
            yield scene


def test_a_spare_replaces_a_machine_whose_disk_dies_and_another_one_retires(
    rack_firmware: RackFirmware, tmp_path: Path
) -> None:
    with running(rack_firmware, tmp_path, ((0, sector_in_the_middle_of_the_image()),)) as scene:
        outcome = provision(scene.client, anybody(scene.to_the_end))
        assert [run.state for run in outcome.runs] == [RunState.DONE, RunState.FAILED]
        replaced_without_a_hand(scene)
        decommissioned(scene)


def replaced_without_a_hand(scene: Life) -> None:
    scene.until(lambda: scene.machine("node-2").phase is Phase.ACTIVE, "the spare is active", 600)
    scene.until(lambda: not any(run.state is RunState.RUNNING for run in scene.client.runs().runs), "all is done", 300)
    dead, spare = scene.machine("node-0"), scene.machine("node-2")
    assert (dead.role, spare.role, spare.spare_of) == ("", "control-plane", "")
    assert "Input/output error" in " ".join(condition.evidence for condition in dead.conditions)
    assert scene.machine("node-1").phase is Phase.ACTIVE
    assert not scene.client.make_plan().steps
    told = [event.text for event in scene.client.events(after=0, limit=1000).events]
    assert any("by reflex" in text for text in told)


def decommissioned(scene: Life) -> None:
    assert ".rack.test." in scene.inside("dig", "+noall", "+answer", "@10.77.0.1", "-x", "10.77.0.51")
    assert scene.inside("dig", "+short", "@10.77.0.1", "node-1.rack.test").strip() == "10.77.0.51"
    disk = scene.rack.node("node-1").spec.disk
    assert any(disk.read_bytes()[: 64 << 20])
    ended = scene.do("node-1", Errand.DECOMMISSION)
    gone = scene.machine("node-1")
    assert ended == [RunState.DONE, RunState.DONE], gone.conditions
    assert gone.phase is Phase.RETIRED
    evidence = {proof.what: proof.detail for proof in gone.evidence}
    assert "level erase" in evidence["wiped"]
    assert "read_back zeros" in evidence["wiped"]
    assert "power off" in evidence["retired"]
    assert all_zero(disk)
    assert scene.inside("dig", "+short", "@10.77.0.1", "node-1.rack.test").strip() == ""
    script = scene.inside("curl", "-s", f"http://10.77.0.1/boot.ipxe?mac={scene.rack.node('node-1').spec.mac}")
    assert "taken out of service" in script
    assert "kernel" not in script
    journal = (scene.folder / "state" / "leases.journal").read_text(errors="replace")
    last = [line for line in journal.splitlines() if str(scene.rack.node("node-1").spec.mac) in line][-1]
    assert "released" in last
    assert not scene.client.make_plan().steps


def all_zero(disk: Path) -> bool:
    with disk.open("rb") as file:
        while chunk := file.read(8 << 20):
            if any(chunk):
                return False
    return True
