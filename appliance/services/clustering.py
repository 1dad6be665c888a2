"""Clusters as the daemon wires them: the conductor's hands for their steps, and who stands by them afterwards."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.conductor.machine import MachineState
from appliance.conductor.memory import Memory
from appliance.kubernetes.api import Api, Kubernetes
from appliance.kubernetes.engine import Kubeadm
from appliance.kubernetes.objects import Access
from appliance.model.cluster import ClusterSpec, NodeRole
from appliance.ports import Clock, Rng
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
    of their names, `user` whom the appliance enters them as."""

    memory: Memory
    sets: SetDesk
    lend: Callable[[Mapping[str, Path]], None]
    shells: NodeShells
    files: str
    user: str
    domain: str
    clock: Clock
    rng: Rng


def clustering(ground: Ground, secrets: SecretFile) -> tuple[ClusterDesk, ClusterWatch]:
    """Raises `MachineryError` where the clusters' keys cannot be read."""
    supplies, keys = Supplies(ground.sets, ground.lend), ClusterKeys(secrets)
    engine = Kubeadm(supplies.described, lambda: supplies.authority)
    around = Around(
        machine=ground.memory.world.machine,
        founder=lambda cluster: _control_plane(ground.memory, cluster),
        shells=ground.shells,
        user=ground.user,
        files=ground.files,
        connect=connect,
        clock=ground.clock,
        rng=ground.rng,
    )
    watch = ClusterWatch(ground.memory, keys, connect, ground.domain, ground.clock)
    return ClusterDesk(engine, supplies, keys, around), watch


def _control_plane(memory: Memory, cluster: ClusterSpec) -> MachineState | None:
    """The one that is a member for longest: it has all of the cluster's keys."""
    planes = [
        state
        for state in memory.world.machines.values()
        if (member := state.member) is not None
        if member.cluster.name == cluster.name and member.role is NodeRole.CONTROL_PLANE
    ]
    return min(planes, key=lambda state: state.member.since if state.member else 0.0, default=None)
