"""What a node is told in later life: in an order that keeps the cluster safe, whatever is cut off in between."""

import subprocess
from ipaddress import IPv4Address, IPv4Network

import pytest

from appliance.errors import ClusterError
from appliance.kubernetes import etcd, life, vip
from appliance.kubernetes.cluster import Cluster, Endpoint, Registry
from appliance.kubernetes.drain import Pod, Refusal, to_move, waits
from appliance.kubernetes.etcd import EtcdMember, Snapshot
from appliance.kubernetes.objects import message, minor, pod, unready
from appliance.kubernetes.version import KubernetesVersion
from appliance.model.cluster import NodeRole
from images.artifact_set import ArtifactSet, Engine, Provenance, SetFile

FILES = tuple(
    SetFile(name=name, role="package" if name.endswith(".deb") else name, size=1, sha256="ab" * 32)
    for name in ("containerd.deb", "crictl", "kubeadm", "kubectl", "kubelet")
)
SET = ArtifactSet(
    engine=Engine.KUBEADM, version="v1.21.4", arch="amd64", provenance=Provenance.REBUILT, files=FILES, images=()
)
TAGS = {"etcd": "3.4.13", "pause": "3.4"}
ADDRESS = IPv4Address("10.77.0.11")


def cluster(**tags: str) -> Cluster:
    return Cluster(
        name="prod",
        version=KubernetesVersion.parse("v1.21.4"),
        endpoint=Endpoint(host="10.77.0.2"),
        registry=Registry(endpoint=Endpoint(host="10.77.0.1", port=5000), repository="k8s"),
        members=(),
        tags={**TAGS, **tags},
        pods=IPv4Network("10.244.0.0/16"),
    )


def test_the_control_plane_changes_before_the_kubelet_that_asks_it() -> None:
    says = [act.says for act in life.upgrade(cluster(), SET, NodeRole.CONTROL_PLANE, leads=True)]
    assert says[:5] == [
        "installing kubeadm",
        "telling prod its new version",
        "upgrading the control plane to v1.21.4",
        "leaving out what the set lacks",
        "installing packages",
    ]
    assert says[-2:] == ["installing crictl, kubectl, kubelet", "starting services anew"]
    follows = [act.argv for act in life.upgrade(cluster(), SET, NodeRole.WORKER, leads=False)]
    assert follows[1] == ("kubeadm", "upgrade", "node")
    named = life.upgrade(cluster(coredns="1.8"), SET, NodeRole.CONTROL_PLANE, leads=True)
    assert not any("coredns" in " ".join(act.argv) for act in named)


POD = {"metadata": {"name": "coredns-1"}, "spec": {"nodeName": "one"}}
NOT_READY = {"conditions": [{"type": "Ready", "status": "False", "message": "containers with unready status"}]}


@pytest.mark.parametrize(
    ("pod", "why"),
    [
        ({**POD, "status": NOT_READY}, "coredns-1 is not ready: containers with unready status"),
        ({**POD, "spec": {}, "status": {"phase": "Pending"}}, "coredns-1 is not ready: nothing has been heard of it"),
        ({**POD, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}, ""),
        ({**POD, "status": {**NOT_READY, "phase": "Succeeded"}}, ""),
        ({**POD, "spec": {"nodeName": "gone"}, "status": NOT_READY}, ""),
        ({**POD, "metadata": {"name": "coredns-1", "deletionTimestamp": "now"}, "status": NOT_READY}, ""),
    ],
    ids=["not ready", "nowhere", "ready", "ended", "of a node that is gone", "about to go"],
)
def test_a_pod_counts_until_it_is_ready_or_has_ended(pod: object, why: str) -> None:
    assert unready(pod, {"one"}) == why


def test_new_programs_lie_beside_those_that_run() -> None:
    paths = {fetch.file.name: fetch.path for fetch in life.fetches(SET)}
    assert paths["kubelet"] == "/var/cache/innervate/kubernetes/v1.21.4/kubelet"
    assert paths["containerd.deb"] == "/var/cache/innervate/kubernetes/containerd.deb"


SCRIPTS = {
    "leave": life.leave(cluster(), "node-1", last=False),
    "end": life.leave(cluster(), "node-1", last=True),
    "restore": life.restore(cluster(), "node-1", ADDRESS),
    "upgrade": life.upgrade(cluster(), SET, NodeRole.CONTROL_PLANE, leads=True),
}
TOLD = {
    "members": etcd.members("image"),
    "remove": etcd.remove("image", EtcdMember(id="a1", name="node-1")),
    "save": etcd.save("image"),
    "hand over": etcd.hand_over(),
}


@pytest.mark.parametrize(
    "argv",
    [
        *(pytest.param(act.argv, id=f"{name} {at}") for name, acts in SCRIPTS.items() for at, act in enumerate(acts)),
        *(pytest.param(argv, id=name) for name, argv in TOLD.items()),
    ],
)
def test_what_nodes_are_told_is_what_their_shell_reads(argv: tuple[str, ...]) -> None:
    if argv[0] == "sh":
        subprocess.run(["dash", "-n", "-c", argv[2]], check=True)


def test_a_node_asks_etcd_before_it_goes_unless_all_go() -> None:
    leaving, ending = (SCRIPTS[name][0].argv[-3:] for name in ("leave", "end"))
    assert leaving == ("10.77.0.1:5000/k8s/etcd:3.4.13", "node-1", "no")
    assert ending == ("10.77.0.1:5000/k8s/etcd:3.4.13", "node-1", "yes")


def test_what_is_restored_is_no_reason_for_kubeadm_to_stop() -> None:
    lenient = "--ignore-preflight-errors=ImagePull,DirAvailable--var-lib-etcd"
    assert lenient in life.restore(cluster(), "node-1", ADDRESS)[-1].argv
    named = life.restore(cluster(coredns="1.8"), "node-1", ADDRESS)[-1].argv
    assert "--ignore-preflight-errors=DirAvailable--var-lib-etcd" in named


def test_control_planes_tell_each_other_one_by_one() -> None:
    alone, ready = vip.files("one", ADDRESS, IPv4Address("10.77.0.9"), 7, ())
    assert "unicast_peer" not in str(alone.text)
    assert "weight 50" in str(alone.text), "kubeadm founds by the endpoint, before anything is ready"
    shared, _ = vip.files("one", ADDRESS, IPv4Address("10.77.0.9"), 7, (IPv4Address("10.77.0.12"),))
    assert "    unicast_peer {\n        10.77.0.12\n    }\n    virtual_ipaddress {\n        10.77.0.9/32" in str(
        shared.text
    )
    assert "weight" not in str(shared.text), "who is not ready is no candidate"
    assert ready.mode == "755"
    assert f"--server=https://{ADDRESS}:6443" in str(ready.text), "no certificate has 127.0.0.1"
    subprocess.run(["bash", "-n"], input=str(ready.text).encode(), check=True)
    subprocess.run(["dash", "-n", "-c", vip.start(ADDRESS)[0].argv[2]], check=True)


def test_members_of_etcd() -> None:
    text = (
        "8e9e05c52164694d, started, one, http://a:2380, http://a:2379, false\nf0, unstarted, , http://b:2380, , false"
    )
    assert etcd.read_members(text) == (EtcdMember(id="8e9e05c52164694d", name="one"), EtcdMember(id="f0", name=""))
    for strange in ("Error: context deadline exceeded", "$(reboot), started, one"):
        with pytest.raises(ClusterError):
            etcd.read_members(strange)


def test_what_a_snapshot_holds() -> None:
    text = '"Hash" : 3915134405\n"Revision" : 4321\n"Keys" : 900\n"Size" : 2519072'
    assert etcd.read_snapshot(text) == Snapshot(revision=4321, size=2519072)
    with pytest.raises(ClusterError, match="does not say"):
        etcd.read_snapshot("snapshot file integrity check failed")


def test_pods_as_the_api_has_them() -> None:
    value = {
        "metadata": {
            "name": "web-1",
            "namespace": "default",
            "ownerReferences": [{"kind": "Other"}, {"kind": "ReplicaSet", "controller": True}],
            "deletionTimestamp": "2026-11-30T06:00:00Z",
        },
        "status": {"phase": "Running"},
    }
    assert pod(value) == Pod(
        namespace="default", name="web-1", owner="ReplicaSet", static=False, ended=False, leaving=True
    )
    mirror = {
        "metadata": {"name": "etcd", "namespace": "kube-system", "annotations": {"kubernetes.io/config.mirror": "x"}},
        "status": {"phase": "Succeeded"},
    }
    assert (pod(mirror).static, pod(mirror).ended, pod(mirror).owner) == (True, True, "")
    with pytest.raises(ClusterError):
        pod({"metadata": {}})
    assert (minor({"minor": "20"}), minor({"minor": "29+"})) == (20, 29)
    with pytest.raises(ClusterError):
        minor({"minor": "x"})
    assert message(b'{"kind": "Status", "message": "Cannot evict pod"}') == "Cannot evict pod"
    assert message(b"<html>") == "<html>"


def test_what_a_drain_waits_for_is_a_sentence() -> None:
    pods = [Pod(namespace="a", name=f"p{at}", owner="Job", static=False, ended=False, leaving=False) for at in range(7)]
    assert to_move(pods) == tuple(pods)
    assert waits(pods, []) == "still there: a/p0, a/p1, a/p2, a/p3, a/p4 and 2 more"
    assert waits(pods[:1], [Refusal(pod=pods[0], why="too few")]) == "still there: a/p0; a/p0 may not go: too few"
