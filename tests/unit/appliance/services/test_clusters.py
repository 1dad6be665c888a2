"""The cluster desk against nodes and an API that say what the test wants; and who stands by a cluster afterwards."""

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.conductor.decision import Progress
from appliance.errors import ClusterError, InnervateError, NotFoundError, UnreachableError
from appliance.kubernetes.engine import SHARE_KEYS
from appliance.model.cluster import (
    NodeRole,
)
from appliance.services.cluster_keys import ClusterKeys
from tests.unit.appliance.services.cluster_scene import (
    ACCESS,
    ADDRESSES,
    CONFIRM,
    FOUND,
    JOIN,
    PREPARE,
    SPEC,
    A,
    B,
    C,
    Scene,
    founded,
    listed,
    make_scene,
)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return make_scene(tmp_path)


def test_a_node_is_prepared_once_all_of_the_set_is_there(scene: Scene) -> None:
    assert scene.look(A, PREPARE).progress is Progress.NOT_BEGUN
    assert scene.begin(A, PREPARE) == "begun"
    assert scene.supplies.asked == [SPEC.set]
    assert "http://10.77.0.1/artifact/" + "ab" * 32 in scene.nodes.texts()
    scene.nodes.says[A] = "state=activating\nword=installing packages\n"
    sight = scene.look(A, PREPARE)
    assert (sight.progress, sight.words) == (Progress.AT_WORK, "installing packages")
    scene.nodes.says[A] = "state=failed\nword=installing packages\nlog=dpkg: no space left\n"
    sight = scene.look(A, PREPARE)
    assert sight.problem is not None
    assert (sight.problem.message, sight.problem.evidence) == (
        "node-0 could not: installing packages",
        "dpkg: no space left",
    )
    scene.begin(A, PREPARE)
    scene.nodes.says[A] = scene.mark()
    assert scene.look(A, PREPARE).progress is Progress.DONE


def test_nothing_begins_while_a_digest_is_missing(scene: Scene) -> None:
    scene.supplies.missing = NotFoundError("sha256:cd is not in the registry")
    with pytest.raises(NotFoundError):
        scene.begin(A, PREPARE)
    assert scene.nodes.fed == []


def test_who_founds_hands_over_its_keys_and_lets_nobody_in_by_itself(scene: Scene) -> None:
    founded(scene)
    assert scene.keys.access(SPEC.name) == ACCESS
    assert scene.cluster.unbound == ["kubeadm:node-autoapprove-bootstrap"]
    assert "kanarie-key" not in repr(scene.keys.access(SPEC.name))
    again = ClusterKeys(scene.file)
    assert again.access(SPEC.name) == ACCESS, "another life of the appliance has them, too"


def test_a_cluster_is_founded_when_its_api_says_that_it_is_ready(scene: Scene) -> None:
    scene.begin(A, FOUND)
    scene.nodes.says[A] = scene.mark()
    scene.cluster.lacks = "[-]etcd failed"
    sight = scene.look(A, FOUND)
    assert (sight.progress, sight.words) == (Progress.AT_WORK, "its API is not ready yet: [-]etcd failed")
    scene.cluster.down = UnreachableError("no answer")
    with pytest.raises(UnreachableError):
        scene.look(A, FOUND)


def test_nobody_joins_before_the_appliance_has_seen_the_founding(scene: Scene) -> None:
    with pytest.raises(ClusterError, match="no access to the cluster prod"):
        scene.begin(B, JOIN)
    assert scene.nodes.fed == []


def test_a_machine_joins_with_a_token_of_its_own_that_ends_with_it(scene: Scene) -> None:
    founded(scene)
    scene.begin(B, JOIN)
    (token,) = scene.cluster.tokens.values()
    assert token.machine == B
    assert scene.keys.issued(SPEC.name, 1000.0)[B].id == token.id
    assert token.expires > 1000.0
    fed = scene.nodes.fed[-1][2]
    scene.nodes.says[B] = scene.mark()
    assert scene.look(B, JOIN).words == "joined by its own word; the cluster does not list it yet"
    scene.cluster.listed = (listed(B, IPv4Address("10.77.0.99")),)
    stranger = scene.look(B, JOIN)
    assert stranger.problem is not None
    assert "is not the machine of that name" in stranger.problem.message
    scene.cluster.listed = (listed(B),)
    assert scene.look(B, JOIN).progress is Progress.DONE
    assert scene.cluster.tokens == {}
    assert scene.keys.issued(SPEC.name, 1000.0) == {}
    assert "0f0f" not in fed, "a worker gets none of the cluster's own keys"


def test_another_control_plane_gets_the_clusters_keys_from_the_first(scene: Scene) -> None:
    founded(scene)
    scene.begin(C, replace(JOIN, role=NodeRole.CONTROL_PLANE))
    assert [argv for address, argv, _ in scene.nodes.fed if address == ADDRESSES[A]][-1] == SHARE_KEYS
    assert scene.led.to == [(A,), (A, C)], "the endpoint leads to it before it is asked for"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, ""),
        ({"ready": False, "why": "container runtime is down"}, "node-1 is not ready: container runtime is down"),
        ({"version": "v1.19.9"}, "node-1 runs v1.19.9"),
    ],
    ids=["ready", "not ready", "other version"],
)
def test_it_is_confirmed_by_what_the_cluster_says_of_each_node(
    scene: Scene, change: dict[str, object], says: str
) -> None:
    founded(scene)
    scene.cluster.listed = (listed(A),)
    assert scene.look(A, CONFIRM).words == "node-1 is not in the cluster"
    scene.cluster.listed = (listed(A), replace(listed(B), **change))  # type: ignore[arg-type]
    sight = scene.look(A, CONFIRM)
    if says:
        assert (sight.progress, sight.words) == (Progress.AT_WORK, says)
    else:
        assert sight.evidence == {"API": "https://10.77.0.2:6443", "ready nodes": "node-0 v1.20.2, node-1 v1.20.2"}
    scene.cluster.lacks = "[-]etcd failed"
    assert "is not ready: [-]etcd failed" in scene.look(A, CONFIRM).words


def test_it_is_confirmed_when_its_own_pods_are_ready_too(scene: Scene) -> None:
    founded(scene)
    scene.cluster.listed, scene.cluster.unwell = (listed(A), listed(B)), ("coredns-1 is not ready: why",)
    assert scene.look(A, CONFIRM).words == "1 of its own pods are not ready: coredns-1 is not ready: why"
    scene.cluster.unwell = ()
    assert scene.look(A, CONFIRM).progress is Progress.DONE


def test_pods_of_a_dead_node_that_is_to_leave_hold_up_nothing(scene: Scene) -> None:
    founded(scene)
    scene.cluster.listed, scene.cluster.unwell = (listed(A), listed(B)), ("kube-proxy-1 is not ready: why",)
    scene.cluster.unwell_on = "node-4"
    assert scene.look(A, CONFIRM).progress is Progress.DONE
    scene.cluster.unwell_on = B
    assert scene.look(A, CONFIRM).progress is Progress.AT_WORK


def test_nothing_is_done_on_a_machine_without_a_system(scene: Scene) -> None:
    scene.states[A] = replace(scene.states[A], installed=None)
    with pytest.raises(InnervateError):
        scene.begin(A, PREPARE)
