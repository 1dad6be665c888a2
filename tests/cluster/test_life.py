"""A cluster's life with three control planes: one dies and another takes its place, nodes leave, all of it ends."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.conductor.runs import RunStatus
from appliance.kubernetes import etcd
from appliance.model.views import RunState
from appliance.plan import Plan
from appliance.scores.cluster import KubernetesCluster
from appliance.scores.cluster_life import NoCluster
from tests.cluster import place as places
from tests.cluster.conftest import Artifacts
from tests.cluster.nodes import Node, nodes
from tests.cluster.place import Place
from tests.cluster.workload import application, asks

pytestmark = [pytest.mark.alone, pytest.mark.long, pytest.mark.timeout(2400)]
ONE, TWO, THREE, SPARE, WORKER = MACHINES = nodes("one", "two", "three", "spare", "worker")


@pytest.fixture(scope="module")
def place(artifacts: Artifacts, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with places.place(artifacts, tree, tmp_path_factory.mktemp("ground"), MACHINES) as made:
        yield made


def cluster(place: Place, planes: tuple[Node, ...], workers: tuple[Node, ...]) -> KubernetesCluster:
    return KubernetesCluster(
        cluster="prod",
        set=place.artifacts.name,
        control_planes=tuple(one.name for one in planes),
        workers=tuple(one.name for one in workers),
    )


def ids(plan: Plan) -> list[str]:
    return [step.id.removeprefix("cluster.") for step in plan.steps]


def done(ended: RunStatus) -> bool:
    assert ended.state is RunState.DONE, [one.result for one in ended.attempts.values()]
    return True


def names_of(place: Place, plane: Node) -> dict[str, str]:
    lines = place.kubectl(plane, "get", "nodes", "--no-headers").splitlines()
    return {line.split()[0]: line.split()[1] for line in lines}


def members_of(place: Place, plane: Node) -> set[str]:
    return {one.name for one in etcd.read_members(place.ground.ssh(plane, *etcd.members(place.image("etcd"))))}


def test_three_control_planes_become_one_cluster(place: Place) -> None:
    _, ended, after = place.carry_out(cluster(place, (ONE, TWO, THREE), (WORKER,)))
    assert done(ended)
    assert not after.steps
    assert names_of(place, ONE) == dict.fromkeys(("one", "two", "three", "worker"), "Ready")
    assert members_of(place, TWO) == {"one", "two", "three"}


def test_a_dead_control_plane_is_taken_out_and_a_spare_comes_in(place: Place) -> None:
    place.kubectl(ONE, "apply", "-f", "-", stdin=application(place.image("etcd")))
    place.runs(ONE, "store")
    place.ground.cut(ONE)
    place.silent = frozenset({"one"})
    plan, ended, after = place.carry_out(cluster(place, (TWO, THREE, SPARE), (WORKER,)))
    assert ids(plan)[0] == "one.remove-node"
    assert done(ended)
    assert not after.steps
    assert members_of(place, TWO) == {"two", "three", "spare"}
    place.runs(TWO, "store")


def test_who_was_taken_out_cannot_come_back(place: Place) -> None:
    place.ground.start(ONE)
    told = place.noted("one came back")
    assert "removed again" in told
    assert "one" not in names_of(place, TWO)


def test_a_worker_leaves_with_nothing_of_the_cluster_on_it(place: Place) -> None:
    place.silent = frozenset()
    with asks(place.ground, TWO.address) as asked:
        plan, ended, after = place.carry_out(cluster(place, (TWO, THREE, SPARE), ()))
        assert ids(plan)[:3] == ["worker.drain-node", "worker.reset-node", "worker.remove-node"]
        assert done(ended)
    assert not after.steps
    assert (asked.failed, asked.answered > 20) == ([], True)
    left = place.ground.ssh(WORKER, "sh", "-c", "ls -d /etc/kubernetes /var/lib/kubelet /var/lib/etcd 2>&1 || :")
    assert left.count("No such file") == 3
    assert place.ground.ssh(WORKER, "sh", "-c", "systemctl is-active kubelet || :").strip() == "inactive"
    assert "worker" not in names_of(place, TWO)


def test_it_comes_in_again_as_if_it_were_new(place: Place) -> None:
    plan, ended, after = place.carry_out(cluster(place, (TWO, THREE, SPARE), (WORKER,)))
    assert ids(plan) == ["worker.prepare-node", "worker.join-cluster", "two.confirm-cluster"]
    assert done(ended)
    assert not after.steps


def test_the_cluster_ends_and_its_machines_are_free(place: Place) -> None:
    _, ended, after = place.carry_out(NoCluster(cluster="prod"))
    assert done(ended)
    assert not after.steps
    for machine in (TWO, THREE, SPARE, WORKER):
        look = "ctr --namespace k8s.io tasks list --quiet; ls /etc/kubernetes 2>&1 || :"
        running = place.ground.ssh(machine, "sh", "-c", look)
        assert running.strip() == "ls: cannot access '/etc/kubernetes': No such file or directory", machine.name
