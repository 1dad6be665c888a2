"""RKE2 where it differs from k3s: an archive, images as a tar, a port of its own for joining. By a stand-in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.kubernetes.flavour import RKE2
from appliance.model.views import RunState
from appliance.scores.cluster import KubernetesCluster
from appliance.scores.cluster_life import NoCluster
from tests.cluster import place as places
from tests.cluster.conftest import Artifacts
from tests.cluster.nodes import nodes
from tests.cluster.place import Place
from tests.cluster.rancher import standin_set

pytestmark = [pytest.mark.alone, pytest.mark.long, pytest.mark.timeout(1500)]
PLANE, WORKER = MACHINES = nodes("plane", "worker")


@pytest.fixture(scope="module")
def place(artifacts: Artifacts, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("rke2") / "set"
    rke2 = Artifacts(folder=folder, set=standin_set(artifacts, RKE2, folder, tars=True))
    with places.place(rke2, tree, tmp_path_factory.mktemp("ground"), MACHINES) as made:
        yield made


def test_a_server_and_a_worker_become_one_cluster(place: Place) -> None:
    score = KubernetesCluster(cluster="prod", set=place.artifacts.name, control_planes=("plane",), workers=("worker",))
    _, ended, after = place.carry_out(score)
    assert ended.state is RunState.DONE, [one.result for one in ended.attempts.values()]
    assert not after.steps
    shown = place.ground.ssh(PLANE, *RKE2.ask, "get", "nodes", "--no-headers").splitlines()
    assert [line.split()[:2] for line in shown] == [["plane", "Ready"], ["worker", "Ready"]]
    assert "9345" in place.ground.ssh(WORKER, "cat", f"{RKE2.etc}/config.yaml")
    assert "STAND-IN" in place.ground.ssh(PLANE, "rke2", "--version")


def test_the_cluster_ends_and_its_machines_are_free(place: Place) -> None:
    _, ended, after = place.carry_out(NoCluster(cluster="prod"))
    assert ended.state is RunState.DONE, [one.result for one in ended.attempts.values()]
    assert not after.steps
    for machine in MACHINES:
        find = f"find {RKE2.etc} {RKE2.data} {RKE2.binary} /var/lib/kubelet -type f 2>/dev/null || :"
        assert place.ground.ssh(machine, "sh", "-c", find) == ""
