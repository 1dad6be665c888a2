"""A Kubernetes on real firmware: from powered off to an application that answers, with nobody's hand in it.

Then a worker loses its power and the spare takes its place; a machine leaves, wiped; at last all that is left does.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.frontend.provision import provision
from appliance.lab.demo import IMAGES
from appliance.lab.spec import RackFirmware, RackSpec
from appliance.model.bmc import PowerCommand
from appliance.model.cluster_views import Membership
from appliance.model.hardware import Firmware
from appliance.model.phase import Phase
from appliance.model.views import Errand, MachineView, RunState
from images.__main__ import archive
from images.application.build import package
from images.store import Store
from tests.cluster.conftest import Artifacts, kubernetes_set
from tests.image.conftest import power
from tests.rack.person import anybody
from tests.rack.scene import Scene, programs, served

pytestmark = [pytest.mark.rack, pytest.mark.long, pytest.mark.alone, pytest.mark.timeout(9000)]

ROOT = Path(__file__).parents[2]
SITE = ROOT / "examples" / "site.py"
APPLICATION = ROOT / "examples" / "application" / "one"
ANSWER = "http://10.77.0.1:8080/"
MEMORY_MIB, DISK_GIB = 2048, 8
CLUSTER = "lab"
READY, SILENT, RECOVERED = 3600.0, 900.0, 900.0
"""Seconds, on two processors that emulate six: a run ends; who is silent is believed dead; pods run elsewhere."""


class Site(Scene):
    def role(self, role: str) -> MachineView:
        (found,) = (one for one in self.client.machines().machines if (one.role, one.spare_of) == (role, ""))
        return found

    def is_ready(self, *names: str) -> bool:
        """The cluster has these nodes and no others, and says so itself."""
        view = self.client.cluster(CLUSTER)
        nodes = {node.name for node in view.nodes if node.state is not Membership.JOINING}
        return nodes == set(names) and view.ready == len(names)

    def answers(self) -> bool:
        """The application, at the balancer."""
        curl = ["curl", "-sS", "--max-time", "3", ANSWER]
        with self.rack.run(curl, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.folder) as program:
            return b"hello from web 1.0.0" in program.communicate(timeout=30)[0]


@pytest.fixture(scope="module")
def kubernetes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    return kubernetes_set(request.config, tmp_path_factory.mktemp("sets") / "kubernetes")


@contextmanager
def running(files: RackFirmware, folder: Path, sets: Path) -> Iterator[Site]:
    spec = RackSpec(
        nodes=3,
        firmware=Firmware.UEFI,
        workdir=folder,
        files=files,
        cpus=2,
        memory_mib=MEMORY_MIB,
        disk_gib=DISK_GIB,
    )
    with served(spec, SITE, sets) as rack:
        yield Site(rack, folder, READY)


def test_from_powered_off_to_an_answer_and_back(
    rack_firmware: RackFirmware, kubernetes: Artifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No hand: a power cut is the only thing that is done to a machine."""
    monkeypatch.setenv("PATH", programs(tmp_path / "bin"))
    sets = kubernetes.folder.parent
    package(APPLICATION, sets, Store(IMAGES), archive())
    with running(rack_firmware, tmp_path, sets) as scene:
        for folder in (kubernetes.folder.name, "web-1.0.0-amd64"):
            scene.import_set(folder)
        becomes_a_cluster_with_an_application(scene)
        survives_a_worker(scene)
        gives_a_machine_back(scene)
        is_retired(scene)


def becomes_a_cluster_with_an_application(scene: Site) -> None:
    outcome = provision(scene.client, anybody(scene.to_the_end))
    troubles = [one.conditions for one in scene.client.machines().machines]
    assert {run.state for run in outcome.runs} == {RunState.DONE}, troubles
    assert scene.is_ready(scene.role("control-plane").name, scene.role("worker").name)
    assert [one.name for one in scene.client.cluster(CLUSTER).applications] == ["web"]
    assert scene.answers()
    assert not scene.client.make_plan().steps


def survives_a_worker(scene: Site) -> None:
    """The spare becomes the worker, the cluster forgets who died, and the application comes up again there."""
    plane, dead = scene.role("control-plane").name, scene.role("worker").name
    (spare,) = (one.name for one in scene.client.machines().machines if one.spare_of == "worker")
    power(scene.rack, scene.rack.node(dead), PowerCommand.FORCE_OFF)
    scene.until(lambda: scene.role("worker").name == spare, "the spare has the role", SILENT)
    scene.until(lambda: scene.is_ready(plane, spare), "the spare is a node, the dead one is none", READY)
    scene.until(scene.answers, "the application answers again", RECOVERED)


def gives_a_machine_back(scene: Site) -> None:
    """Decommissioned: out of the cluster first, then wiped, with evidence; it does not come back."""
    plane, worker = scene.role("control-plane").name, scene.role("worker").name
    assert scene.do(worker, Errand.DECOMMISSION)[-1] is RunState.DONE
    gone = scene.client.machine(worker)
    assert gone.phase is Phase.RETIRED
    evidence = {proof.what: proof.detail for proof in gone.evidence}
    assert "read_back zeros" in evidence["wiped"]
    assert "power off" in evidence["retired"]
    assert scene.is_ready(plane)


def is_retired(scene: Site) -> None:
    """The cluster ends; of its last node, and of the one that died, every byte is erased."""
    assert scene.see_through(scene.client.plan_retirement)[-1] is RunState.DONE
    machines = scene.client.machines().machines
    assert {one.phase for one in machines} == {Phase.RETIRED}
    for one in machines:
        assert "read_back zeros" in {proof.what: proof.detail for proof in one.evidence}["wiped"]
    assert not scene.client.clusters().clusters
    assert not scene.client.plan_retirement().steps
