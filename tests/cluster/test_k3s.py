"""k3s: founded, joined, restored, left, upgraded and ended. By a stand-in, see `standin/__main__.py`."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.kubernetes.flavour import K3S
from appliance.model.cluster import BackUpCluster
from appliance.scores.cluster_life import NoCluster
from tests.cluster import place as places
from tests.cluster.conftest import Artifacts
from tests.cluster.later import LATER
from tests.cluster.nodes import Node, nodes
from tests.cluster.place import Place
from tests.cluster.rancher import standin_set
from tests.cluster.scores import cluster, done, ids

pytestmark = [pytest.mark.alone, pytest.mark.long, pytest.mark.timeout(2400)]
ONE, TWO, THREE, WORKER = MACHINES = nodes("one", "two", "three", "worker")
ALL = dict.fromkeys(("one", "two", "three", "worker"), "Ready")


@pytest.fixture(scope="module")
def k3s(artifacts: Artifacts, tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    folder = tmp_path_factory.mktemp("k3s") / "set"
    return Artifacts(folder=folder, set=standin_set(artifacts, K3S, folder))


@pytest.fixture(scope="module")
def place(k3s: Artifacts, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with places.place(k3s, tree, tmp_path_factory.mktemp("ground"), MACHINES) as made:
        yield made


def kubectl(place: Place, plane: Node, *words: str, stdin: bytes = b"") -> str:
    return place.ground.ssh(plane, *K3S.ask, *words, stdin=stdin)


def names_of(place: Place, plane: Node) -> dict[str, str]:
    lines = kubectl(place, plane, "get", "nodes", "--no-headers").splitlines()
    return {line.split()[0]: line.split()[1] for line in lines}


def left(place: Place, machine: Node) -> str:
    folders = f"{K3S.etc} {K3S.data} {K3S.binary} /var/lib/kubelet /var/lib/cni /etc/systemd/system/{K3S.server}"
    return place.ground.ssh(machine, "sh", "-c", f"find {folders} -type f 2>/dev/null || :")


def test_servers_and_a_worker_become_one_cluster(place: Place) -> None:
    plan, ended, after = place.carry_out(cluster(place, (ONE, TWO, THREE), (WORKER,)))
    assert ids(plan)[:2] == ["one.prepare-node", "one.found-cluster"]
    assert done(ended)
    assert not after.steps, "the second time there is nothing to do"
    assert names_of(place, TWO) == ALL
    assert "STAND-IN" in place.ground.ssh(ONE, "k3s", "--version")


def test_what_lets_machines_in_is_nobodys_to_read_and_a_workers_is_worth_nothing_afterwards(place: Place) -> None:
    modes = place.ground.ssh(ONE, "stat", "-c", "%a", f"{K3S.etc}/config.yaml", K3S.admin, f"{K3S.data}/server/token")
    assert modes.split() == ["600", "600", "600"]
    assert (
        kubectl(
            place, ONE, "-n", "kube-system", "get", "secrets", "--field-selector=type=bootstrap.kubernetes.io/token"
        )
        == ""
    )


def test_a_key_that_k3s_does_not_know_keeps_it_from_starting(place: Place) -> None:
    """The stand-in is as strict as the genuine one: else the test before would say nothing of the file."""
    odd = f'sed \'s/"node-ip"/"node_ip"/\' {K3S.etc}/config.yaml >/run/odd; mount --bind /run/odd {K3S.etc}/config.yaml'
    said = place.ground.ssh(WORKER, "unshare", "--mount", "sh", "-c", f"{odd}; k3s agent 2>&1 || :")
    assert "flag provided but not defined: -node_ip" in said


def test_a_backup_brings_the_cluster_back_as_it_was(place: Place) -> None:
    kubectl(place, ONE, "create", "configmap", "kept", "--from-literal=it=is")
    backup = place.do(ONE, BackUpCluster(cluster=place.spec(ONE)))
    assert int(backup["revision"]) > 100
    kubectl(place, ONE, "delete", "configmap", "kept")
    kubectl(place, ONE, "create", "configmap", "later")
    plan, ended, after = place.carry_out(
        replace(cluster(place, (ONE, TWO, THREE), (WORKER,)), restore=backup["backup"])
    )
    assert "one.restore-cluster" in ids(plan)
    assert done(ended)
    assert not after.steps
    maps = kubectl(place, TWO, "get", "configmaps", "-o", "name").split()
    assert ("configmap/kept" in maps, "configmap/later" in maps) == (True, False)
    assert names_of(place, TWO) == ALL


def test_a_dead_server_is_taken_out_and_a_living_one_leaves(place: Place) -> None:
    """Of three one is dead: the quorum is two, and stays one of as many as there are at each moment."""
    place.ground.cut(ONE)
    place.silent = frozenset({"one"})
    plan, ended, after = place.carry_out(cluster(place, (TWO,), (WORKER,)))
    assert {"one.remove-node", "three.drain-node", "three.reset-node", "three.remove-node"} <= set(ids(plan))
    assert done(ended)
    assert not after.steps
    assert names_of(place, TWO) == {"two": "Ready", "worker": "Ready"}
    assert left(place, THREE) == ""


def test_nodes_are_upgraded_one_after_the_other(place: Place, artifacts: Artifacts) -> None:
    later = standin_set(artifacts, K3S, place.ground.folder / "state/sets/later", version=LATER)
    place.import_set("later")
    plan, ended, after = place.carry_out(replace(cluster(place, (TWO,), (WORKER,)), set=later.name))
    assert ids(plan)[0] == "two.back-up-cluster"
    assert done(ended)
    assert not after.steps
    lines = kubectl(place, TWO, "get", "nodes", "--no-headers").splitlines()
    assert {line.split()[0]: line.split()[-1] for line in lines} == {"two": LATER, "worker": LATER}


def test_the_cluster_ends_and_its_machines_are_free(place: Place) -> None:
    _, ended, after = place.carry_out(NoCluster(cluster="prod"))
    assert done(ended)
    assert not after.steps
    for machine in (TWO, WORKER):
        assert left(place, machine) == ""
        running = "for one in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$one; echo; done"
        assert "rancher" not in place.ground.ssh(machine, "sh", "-c", running).replace(running, "")
