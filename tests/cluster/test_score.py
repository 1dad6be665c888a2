"""A cluster as a site program states it, by the conductor: founded, joined, confirmed, and then left alone."""

import asyncio
import json
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.conductor.decision import Progress
from appliance.conductor.runs import RunStatus
from appliance.errors import UnreachableError
from appliance.kubernetes import node
from appliance.model.cluster import ConfirmCluster, NodeRole
from appliance.model.ids import MachineName, RunId
from appliance.model.views import RunState
from appliance.plan import Plan
from appliance.scores.cluster import KubernetesCluster
from appliance.store.records import ClusterNoted
from tests.cluster.conftest import Artifacts
from tests.cluster.nodes import Ground, ground, nodes
from tests.cluster.product import Lent, imported, living, on, serving

pytestmark = [pytest.mark.alone, pytest.mark.timeout(1200)]
PLANE, WORKER = MACHINES = nodes("plane", "worker")
KUBELET = "/etc/kubernetes/kubelet.conf"
# Not by the endpoint: the balancer there lives as long as the appliance does.
KUBECTL = ("kubectl", f"--kubeconfig={node.ADMIN}", f"--server=https://{PLANE.address}:6443")


class Place:
    """The ground with two installed machines; what the appliance keeps is in its folder, through all its lives."""

    def __init__(self, made: Ground, lent: Lent, name: str) -> None:
        self.ground, self.lent = made, lent
        self.score = KubernetesCluster(cluster="prod", set=name, control_planes=("plane",), workers=("worker",))

    def kubectl(self, *words: str) -> str:
        return self.ground.ssh(PLANE, *KUBECTL, *words)


@pytest.fixture(scope="module")
def place(artifacts: Artifacts, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder, lent = tmp_path_factory.mktemp("ground"), Lent()
    (folder / "state/sets").mkdir(parents=True)
    subprocess.run(["cp", "-rl", artifacts.folder, folder / "state/sets/kubernetes"], check=True)
    with ExitStack() as stack:
        made = stack.enter_context(ground(folder, tree, MACHINES))
        for machine in MACHINES:
            made.start(machine)
        stack.enter_context(serving(made, lent))
        place = Place(made, lent, artifacts.set.name)
        on(made, lambda: _import(place))
        yield place


async def _import(place: Place) -> None:
    async with living(place.ground, MACHINES, place.lent) as life:
        await imported(life.sets, "kubernetes")


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
    assert [line.split()[:2] for line in place.kubectl("get", "nodes", "--no-headers").splitlines()] == [
        ["plane", "Ready"],
        ["worker", "Ready"],
    ]


async def _begun(place: Place) -> tuple[Plan, RunId]:
    """A life that ends as soon as the first node works."""
    async with living(place.ground, MACHINES, place.lent) as life:
        plan = life.plan(place.score)
        run = await life.apply(plan)
        await life.begun(run, "prepare-node")
        return plan, run


async def _until(place: Place, run: RunId, action: str) -> None:
    async with living(place.ground, MACHINES, place.lent) as life:
        await life.begun(run, action)


async def _through(place: Place, run: RunId) -> tuple[RunStatus, Plan]:
    async with living(place.ground, MACHINES, place.lent) as life:
        ended = await life.ended(run)
        roles = {name: state.member.role for name, state in life.memory.world.machines.items() if state.member}
        assert roles == {"plane": NodeRole.CONTROL_PLANE, "worker": NodeRole.WORKER}
        return ended, life.plan(place.score)


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
        shown = json.loads(place.kubectl("get", "csr", name, "-o", "json"))["status"]
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
    async with living(place.ground, MACHINES, place.lent) as life:
        await asyncio.to_thread(_forge, place)
        async with asyncio.timeout(60):
            while True:
                entries = await life.memory.read(after=0, machine=None, limit=1000, kinds=frozenset({"cluster-noted"}))
                notes = [one.record for one in entries if isinstance(one.record, ClusterNoted)]
                texts = [note.text for name in names for note in notes if note.refused and f" {name} of " in note.text]
                if len(texts) == len(names):
                    return texts
                await life.memory.changed(life.memory.tick, 1.0)


def test_who_was_given_no_token_any_more_cannot_come_back(place: Place) -> None:
    """A token is gone as soon as its machine has joined, and kubeadm's own approval of whoever has one is gone, too."""
    assert (
        place.kubectl("-n", "kube-system", "get", "secrets", "--field-selector=type=bootstrap.kubernetes.io/token")
        == ""
    )
    bindings = place.kubectl("get", "clusterrolebindings", "-o", "name")
    assert "node-autoapprove-bootstrap" not in bindings
    assert "node-autoapprove-certificate-rotation" in bindings


def test_a_killed_api_server_is_back_and_the_cluster_says_so(place: Place) -> None:
    place.ground.ssh(PLANE, "pkill", "-KILL", "kube-apiserver")
    on(place.ground, lambda: _confirmed(place))


async def _confirmed(place: Place) -> None:
    """The same question as the last step of the plan asks."""
    async with living(place.ground, MACHINES, place.lent) as life:
        plane = MachineName(PLANE.name)
        member = life.memory.world.machine(plane).member
        assert member is not None
        assert life.hands.clusters is not None
        do = ConfirmCluster(cluster=member.cluster, nodes=tuple(MachineName(one.name) for one in MACHINES))
        async with asyncio.timeout(120):
            while True:
                with suppress(UnreachableError):
                    if (await life.hands.clusters.look(plane, do)).progress is Progress.DONE:
                        return
                await asyncio.sleep(0.5)


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
