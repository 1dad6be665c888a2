"""Clusters as the daemon wires them: the conductor's hands for their steps, and who stands by them afterwards."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

from appliance.conductor.memory import Memory
from appliance.errors import ClusterError
from appliance.hosting import web
from appliance.kubernetes.api import Api, Kubernetes
from appliance.kubernetes.engine import Kubeadm
from appliance.kubernetes.flavour import K3S, RKE2
from appliance.kubernetes.objects import Access
from appliance.kubernetes.protocol import NodeEngine
from appliance.kubernetes.rancher import Rancher
from appliance.model.balancer import Backend, Listener
from appliance.model.cluster import API_PORT, ClusterName, ClusterSpec, NodeRole
from appliance.model.ids import MachineName
from appliance.model.secret import Secret
from appliance.model.switch import Switch
from appliance.ports import Clock, Rng
from appliance.services.app_looks import AppLooks
from appliance.services.app_watch import AppWatch
from appliance.services.app_work import AppWork
from appliance.services.apps import AppDesk
from appliance.services.balancer import BalancerDesk
from appliance.services.cluster_backups import ClusterBackups
from appliance.services.cluster_hold import Around, EngineOf, Hold, NodeShells
from appliance.services.cluster_keys import ClusterKeys
from appliance.services.cluster_life import ClusterLife
from appliance.services.cluster_looks import ClusterLooks
from appliance.services.cluster_watch import ClusterWatch
from appliance.services.clusters import ClusterDesk
from appliance.services.engines import Engines
from appliance.services.host_watch import HostWatch
from appliance.services.host_work import HostWork
from appliance.services.hosts import HostDesk
from appliance.services.okd import OkdSite, is_okd, okd_desk
from appliance.services.ports import PortDesk, SwitchShells
from appliance.services.sets import SetDesk
from appliance.services.slurm import SlurmDesk
from appliance.services.slurm_watch import SlurmWatch
from appliance.services.supplies import Supplies
from appliance.slurm.engine import Slurm
from appliance.store.cluster_backups import BackupShelf
from appliance.store.records import ClusterNoted
from images.engine import Engine


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
    `backups` are those of clusters. `switches` are the topology's, by name."""

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
    switches: Mapping[str, Switch]
    switch_shells: SwitchShells
    clock: Clock
    rng: Rng


@dataclass(frozen=True, slots=True, kw_only=True)
class Clustering:
    desk: Engines
    watch: ClusterWatch
    slurm: SlurmWatch
    backups: ClusterBackups
    apps: AppWatch
    hosts: HostWatch

    async def stand_by(self) -> None:
        """Forever."""
        await asyncio.gather(
            self.watch.run(),
            self.slurm.run(),
            self.backups.run(lambda: [one for one in self.watch.clusters().values() if not is_okd(one)]),
            self.apps.run(self.watch.clusters),
            self.hosts.run(),
        )


def clustering(ground: Ground, keys: ClusterKeys, looks: ClusterLooks, apps: AppLooks[ClusterName]) -> Clustering:
    supplies = Supplies(ground.sets, ground.lend)
    engine = _engine_of(supplies, partial(keys.numbered, rng=ground.rng))
    around = Around(
        machine=ground.memory.world.machine,
        planes=lambda cluster: _members(ground.memory, cluster, NodeRole.CONTROL_PLANE),
        workers=lambda cluster: _members(ground.memory, cluster, NodeRole.WORKER),
        shells=ground.shells,
        user=ground.user,
        files=ground.files,
        connect=connect,
        lead=partial(_lead, ground.balancer, engine),
        clock=ground.clock,
        rng=ground.rng,
    )
    hold = Hold(keys, around)
    backups = ClusterBackups(ground.backups, hold, engine, partial(_tell, ground.memory))
    made = ground.okd.made
    watch = ClusterWatch(ground.memory, keys, connect, looks, ground.domain, ground.clock, coming=made.specs)
    kubernetes = ClusterDesk(engine, supplies, hold, ClusterLife(engine, supplies, hold, backups))
    work, hosted = AppWork(supplies, ground.balancer), HostWork(supplies, hold, web.page)
    slurm = SlurmDesk(Slurm(supplies.described), supplies, partial(keys.numbered, rng=ground.rng), hold)
    okd = okd_desk(ground.okd, supplies, ground.sets.path_of, keys, ground.balancer, connect, ground.clock)
    okd.offer()
    return Clustering(
        desk=Engines(
            kubernetes,
            slurm,
            okd,
            AppDesk(work, hold),
            HostDesk(hosted),
            PortDesk(ground.switches, ground.switch_shells, hold, ground.clock),
        ),
        apps=AppWatch(ground.memory, work, hold, apps, ground.clock),
        hosts=HostWatch(ground.memory, hosted, ground.clock),
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


async def _lead(
    balancer: BalancerDesk | None, engine: EngineOf, cluster: ClusterSpec, planes: Mapping[MachineName, IPv4Address]
) -> None:
    """An endpoint that is not the balancer's is somebody else's to lead."""
    if balancer is None or balancer.address != cluster.endpoint:
        return
    if not planes:
        await balancer.forget(cluster.name)
        return
    listeners = tuple(
        Listener(
            name=f"{cluster.name}-{'api' if port == API_PORT else 'join'}",
            port=port,
            backends=tuple(Backend(name=name, address=address, port=port) for name, address in planes.items()),
            check=check,
        )
        for port, check in engine(cluster).ports.items()
    )
    await balancer.want(cluster.name, listeners)


def _engine_of(supplies: Supplies, secret: Callable[[ClusterName, int], Secret]) -> EngineOf:
    described, authority = supplies.described, lambda: supplies.authority
    engines: Mapping[Engine, NodeEngine] = {
        Engine.KUBEADM: Kubeadm(described, authority),
        Engine.K3S: Rancher(K3S, described, authority, secret),
        Engine.RKE2: Rancher(RKE2, described, authority, secret),
    }

    def engine_of(cluster: ClusterSpec) -> NodeEngine:
        if (found := engines.get(cluster.set.engine)) is None:
            raise ClusterError(
                f"{cluster.name}: nobody here makes clusters of {cluster.set.engine}",
                next_action=f"name a set of {', '.join(engines)}",
            )
        return found

    return engine_of
