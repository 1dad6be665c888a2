"""Nodes and an API of a cluster that say what the test wants, and the desk in front of them."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Container, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TypeVar

from appliance.conductor.decision import ClusterSight, Progress
from appliance.conductor.machine import MachineState
from appliance.errors import InnervateError, UnreachableError
from appliance.inventory.model import Installed
from appliance.kubernetes.csr import Judgement, Request, Ruling
from appliance.kubernetes.drain import Pod
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
from appliance.ports import Sink, Source
from appliance.services.cluster_backups import ClusterBackups
from appliance.services.cluster_hold import Around, Hold
from appliance.services.cluster_keys import ClusterKeys
from appliance.services.cluster_life import ClusterLife
from appliance.services.clusters import ClusterDesk
from appliance.store.cluster_backups import BackupShelf
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
    dead: set[MachineName] = field(default_factory=set)
    members: dict[str, str] = field(default_factory=dict)
    handed_over: bytes = b""
    given: bytes = b""

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
        if name in self.dead:
            raise UnreachableError(f"{name} does not answer yet")
        if "etcdctl" in argv[2]:
            return self._etcd(argv)
        return self.says.get(name, "state=inactive\n")

    def pull(
        self, address: IPv4Address, user: str, host_keys: tuple[str, ...], argv: tuple[str, ...], out: Sink
    ) -> None:
        for at in range(0, len(self.handed_over), 1000):
            out.write(self.handed_over[at : at + 1000])

    def push(
        self, address: IPv4Address, user: str, host_keys: tuple[str, ...], argv: tuple[str, ...], source: Source
    ) -> None:
        while piece := source.read(1000):
            self.given += piece

    def _etcd(self, argv: tuple[str, ...]) -> str:
        if "snapshot save" in argv[2]:
            return '"Hash" : 1\n"Revision" : 4321\n"Size" : 2048'
        if "member remove" in argv[2]:
            self.members.pop(argv[-1])
        ends = "https://10.77.0.10:2380, https://10.77.0.10:2379, false"
        return "\n".join(f"{number}, started, {name}, {ends}" for number, name in self.members.items())

    def texts(self) -> str:
        return "\n".join(text for _, _, text in self.fed)


@dataclass(slots=True)
class Cluster:
    """What its API says, and what it was told."""

    lacks: str = ""
    access: Access | None = None
    listed: tuple[Node, ...] = ()
    asked: tuple[Request, ...] = ()
    down: InnervateError | None = None
    pods: tuple[Pod, ...] = ()
    unwell: tuple[str, ...] = ()
    unwell_on: str = ""
    refusals: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, JoinToken] = field(default_factory=dict)
    unbound: list[str] = field(default_factory=list)
    decided: list[tuple[str, Judgement]] = field(default_factory=list)

    @asynccontextmanager
    async def connect(self, url: str, access: Access) -> AsyncIterator["Cluster"]:
        assert (url, access) == ("https://10.77.0.2:6443", self.access or ACCESS)
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

    async def schedule(self, node: str, *, wanted: bool) -> None:
        self.listed = tuple(replace(one, schedulable=wanted) if one.name == node else one for one in self.listed)

    async def pods_on(self, node: str) -> tuple[Pod, ...]:
        return self.pods

    async def unready(self, namespace: str, nodes: Container[str]) -> tuple[str, ...]:
        assert namespace == "kube-system"
        return self.unwell if not self.unwell_on or self.unwell_on in nodes else ()

    async def evict(self, pod: Pod) -> str:
        if not (why := self.refusals.get(pod.name, "")):
            self.pods = tuple(one for one in self.pods if one != pod)
        return why

    async def ask(self, method: str, path: str, body: Mapping[str, object] | None = None, form: str = "") -> object:
        raise AssertionError(path)

    async def page(self, path: str) -> tuple[int, bytes]:
        raise AssertionError(path)

    async def remove_node(self, node: str) -> None:
        self.listed = tuple(one for one in self.listed if one.name != node)


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
    planes: list[MachineName]
    backups: ClusterBackups
    told: list[str]

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


def make_scene(tmp_path: Path) -> Scene:
    nodes, cluster, supplies = Nodes(), Cluster(), Supplies()
    file = SecretFile(tmp_path / "clusters.vault", SystemRng())
    leading, keys, states = Led(), ClusterKeys(file), {name: installed(name) for name in ADDRESSES}
    planes = [A]
    around = Around(
        machine=lambda name: states[name],
        planes=lambda _cluster: tuple(planes) if keys.access(SPEC.name) else (),
        workers=lambda _cluster: (C,),
        shells=nodes,
        user="root",
        files="http://10.77.0.1/artifact/",
        connect=cluster.connect,
        lead=leading.lead,
        clock=Clock(),
        rng=SystemRng(),
    )
    hold, kubeadm = Hold(keys, around), Kubeadm(lambda _ref: SET, lambda: PEM)
    told = list[str]()

    def engine(_cluster: ClusterSpec) -> Kubeadm:
        return kubeadm

    shelf = BackupShelf(tmp_path / "backups")
    backups = ClusterBackups(shelf, hold, engine, lambda _cluster, text: told.append(text))
    desk = ClusterDesk(engine, supplies, hold, ClusterLife(engine, supplies, hold, backups))
    return Scene(nodes, cluster, supplies, keys, desk, file, states, leading, planes, backups, told)


def founded(scene: Scene) -> None:
    scene.begin(A, FOUND)
    scene.nodes.says[A] = scene.mark()
    assert scene.look(A, FOUND).progress is Progress.DONE


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
