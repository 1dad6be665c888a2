"""Clusters as the daemon wires them: the conductor's hands for their steps, and who stands by them afterwards."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

from appliance.conductor.memory import Memory
from appliance.kubernetes.api import Api, Kubernetes
from appliance.kubernetes.engine import Kubeadm
from appliance.kubernetes.objects import Access
from appliance.model.balancer import Backend, HttpsCheck, Listener
from appliance.model.cluster import API_PORT, ClusterSpec, NodeRole
from appliance.model.ids import MachineName
from appliance.ports import Clock, Rng
from appliance.services.balancer import BalancerDesk
from appliance.services.cluster_keys import ClusterKeys
from appliance.services.cluster_watch import ClusterWatch
from appliance.services.clusters import Around, ClusterDesk, NodeShells
from appliance.services.sets import SetDesk
from appliance.services.supplies import Supplies
from appliance.store.secrets import SecretFile


@asynccontextmanager
async def connect(url: str, access: Access) -> AsyncIterator[Kubernetes]:
    api = Api(url, access)
    try:
        yield api
    finally:
        await api.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What clusters stand on. `files` is the URL below which nodes get what `lend` offers, by SHA-256; `domain` is that
    of their names, `user` whom the appliance enters them as. `balancer` is None where the control planes have it."""

    memory: Memory
    sets: SetDesk
    lend: Callable[[Mapping[str, Path]], None]
    shells: NodeShells
    files: str
    user: str
    domain: str
    balancer: BalancerDesk | None
    clock: Clock
    rng: Rng


def clustering(ground: Ground, secrets: SecretFile) -> tuple[ClusterDesk, ClusterWatch]:
    """Raises `MachineryError` where the clusters' keys cannot be read."""
    supplies, keys = Supplies(ground.sets, ground.lend), ClusterKeys(secrets)
    engine = Kubeadm(supplies.described, lambda: supplies.authority)
    around = Around(
        machine=ground.memory.world.machine,
        planes=lambda cluster: _control_planes(ground.memory, cluster),
        shells=ground.shells,
        user=ground.user,
        files=ground.files,
        connect=connect,
        lead=partial(_lead, ground.balancer),
        clock=ground.clock,
        rng=ground.rng,
    )
    watch = ClusterWatch(ground.memory, keys, connect, ground.domain, ground.clock)
    return ClusterDesk(engine, supplies, keys, around), watch


def _control_planes(memory: Memory, cluster: ClusterSpec) -> Sequence[MachineName]:
    """The oldest has had all of the cluster's keys for longest."""
    planes = {
        name: member.since
        for name, state in memory.world.machines.items()
        if (member := state.member) is not None
        if member.cluster.name == cluster.name and member.role is NodeRole.CONTROL_PLANE
    }
    return sorted(planes, key=lambda name: (planes[name], name))


async def _lead(balancer: BalancerDesk | None, cluster: ClusterSpec, planes: Mapping[MachineName, IPv4Address]) -> None:
    """An endpoint that is not the balancer's is somebody else's to lead."""
    if balancer is None or balancer.address != cluster.endpoint:
        return
    backends = tuple(Backend(name=name, address=address, port=API_PORT) for name, address in planes.items())
    listener = Listener(name=f"{cluster.name}-api", port=API_PORT, backends=backends, check=HttpsCheck())
    await balancer.want(cluster.name, (listener,))
