"""A cluster as a site program states it, by the conductor: founded, joined, confirmed, and then left alone."""

import asyncio
import json
from base64 import b64encode
from contextlib import suppress
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.conductor.decision import Progress
from appliance.conductor.runs import RunStatus
from appliance.errors import UnreachableError
from appliance.kubernetes import node
from appliance.model.cluster import BackUpCluster, ConfirmCluster, NodeRole
from appliance.model.ids import MachineName, RunId
from appliance.model.views import RunState
from appliance.plan import Plan
from appliance.scores.cluster import KubernetesCluster
from tests.cluster.nodes import Node, nodes
from tests.cluster.place import Place, noted
from tests.cluster.product import on

pytestmark = [pytest.mark.alone, pytest.mark.timeout(1200)]
PLANE, WORKER, SPARE = nodes("plane", "worker", "spare")
KUBELET = "/etc/kubernetes/kubelet.conf"


@pytest.fixture
def place(shared: Place) -> Place:
    return shared


def cluster(place: Place, worker: Node) -> KubernetesCluster:
    name = place.artifacts.name
    return KubernetesCluster(cluster="prod", set=name, control_planes=("plane",), workers=(worker.name,))


def test_from_installed_machines_to_a_cluster_though_the_appliance_dies_in_each_step(place: Place) -> None:
    """The nodes go on by themselves meanwhile: whoever comes after looks, and orders nothing twice."""
    plan, run = on(place.ground, lambda: _begun(place))
    assert [step.id for step in plan.steps] == [
        "cluster.plane.prepare-node",
        "cluster.plane.found-cluster",
        "cluster.worker.prepare-node",
        "cluster.worker.join-cluster",
        "cluster.plane.confirm-cluster",
    ]
    on(place.ground, lambda: _until(place, run, "found-cluster"))
    on(place.ground, lambda: _until(place, run, "join-cluster"))
    ended, after = on(place.ground, lambda: _through(place, run))
    assert ended.state is RunState.DONE, [one.result for one in ended.attempts.values()]
    assert not after.steps, "the second time there is nothing to do"
    orders = {step.rpartition(".")[2]: len(one.orders) for step, one in ended.attempts.items()}
    assert orders == {"prepare-node": 1, "found-cluster": 1, "join-cluster": 1, "confirm-cluster": 0}
    (confirmed,) = (one.result for step, one in ended.attempts.items() if step.endswith("confirm-cluster"))
    assert confirmed is not None
    assert confirmed.evidence["ready nodes"] == "plane v1.20.2, worker v1.20.2"
    assert [line.split()[:2] for line in place.kubectl(PLANE, "get", "nodes", "--no-headers").splitlines()] == [
        ["plane", "Ready"],
        ["worker", "Ready"],
    ]


async def _begun(place: Place) -> tuple[Plan, RunId]:
    """A life that ends as soon as the first node works."""
    async with place.life() as life:
        plan = life.plan(cluster(place, WORKER))
        run = await life.apply(plan)
        await life.begun(run, "prepare-node")
        return plan, run


async def _until(place: Place, run: RunId, action: str) -> None:
    async with place.life() as life:
        await life.begun(run, action)


async def _through(place: Place, run: RunId) -> tuple[RunStatus, Plan]:
    async with place.life() as life:
        ended = await life.ended(run)
        roles = {name: state.member.role for name, state in life.memory.world.machines.items() if state.member}
        assert roles == {"plane": NodeRole.CONTROL_PLANE, "worker": NodeRole.WORKER}
        return ended, life.plan(cluster(place, WORKER))


FORGED = """\
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {{name: {name}}}
spec:
  signerName: kubernetes.io/{signer}
  usages: [digital signature, key encipherment, {usage}]
  request: {request}
"""


def test_a_forged_request_is_refused_and_told(place: Place) -> None:
    """Of a node in another's name; and of who has a join token that the appliance did not give."""
    neighbour, thief = on(place.ground, lambda: _refused(place, "neighbour", "thief"))
    assert neighbour.endswith("refused: system:node:worker asks in the name of plane")
    assert thief.endswith("refused: the join token was not given to worker")
    for name in ("neighbour", "thief"):
        shown = json.loads(place.kubectl(PLANE, "get", "csr", name, "-o", "json"))["status"]
        assert [one["type"] for one in shown["conditions"]] == ["Denied"]
        assert "certificate" not in shown


def _forge(place: Place) -> None:
    as_node = ("kubectl", f"--kubeconfig={KUBELET}")
    place.ground.ssh(WORKER, *as_node, "create", "-f", "-", stdin=forged("neighbour", "plane"))
    token = place.ground.ssh(PLANE, "kubeadm", "token", "create", f"--kubeconfig={node.ADMIN}").strip()
    server = (f"--server=https://{PLANE.address}:6443", f"--certificate-authority={node.AUTHORITY}", f"--token={token}")
    place.ground.ssh(PLANE, "kubectl", *server, "create", "-f", "-", stdin=forged("thief", "worker"))
    place.ground.ssh(PLANE, "kubeadm", "token", "delete", f"--kubeconfig={node.ADMIN}", token)


def forged(name: str, node: str) -> bytes:
    request = b64encode(pem(node)).decode()
    signer = "kube-apiserver-client-kubelet"
    return FORGED.format(name=name, signer=signer, usage="client auth", request=request).encode()


async def _refused(place: Place, *names: str) -> list[str]:
    """What is told of each, in a life of the appliance that begins now."""
    async with place.life() as life:
        await asyncio.to_thread(_forge, place)
        return [await noted(life, f" {name} of ") for name in names]


def test_who_was_given_no_token_any_more_cannot_come_back(place: Place) -> None:
    """A token is gone as soon as its machine has joined, and kubeadm's own approval of whoever has one is gone, too."""
    assert (
        place.kubectl(
            PLANE, "-n", "kube-system", "get", "secrets", "--field-selector=type=bootstrap.kubernetes.io/token"
        )
        == ""
    )
    bindings = place.kubectl(PLANE, "get", "clusterrolebindings", "-o", "name")
    assert "node-autoapprove-bootstrap" not in bindings
    assert "node-autoapprove-certificate-rotation" in bindings


def test_a_killed_api_server_is_back_and_the_cluster_says_so(place: Place) -> None:
    place.ground.ssh(PLANE, "pkill", "-KILL", "kube-apiserver")
    on(place.ground, lambda: _confirmed(place))


async def _confirmed(place: Place) -> None:
    """The same question as the last step of the plan asks."""
    async with place.life() as life:
        plane = MachineName(PLANE.name)
        member = life.memory.world.machine(plane).member
        assert member is not None
        assert life.hands.clusters is not None
        do = ConfirmCluster(cluster=member.cluster, nodes=tuple(MachineName(one.name) for one in (PLANE, WORKER)))
        async with asyncio.timeout(120):
            while True:
                with suppress(UnreachableError):
                    if (await life.hands.clusters.look(plane, do)).progress is Progress.DONE:
                        return
                await asyncio.sleep(0.5)


def test_a_backup_brings_the_cluster_back_and_a_spare_takes_the_place_of_a_dead_worker(place: Place) -> None:
    """What was forgotten since is there again, and what came later is not."""
    place.kubectl(PLANE, "create", "configmap", "kept", "--from-literal=it=is")
    backup = place.do(PLANE, BackUpCluster(cluster=place.spec(PLANE)))
    place.kubectl(PLANE, "delete", "configmap", "kept")
    place.kubectl(PLANE, "create", "configmap", "later")
    place.ground.cut(WORKER)
    place.silent = frozenset({WORKER.name})
    restoring = replace(cluster(place, SPARE), restore=backup["backup"])
    plan, ended, after = place.carry_out(restoring)
    assert "cluster.plane.restore-cluster" in [step.id for step in plan.steps]
    assert ended.state is RunState.DONE, [one.result for one in ended.attempts.values()]
    assert [step.id for step in after.steps][:1] == ["cluster.worker.remove-node"]
    _, ended, after = place.carry_out(restoring)
    assert ended.state is RunState.DONE, [one.result for one in ended.attempts.values()]
    assert not after.steps
    maps = place.kubectl(PLANE, "get", "configmaps", "-o", "name").split()
    assert ("configmap/kept" in maps, "configmap/later" in maps) == (True, False)
    shown = [line.split()[:2] for line in place.kubectl(PLANE, "get", "nodes", "--no-headers").splitlines()]
    assert shown == [["plane", "Ready"], ["spare", "Ready"]]


def test_a_living_node_is_drained_and_forgets_the_cluster(place: Place) -> None:
    score = replace(cluster(place, SPARE), workers=())
    plan, ended, after = place.carry_out(score)
    actions = [step.do.action for step in plan.steps]
    assert actions == ["drain-node", "reset-node", "remove-node", "confirm-cluster"]
    assert ended.state is RunState.DONE, [one.result for one in ended.attempts.values()]
    assert not after.steps
    assert place.left(SPARE) == ""


def pem(name: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{name}"),
        ]
    )
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)
