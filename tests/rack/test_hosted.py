"""A container host on real firmware: from powered off to an application that answers, and through its life.

It is changed for another version, gives a bad one back, comes back after a power cut, and leaves nothing.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.frontend.provision import provision
from appliance.lab.demo import IMAGES
from appliance.lab.spec import RackFirmware, RackSpec
from appliance.model.bmc import PowerCommand
from appliance.model.hardware import Firmware
from appliance.model.views import RunState
from images.__main__ import archive
from images.debian_set import unpack
from images.podman.recipe import PODMAN
from images.ramdisk.modules import Variant
from images.store import Store
from tests.cluster.hosted import NAME, PORT, UNWELL, version
from tests.image.conftest import power
from tests.rack.person import anybody
from tests.rack.scene import Scene, programs, served

pytestmark = [pytest.mark.rack, pytest.mark.long, pytest.mark.alone, pytest.mark.timeout(3600)]

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "examples" / "hosts.py"
HOST = "node-0"
MEMORY_MIB, DISK_GIB = 1536, 4
READY, PATIENCE, BACK = 1800.0, 240, 900.0
"""Seconds, on a processor that is emulated."""
ANSWER = "hello from pages {}"
# Whatever podman and systemd have of applications.
LEFT = f"""\
podman ps --all --quiet; podman volume ls --quiet; podman images --quiet
find /etc/containers/systemd /var/lib/innervate/applications -type f
systemctl list-units --all --plain --no-legend '{NAME}*'
"""


def program(score: str) -> str:
    """The example's, with that in the place of its last score."""
    head = PROGRAM.read_text().partition("        HostedApplication(")[0]
    imported = head.replace("import HostedApplication", "import HostedApplication, NoHostedApplication")
    return f"{imported}        {score}\n    ],\n)\n"


class Site(Scene):
    """`podman` is the set's name."""

    podman = ""

    def inside(self, *argv: str) -> str:
        """What a program says in the rack's own network."""
        with self.rack.run(list(argv), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.folder) as said:
            return said.communicate(timeout=60)[0].decode(errors="replace")

    def says(self, number: str) -> bool:
        address = self.client.machine(HOST).address
        return ANSWER.format(number) in self.inside("curl", "-sS", "--max-time", "5", f"http://{address}:{PORT}/")

    def on_the_host(self, script: str) -> str:
        ssh = [sys.executable, "-m", "appliance.main", "--socket", str(self.folder / "api.sock"), "ssh", HOST, "--"]
        done = subprocess.run([*ssh, script], capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def wants(self, score: str) -> list[RunState]:
        """The site program states that in the place of its last score."""
        (self.folder / "site.py").write_text(program(score))
        seen = self.client.site()
        assert seen.reloadable, seen
        self.client.reload_site(seen.digest)
        return [run.state for run in provision(self.client, anybody(self.to_the_end)).runs]

    def hosted(self, number: str) -> list[RunState]:
        name = f"{NAME}-{number}-amd64"
        self.import_set(name)
        made = f'package="{name}", hosts=("{HOST}",), set="{self.podman}", patience={PATIENCE}'
        return self.wants(f"HostedApplication({made}),")


@contextmanager
def running(files: RackFirmware, folder: Path, sets: Path) -> Iterator[Site]:
    site = folder / "site.py"
    site.write_text(program(""))
    spec = RackSpec(
        nodes=1,
        firmware=Firmware.UEFI,
        workdir=folder,
        files=files,
        cpus=2,
        memory_mib=MEMORY_MIB,
        disk_gib=DISK_GIB,
    )
    with served(spec, site, sets) as rack:
        yield Site(rack, folder, READY)


def podman_set(sets: Path) -> str:
    """Its name."""
    store = Store(IMAGES)
    found = unpack(PODMAN.ensure(Variant.CLOUD, store, archive()), store, sets / "podman")
    (sets / "podman").rename(sets / found.name)
    return found.name


def test_an_application_on_a_container_host(
    rack_firmware: RackFirmware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", programs(tmp_path / "bin"))
    sets, work = tmp_path / "sets", tmp_path / "work"
    sets.mkdir()
    work.mkdir()
    podman = podman_set(sets)
    for number, health in (("1.0.0", ""), ("1.1.0", ""), ("1.2.0", UNWELL)):
        version(sets, work, number, health=health)
    with running(rack_firmware, tmp_path, sets) as scene:
        scene.podman = podman
        scene.import_set(podman)
        comes_from_powered_off(scene)
        becomes_another_version(scene)
        gives_a_bad_version_back(scene)
        comes_back_with_its_machine(scene)
        leaves_nothing(scene)


def comes_from_powered_off(scene: Site) -> None:
    states = scene.hosted("1.0.0")
    troubles = [one.conditions for one in scene.client.machines().machines]
    assert set(states) == {RunState.DONE}, troubles
    assert scene.says("1.0.0")
    assert not scene.client.make_plan().steps
    scene.on_the_host("echo kept >/var/lib/containers/storage/volumes/systemd-pages-data/_data/note")


def becomes_another_version(scene: Site) -> None:
    assert scene.hosted("1.1.0") == [RunState.DONE]
    assert scene.says("1.1.0")
    assert len(scene.on_the_host("podman images --quiet").split()) == 1
    running = scene.on_the_host("podman ps --format '{{.Image}} {{.Status}}'")
    assert "@sha256:" in running
    assert "(healthy)" in running


def gives_a_bad_version_back(scene: Site) -> None:
    assert scene.hosted("1.2.0")[-1] is RunState.FAILED
    told = "back to 1.1.0 from 1.2.0, which did not become well"
    scene.until(lambda: told in str(scene.client.events(after=0, limit=1000)), told, BACK)
    scene.until(lambda: scene.says("1.1.0"), "the version before answers again", BACK)


def comes_back_with_its_machine(scene: Site) -> None:
    power(scene.rack, scene.rack.node(HOST), PowerCommand.FORCE_RESTART)
    scene.until(lambda: not scene.says("1.1.0"), "it is away", BACK)
    scene.until(lambda: scene.says("1.1.0"), "it answers again", BACK)
    assert "kept" in scene.on_the_host("cat /var/lib/containers/storage/volumes/systemd-pages-data/_data/note")


def leaves_nothing(scene: Site) -> None:
    states = scene.wants(f'NoHostedApplication(application="{NAME}", data=True),')
    assert states == [RunState.DONE], [one.conditions for one in scene.client.machines().machines]
    assert scene.on_the_host(LEFT) == ""
    assert not scene.client.make_plan().steps
