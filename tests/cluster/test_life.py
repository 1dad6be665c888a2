"""A cluster's life with three control planes: one dies and another takes its place, nodes leave, all of it ends."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.kubernetes import etcd
from appliance.model.balancer import Balancer, BalancerPlace
from appliance.model.cluster import BackUpCluster
from appliance.scores.cluster_life import NoCluster
from tests.cluster import place as places
from tests.cluster.conftest import Artifacts
from tests.cluster.later import LATER, later_set
from tests.cluster.nodes import Node, nodes
from tests.cluster.place import Place
from tests.cluster.scores import cluster, done, ids
from tests.cluster.workload import application, asks

pytestmark = [pytest.mark.alone, pytest.mark.long, pytest.mark.timeout(2400)]
ONE, TWO, THREE, SPARE, WORKER = MACHINES = nodes("one", "two", "three", "spare", "worker")

SHARED = Balancer(place=BalancerPlace.CONTROL_PLANES, address=IPv4Address("10.77.0.9"))


@pytest.fixture(scope="module")
def place(artifacts: Artifacts, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with places.place(artifacts, tree, tmp_path_factory.mktemp("ground"), MACHINES, SHARED) as made:
        yield made


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


def test_a_backup_brings_the_cluster_back_as_it_was(place: Place) -> None:
    """On one control plane; the others come in again, and what ran on workers runs on."""
    place.kubectl(ONE, "apply", "-f", "-", stdin=application(place.image("etcd")))
    place.runs(ONE, "store")
    place.kubectl(ONE, "create", "configmap", "kept", "--from-literal=it=is")
    backup = place.do(ONE, BackUpCluster(cluster=place.spec(ONE)))
    place.kubectl(ONE, "delete", "configmap", "kept")
    place.kubectl(ONE, "create", "configmap", "later")
    place.kubectl(ONE, "delete", "deployment", "store")
    score = replace(cluster(place, (ONE, TWO, THREE), (WORKER,)), restore=backup["backup"])
    plan, ended, after = place.carry_out(score)
    assert "one.restore-cluster" in ids(plan)
    assert done(ended)
    assert not after.steps
    maps = place.kubectl(ONE, "get", "configmaps", "-o", "name").split()
    assert ("configmap/kept" in maps, "configmap/later" in maps) == (True, False)
    assert members_of(place, THREE) == {"one", "two", "three"}
    assert names_of(place, TWO) == dict.fromkeys(("one", "two", "three", "worker"), "Ready")
    place.runs(ONE, "store")


def test_a_dead_control_plane_is_taken_out_and_a_spare_comes_in(place: Place) -> None:
    place.ground.cut(ONE)
    place.silent = frozenset({"one"})
    plan, ended, after = place.carry_out(cluster(place, (TWO, THREE, SPARE), (WORKER,)))
    (join,) = (step for step in plan.steps if step.id == "cluster.spare.join-cluster")
    assert "cluster.one.remove-node" in join.needs
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
    assert place.left(WORKER) == ""
    assert place.ground.ssh(WORKER, "sh", "-c", "systemctl is-active kubelet || :").strip() == "inactive"
    assert "worker" not in names_of(place, TWO)


def test_it_comes_in_again_as_if_it_were_new(place: Place) -> None:
    plan, ended, after = place.carry_out(cluster(place, (TWO, THREE, SPARE), (WORKER,)))
    assert ids(plan) == ["worker.prepare-node", "worker.join-cluster", "two.confirm-cluster"]
    assert done(ended)
    assert not after.steps


def test_all_nodes_are_upgraded_while_the_application_answers(place: Place, artifacts: Artifacts) -> None:
    later = later_set(artifacts, place.ground.folder / "state/sets/later")
    place.import_set("later")
    score = replace(cluster(place, (TWO, THREE, SPARE), (WORKER,)), set=later.name)
    with asks(place.ground, TWO.address) as asked:
        plan, ended, after = place.carry_out(score)
        assert ids(plan)[0] == "two.back-up-cluster"
        assert done(ended)
    assert not after.steps
    assert (asked.failed, asked.answered > 20) == ([], True)
    shown = place.kubectl(TWO, "get", "nodes", "--no-headers").splitlines()
    assert {line.split()[0]: line.split()[-1] for line in shown} == dict.fromkeys(
        ("two", "three", "spare", "worker"), LATER
    )
    planes = "--selector=component=kube-apiserver"
    images = place.kubectl(TWO, "-n", "kube-system", "get", "pods", planes, "-o", "jsonpath={..image}").split()
    assert {image.rpartition(":")[2] for image in images} == {LATER}


def test_the_cluster_ends_and_its_machines_are_free(place: Place) -> None:
    _, ended, after = place.carry_out(NoCluster(cluster="prod"))
    assert done(ended)
    assert not after.steps
    for machine in (TWO, THREE, SPARE, WORKER):
        assert place.ground.ssh(machine, "ctr", "--namespace", "k8s.io", "tasks", "list", "--quiet") == ""
        assert place.left(machine) == ""
