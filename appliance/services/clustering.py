"""Clusters as the daemon wires them: the conductor's hands for their steps, and who stands by them afterwards."""

import asyncio
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
from appliance.model.cluster import API_PORT, ClusterName, ClusterSpec, NodeRole
from appliance.model.ids import MachineName
from appliance.ports import Clock, Rng
from appliance.services.balancer import BalancerDesk
from appliance.services.cluster_backups import ClusterBackups
from appliance.services.cluster_hold import Around, Hold, NodeShells
from appliance.services.cluster_keys import ClusterKeys
from appliance.services.cluster_life import ClusterLife
from appliance.services.cluster_looks import ClusterLooks
from appliance.services.cluster_watch import ClusterWatch
from appliance.services.clusters import ClusterDesk
from appliance.services.engines import Engines
from appliance.services.okd import OkdSite, is_okd, okd_desk
from appliance.services.sets import SetDesk
from appliance.services.slurm import SlurmDesk
from appliance.services.slurm_watch import SlurmWatch
from appliance.services.supplies import Supplies
from appliance.slurm.engine import Slurm
from appliance.store.cluster_backups import BackupShelf
from appliance.store.records import ClusterNoted


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
    of their names, `user` whom the appliance enters them as. `balancer` is None where the control planes have it.
    `backups` are those of clusters."""

    memory: Memory
    sets: SetDesk
    lend: Callable[[Mapping[str, Path]], None]
    shells: NodeShells
    files: str
    user: str
    domain: str
    balancer: BalancerDesk | None
    backups: BackupShelf
    okd: OkdSite
    clock: Clock
    rng: Rng


@dataclass(frozen=True, slots=True, kw_only=True)
class Clustering:
    desk: Engines
    watch: ClusterWatch
    slurm: SlurmWatch
    backups: ClusterBackups

    async def stand_by(self) -> None:
        """Forever."""
        backups = self.backups.run(lambda: [one for one in self.watch.clusters().values() if not is_okd(one)])
        await asyncio.gather(self.watch.run(), self.slurm.run(), backups)


def clustering(ground: Ground, keys: ClusterKeys, looks: ClusterLooks) -> Clustering:
    supplies = Supplies(ground.sets, ground.lend)
    engine = Kubeadm(supplies.described, lambda: supplies.authority)
    around = Around(
        machine=ground.memory.world.machine,
        planes=lambda cluster: _members(ground.memory, cluster, NodeRole.CONTROL_PLANE),
        workers=lambda cluster: _members(ground.memory, cluster, NodeRole.WORKER),
        shells=ground.shells,
        user=ground.user,
        files=ground.files,
        connect=connect,
        lead=partial(_lead, ground.balancer),
        clock=ground.clock,
        rng=ground.rng,
    )
    hold = Hold(keys, around)
    backups = ClusterBackups(ground.backups, hold, engine.etcd_image, partial(_tell, ground.memory))
    made = ground.okd.made
    watch = ClusterWatch(ground.memory, keys, connect, looks, ground.domain, ground.clock, coming=made.specs)
    kubernetes = ClusterDesk(engine, supplies, hold, ClusterLife(engine, supplies, hold, backups))
    slurm = SlurmDesk(Slurm(supplies.described), supplies, partial(keys.numbered, rng=ground.rng), hold)
    okd = okd_desk(ground.okd, supplies, ground.sets.path_of, keys, ground.balancer, connect, ground.clock)
    okd.offer()
    return Clustering(
        desk=Engines(kubernetes, slurm, okd),
        slurm=SlurmWatch(ground.memory, slurm, ground.clock),
        watch=watch,
        backups=backups,
    )


def _tell(memory: Memory, cluster: ClusterName, text: str) -> None:
    memory.note(ClusterNoted(cluster=cluster, text=text, refused=False))


def _members(memory: Memory, cluster: ClusterSpec, role: NodeRole) -> Sequence[MachineName]:
    """The oldest first: of control planes, it has had all of the cluster's keys for longest."""
    found = {
        name: member.since
        for name, state in memory.world.machines.items()
        if (member := state.member) is not None
        if member.cluster.name == cluster.name and member.role is role
    }
    return sorted(found, key=lambda name: (found[name], name))


async def _lead(balancer: BalancerDesk | None, cluster: ClusterSpec, planes: Mapping[MachineName, IPv4Address]) -> None:
    """An endpoint that is not the balancer's is somebody else's to lead."""
    if balancer is None or balancer.address != cluster.endpoint:
        return
    if not planes:
        await balancer.want(cluster.name, ())
        return
    backends = tuple(Backend(name=name, address=address, port=API_PORT) for name, address in planes.items())
    listener = Listener(name=f"{cluster.name}-api", port=API_PORT, backends=backends, check=HttpsCheck())
    await balancer.want(cluster.name, (listener,))
