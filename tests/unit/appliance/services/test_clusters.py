"""The cluster desk against nodes and an API that say what the test wants; and who stands by a cluster afterwards."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TypeVar

import pytest

from appliance.conductor.decision import ClusterSight, Progress
from appliance.conductor.machine import MachineState
from appliance.errors import ClusterError, InnervateError, NotFoundError, UnreachableError
from appliance.inventory.model import Installed
from appliance.kubernetes.csr import Judgement, Request, Ruling
from appliance.kubernetes.engine import KUBECONFIG, SHARE_KEYS, Kubeadm
from appliance.kubernetes.objects import Access, Node
from appliance.kubernetes.tokens import JoinToken
from appliance.model.cluster import (
    ClusterName,
    ClusterSpec,
    ConfirmCluster,
    FoundCluster,
    JoinCluster,
    NodeRole,
    PrepareNode,
    SetRef,
)
from appliance.model.ids import MachineName
from appliance.model.secret import Secret
from appliance.services.cluster_keys import ClusterKeys
from appliance.services.clusters import Around, ClusterDesk
from appliance.store.secrets import SecretFile
from appliance.system import SystemRng
from images.artifact_set import ArtifactSet, Engine, Provenance, SetFile, SetImage
from tests.unit.appliance.conductor.rack import IMAGE

T = TypeVar("T")
A, B, C = (MachineName(f"node-{number}") for number in range(3))
ADDRESSES = {A: IPv4Address("10.77.0.10"), B: IPv4Address("10.77.0.11"), C: IPv4Address("10.77.0.12")}
PEM = "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n"
FILES = tuple(SetFile(name=n, role=n, size=1, sha256="ab" * 32) for n in ("crictl", "kubeadm", "kubectl", "kubelet"))
IMAGES = tuple(SetImage(repository=f"k8s/{n}", tag="1", digest=f"sha256:{'cd' * 32}") for n in ("etcd", "pause"))
SET = ArtifactSet(
    engine=Engine.KUBEADM,
    version="v1.20.2",
    arch="amd64",
    provenance=Provenance.REBUILT,
    files=FILES,
    images=IMAGES,
)
SPEC = ClusterSpec(
    name=ClusterName("prod"),
    set=SetRef(name=SET.name, engine=Engine.KUBEADM, version="v1.20.2", sha256="a" * 64),
    endpoint=IPv4Address("10.77.0.2"),
    registry="10.77.0.1:5000",
    pods=IPv4Network("10.244.0.0/16"),
    services=IPv4Network("10.96.0.0/16"),
)
PREPARE, FOUND = PrepareNode(cluster=SPEC, role=NodeRole.WORKER), FoundCluster(cluster=SPEC)
JOIN = JoinCluster(cluster=SPEC, role=NodeRole.WORKER)
CONFIRM = ConfirmCluster(cluster=SPEC, nodes=(A, B))
ACCESS = Access(ca=PEM, certificate="CERT", key=Secret("kanarie-key"))


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


CONFIG = json.dumps(
    {
        "clusters": [{"cluster": {"certificate-authority-data": encoded(PEM)}}],
        "users": [{"user": {"client-certificate-data": encoded("CERT"), "client-key-data": encoded("kanarie-key")}}],
    }
)


@dataclass(slots=True)
class Nodes:
    """Machines' shells: what a look at each job says, and all that they were fed."""

    says: dict[MachineName, str] = field(default_factory=dict)
    fed: list[tuple[IPv4Address, tuple[str, ...], str]] = field(default_factory=list)

    def feed(
        self, address: IPv4Address, user: str, host_keys: tuple[str, ...], argv: tuple[str, ...], fed: Secret
    ) -> str:
        self.fed.append((address, argv, fed.reveal()))
        if argv == KUBECONFIG:
            return CONFIG
        if argv == SHARE_KEYS:
            return f"[upload-certs] Using certificate key:\n{'0f' * 32}\n"
        if "systemd-run" in " ".join(argv):
            return "begun\n"
        name = next(name for name, one in ADDRESSES.items() if one == address)
        return self.says.get(name, "state=inactive\n")

    def texts(self) -> str:
        return "\n".join(text for _, _, text in self.fed)


@dataclass(slots=True)
class Cluster:
    """What its API says, and what it was told."""

    lacks: str = ""
    listed: tuple[Node, ...] = ()
    asked: tuple[Request, ...] = ()
    down: InnervateError | None = None
    tokens: dict[str, JoinToken] = field(default_factory=dict)
    unbound: list[str] = field(default_factory=list)
    decided: list[tuple[str, Judgement]] = field(default_factory=list)

    @asynccontextmanager
    async def connect(self, url: str, access: Access) -> AsyncIterator["Cluster"]:
        assert (url, access) == ("https://10.77.0.2:6443", ACCESS)
        if self.down is not None:
            raise self.down
        yield self

    async def ready(self) -> str:
        return self.lacks

    async def nodes(self) -> tuple[Node, ...]:
        return self.listed

    async def requests(self) -> tuple[Request, ...]:
        return self.asked

    async def decide(self, request: Request, judgement: Judgement) -> None:
        assert judgement.ruling is not Ruling.LEAVE
        self.decided.append((request.name, judgement))

    async def give_token(self, token: JoinToken) -> None:
        self.tokens[token.id] = token

    async def take_token(self, token_id: str) -> None:
        self.tokens.pop(token_id, None)

    async def take_all_tokens(self) -> None:
        self.tokens.clear()

    async def unbind(self, binding: str) -> None:
        self.unbound.append(binding)


@dataclass(slots=True)
class Supplies:
    missing: InnervateError | None = None
    asked: list[SetRef] = field(default_factory=list)

    async def ready(self, ref: SetRef) -> None:
        self.asked.append(ref)
        if self.missing is not None:
            raise self.missing


@dataclass(slots=True)
class Led:
    """Where the endpoint leads, one after the other."""

    to: list[tuple[MachineName, ...]] = field(default_factory=list)

    async def lead(self, cluster: ClusterSpec, planes: Mapping[MachineName, IPv4Address]) -> None:
        assert all(ADDRESSES[name] == address for name, address in planes.items())
        self.to.append(tuple(planes))


class Clock:
    def now(self) -> float:
        return 1000.0

    def monotonic(self) -> float:
        return 1000.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


@dataclass(slots=True)
class Scene:
    nodes: Nodes
    cluster: Cluster
    supplies: Supplies
    keys: ClusterKeys
    desk: ClusterDesk
    file: SecretFile
    states: dict[MachineName, MachineState]
    led: "Led"

    def look(self, machine: MachineName, do: object) -> ClusterSight:
        return now(self.desk.look(machine, do))  # type: ignore[arg-type]

    def begin(self, machine: MachineName, do: object) -> str:
        return now(self.desk.begin(machine, do))  # type: ignore[arg-type]

    def mark(self) -> str:
        """What the node will say once it has done what it was told last."""
        text = self.nodes.fed[-1][2]
        return "mark=" + text.rpartition('printf "%s\\n" ')[2].split()[0]


def now(work: Coroutine[object, object, T]) -> T:
    return asyncio.run(work)


def installed(name: MachineName) -> MachineState:
    system = Installed(image=IMAGE, hostname=name, address=ADDRESSES[name], host_keys=("key",), confirmed=True)
    return MachineState(name=name, installed=system)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    nodes, cluster, supplies = Nodes(), Cluster(), Supplies()
    file = SecretFile(tmp_path / "clusters.vault", SystemRng())
    leading, keys, states = Led(), ClusterKeys(file), {name: installed(name) for name in ADDRESSES}
    around = Around(
        machine=lambda name: states[name],
        planes=lambda _cluster: (A,) if keys.access(SPEC.name) else (),
        shells=nodes,
        user="root",
        files="http://10.77.0.1/artifact/",
        connect=cluster.connect,
        lead=leading.lead,
        clock=Clock(),
        rng=SystemRng(),
    )
    desk = ClusterDesk(Kubeadm(lambda _ref: SET, lambda: PEM), supplies, keys, around)
    return Scene(nodes, cluster, supplies, keys, desk, file, states, leading)


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


def founded(scene: Scene) -> None:
    scene.begin(A, FOUND)
    scene.nodes.says[A] = scene.mark()
    assert scene.look(A, FOUND).progress is Progress.DONE


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


def listed(name: MachineName, address: IPv4Address | None = None) -> Node:
    return Node(
        name=name,
        version="v1.20.2",
        ready=True,
        why="",
        control_plane=False,
        schedulable=True,
        addresses=(address or ADDRESSES[name],),
        pods=None,
    )


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


def test_nothing_is_done_on_a_machine_without_a_system(scene: Scene) -> None:
    scene.states[A] = replace(scene.states[A], installed=None)
    with pytest.raises(InnervateError):
        scene.begin(A, PREPARE)
