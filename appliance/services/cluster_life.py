"""What becomes of a cluster after it was formed: nodes leave, are upgraded, and what it knows is kept and brought back.

Whoever leaves is asked to; where it cannot answer, the others do without it.
"""

from contextlib import suppress
from ipaddress import IPv4Address
from typing import assert_never

from appliance.conductor.decision import ClusterSight, Progress
from appliance.errors import UnreachableError
from appliance.kubernetes import etcd
from appliance.kubernetes.drain import Refusal, to_move, waits
from appliance.kubernetes.etcd import EtcdMember
from appliance.kubernetes.objects import Node
from appliance.model.cluster import (
    BackUpCluster,
    ClusterSpec,
    DrainNode,
    EndCluster,
    Living,
    RemoveNode,
    ResetNode,
    RestoreCluster,
    UpgradeNode,
)
from appliance.model.ids import MachineName
from appliance.model.secret import Secret
from appliance.services.cluster_backups import ClusterBackups
from appliance.services.cluster_hold import EngineOf, Hold, Supplies, at_work, close, done, failed, not_begun, url_of
from appliance.store.records import Problem

_TAKE_BACKUP = ("sh", "-c", f"umask 077; mkdir -p {etcd.WORK}; cat >{etcd.BACKUP}")


class ClusterLife:
    def __init__(self, engine: EngineOf, supplies: Supplies, hold: Hold, backups: ClusterBackups) -> None:
        self._engine, self._supplies, self._hold, self._backups = engine, supplies, hold, backups

    async def look(self, machine: MachineName, do: Living) -> ClusterSight:
        engine = self._engine(do.cluster)
        match do:
            case DrainNode():
                return await self._drained(do)
            case ResetNode():
                return await self._hold.job(machine, engine.was_reset(do, machine))
            case RemoveNode():
                return await self._removed(do)
            case EndCluster():
                return self._ended(do.cluster)
            case BackUpCluster():
                return self._backed_up(do.cluster)
            case RestoreCluster():
                return await self._restored(machine, do)
            case UpgradeNode():
                return await self._upgraded(machine, do)
            case _:
                assert_never(do)

    async def begin(self, machine: MachineName, do: Living) -> str:
        engine = self._engine(do.cluster)
        match do:
            case DrainNode():
                async with self._hold.open(do.cluster) as api:
                    await api.schedule(do.node, wanted=False)
                return "cordoned"
            case ResetNode():
                return await self._hold.start(machine, engine.reset(do, machine))
            case RemoveNode():
                return await self._remove(do)
            case EndCluster():
                await self._hold.lead(do.cluster, ())
                self._hold.keys.forget(do.cluster.name)  # last: a look judges by it
                return "forgotten"
            case BackUpCluster():
                return self._backups.begin(do.cluster)
            case RestoreCluster():
                return await self._restore(machine, do)
            case UpgradeNode():
                await self._supplies.ready(do.cluster.set)
                return await self._hold.start(machine, engine.upgrade(do, machine, self._hold.address(machine)))
            case _:
                assert_never(do)

    async def _drained(self, do: DrainNode) -> ClusterSight:
        """What was refused once is asked for again: budgets are met again as soon as enough runs elsewhere."""
        async with self._hold.open(do.cluster) as api:
            node = _named(await api.nodes(), do.node)
            if node is None or not node.ready:
                why = node.why if node is not None else "the cluster does not list it"
                return done("nothing to drain", {"node": do.node, "nothing could be moved": why})
            if node.schedulable:
                return not_begun(f"{do.node} takes pods")
            pods = to_move(await api.pods_on(do.node))
            if not pods:
                return done("drained", {"node": do.node})
            asked = [(pod, await api.evict(pod)) for pod in pods if not pod.leaving]
        return at_work(waits(pods, [Refusal(pod=pod, why=why) for pod, why in asked if why]))

    async def _removed(self, do: RemoveNode) -> ClusterSight:
        async with self._hold.open(do.cluster) as api:
            if _named(await api.nodes(), do.node) is not None:
                return not_begun(f"the cluster lists {do.node}")
        if await self._member(do) is not None:
            return not_begun(f"etcd lists {do.node}")
        self._hold.keys.revoke(do.cluster.name, do.node)
        return done("removed", {"cluster": do.cluster.name, "lists no more": do.node})

    async def _remove(self, do: RemoveNode) -> str:
        """Out of etcd first: as long as it is counted there, whoever is left may be too few."""
        await self._hold.lead(do.cluster, [name for name in self._hold.around.planes(do.cluster) if name != do.node])
        if (member := await self._member(do)) is not None:
            argv = self._engine(do.cluster).remove(do.cluster, member)
            await self._hold.ask_planes(do.cluster, do.node, argv)
        async with self._hold.open(do.cluster) as api:
            await api.remove_node(do.node)
        return "removed"

    async def _member(self, do: RemoveNode) -> EtcdMember | None:
        if not (argv := self._engine(do.cluster).members(do.cluster)):
            return None
        _, text = await self._hold.ask_planes(do.cluster, do.node, argv)
        return next((member for member in etcd.read_members(text) if member.name == do.node), None)

    def _ended(self, cluster: ClusterSpec) -> ClusterSight:
        if self._hold.keys.access(cluster.name) is not None:
            return not_begun(f"the appliance has access to {cluster.name}")
        return done("ended", {"cluster": cluster.name, "access": "none", "backups kept": self._backups.count(cluster)})

    def _backed_up(self, cluster: ClusterSpec) -> ClusterSight:
        if (taken := self._backups.taken(cluster.name)) is not None:
            return done("backed up", taken.evidence())
        if (problem := self._backups.problem(cluster.name)) is not None:
            return failed(problem)
        return at_work("taking a backup") if self._backups.busy(cluster.name) else not_begun("none is being taken")

    async def _restored(self, machine: MachineName, do: RestoreCluster) -> ClusterSight:
        sight = await self._hold.job(machine, self._engine(do.cluster).restored(do, machine))
        if sight.progress is not Progress.DONE:
            return sight
        async with self._hold.open(do.cluster) as api:
            if lacks := await api.ready():
                return at_work(f"its API is not ready yet: {lacks}")
            await close(api)
            for node in await api.nodes():
                if node.control_plane and node.name != machine:
                    await api.remove_node(node.name)
        # They remember a newer state than the cluster does, and would wait for changes that never come.
        for worker in self._hold.around.workers(do.cluster):
            with suppress(UnreachableError):  # who is off starts anew in any case
                await self._hold.feed(worker, self._engine(do.cluster).restart, Secret(""))
        return done("restored", {"API": url_of(do.cluster), "backup": do.backup})

    async def _restore(self, machine: MachineName, do: RestoreCluster) -> str:
        await self._supplies.ready(do.cluster.set)
        await self._hold.lead(do.cluster, (machine,))
        with self._backups.open(do.cluster.name, do.backup) as source:
            await self._hold.push(machine, _TAKE_BACKUP, source)
        return await self._hold.start(
            machine, self._engine(do.cluster).restore(do, machine, self._hold.address(machine))
        )

    async def _upgraded(self, machine: MachineName, do: UpgradeNode) -> ClusterSight:
        sight = await self._hold.job(machine, self._engine(do.cluster).upgraded(do, machine))
        if sight.progress is not Progress.DONE:
            return sight
        async with self._hold.open(do.cluster) as api:
            node = _named(await api.nodes(), machine)
            if node is None:
                return failed(_lost(machine, do.cluster, self._hold.address(machine)))
            if node.version != do.cluster.set.version or not node.ready:
                return at_work(f"{machine} runs {node.version}{': ' + node.why if node.why else ''}")
            if not node.schedulable:
                await api.schedule(machine, wanted=True)
        if do.leads:
            await self._hold.take_access(machine, do.cluster, self._engine(do.cluster).kubeconfig)
        return done("upgraded", {"node": machine, "version": node.version})


def _named(nodes: tuple[Node, ...], name: str) -> Node | None:
    return next((node for node in nodes if node.name == name), None)


def _lost(machine: MachineName, cluster: ClusterSpec, address: IPv4Address) -> Problem:
    return Problem(
        code="cluster",
        message=f"{machine} was upgraded, and {cluster.name} does not list it any more",
        evidence=f"it answers at {address}",
        next_action="find out who removed it; then take it out and have it join again",
    )
