"""Brings installed machines into clusters: jobs on the nodes, questions to the cluster's own API.

What a step has come to is asked of whoever knows: of the node, whether its job is done; of the cluster, whether it has
the node. Neither is believed about the other.
"""

from ipaddress import IPv4Address
from typing import assert_never

from appliance.conductor.decision import ClusterSight, Progress
from appliance.kubernetes.cluster import Ticket
from appliance.kubernetes.objects import Node
from appliance.kubernetes.tokens import fresh
from appliance.model.cluster import (
    ClusterAction,
    ClusterSpec,
    ConfirmCluster,
    Forming,
    FoundCluster,
    JoinCluster,
    NodeRole,
    PrepareNode,
    ShareEndpoint,
)
from appliance.model.ids import MachineName
from appliance.model.secret import Secret
from appliance.services.cluster_hold import EngineOf, Hold, Supplies, at_work, close, done, failed, url_of
from appliance.services.cluster_life import ClusterLife
from appliance.store.records import Problem

_SHOWN = 5


class ClusterDesk:
    def __init__(self, engine: EngineOf, supplies: Supplies, hold: Hold, life: ClusterLife) -> None:
        self._engine, self._supplies, self._hold, self._life = engine, supplies, hold, life

    async def look(self, machine: MachineName, do: ClusterAction) -> ClusterSight:
        if not isinstance(do, Forming):
            return await self._life.look(machine, do)
        engine = self._engine(do.cluster)
        match do:
            case PrepareNode():
                return await self._hold.job(machine, engine.prepare(do))
            case FoundCluster():
                return await self._founded(machine, do)
            case JoinCluster():
                return await self._joined(machine, do)
            case ShareEndpoint():
                return await self._hold.job(machine, engine.shared(do, machine))
            case ConfirmCluster():
                return await self._confirmed(do)
            case _:
                assert_never(do)

    async def begin(self, machine: MachineName, do: ClusterAction) -> str:
        if not isinstance(do, Forming):
            return await self._life.begin(machine, do)
        engine = self._engine(do.cluster)
        match do:
            case PrepareNode():
                await self._supplies.ready(do.cluster.set)
                return await self._hold.start(machine, engine.prepare(do))
            case FoundCluster():
                await self._lead(do.cluster, machine)
                return await self._hold.start(machine, engine.found(do, machine, self._hold.address(machine)))
            case JoinCluster():
                if do.role is NodeRole.CONTROL_PLANE:
                    await self._lead(do.cluster, machine)
                ticket, address = await self._ticket(machine, do), self._hold.address(machine)
                return await self._hold.start(machine, engine.join(do, machine, address, ticket))
            case ShareEndpoint():
                planes = {name: self._hold.address(name) for name in do.planes}
                return await self._hold.start(machine, engine.share(do, machine, planes))
            case ConfirmCluster():
                return "nothing has to be begun"
            case _:
                assert_never(do)

    async def _founded(self, machine: MachineName, do: FoundCluster) -> ClusterSight:
        sight = await self._hold.job(machine, self._engine(do.cluster).founded(do, machine))
        if sight.progress is not Progress.DONE:
            return sight
        if self._hold.keys.access(do.cluster.name) is None:
            await self._hold.take_access(machine, do.cluster, self._engine(do.cluster).kubeconfig)
        async with self._hold.open(do.cluster) as api:
            await close(api)
            if lacks := await api.ready():
                return at_work(f"its API is not ready yet: {lacks}")
        return done("founded", {"API": url_of(do.cluster), "version": do.cluster.set.version})

    async def _joined(self, machine: MachineName, do: JoinCluster) -> ClusterSight:
        sight = await self._hold.job(machine, self._engine(do.cluster).joined(do, machine))
        if sight.progress is not Progress.DONE:
            return sight
        address = self._hold.address(machine)
        async with self._hold.open(do.cluster) as api:
            node = {node.name: node for node in await api.nodes()}.get(machine)
            if node is None:
                return at_work("joined by its own word; the cluster does not list it yet")
            if address not in node.addresses:
                return failed(_stranger(node, address))
            issued = self._hold.keys.issued(do.cluster.name, self._hold.around.clock.now()).get(machine)
            if issued is not None:
                await api.take_token(issued.id)
        self._hold.keys.revoke(do.cluster.name, machine)
        evidence = {"node": node.name, "version": node.version, "address": str(address)}
        return done("joined", evidence)

    async def _confirmed(self, do: ConfirmCluster) -> ClusterSight:
        async with self._hold.open(do.cluster) as api:
            if lacks := await api.ready():
                return at_work(f"the API at {url_of(do.cluster)} is not ready: {lacks}")
            nodes = {node.name: node for node in await api.nodes()}
            pods = await api.unready("kube-system", do.nodes)  # of a dead node that is to leave none will ever be
        if waits := [why for name in do.nodes if (why := _lacks(nodes.get(name), name, do.cluster))]:
            return at_work("; ".join(waits))
        if pods:
            return at_work(f"{len(pods)} of its own pods are not ready: {'; '.join(pods[:_SHOWN])}")
        ready = ", ".join(f"{name} {nodes[name].version}" for name in do.nodes)
        return done("ready", {"API": url_of(do.cluster), "ready nodes": ready})

    async def _ticket(self, machine: MachineName, do: JoinCluster) -> Ticket:
        now, name, access = self._hold.around.clock.now(), do.cluster.name, self._hold.access(do.cluster)
        argv = self._engine(do.cluster).shared_keys(do.role)
        keys = await self._shared_keys(do.cluster, argv) if argv else None
        token = fresh(machine, self._hold.around.rng, now)
        self._hold.keys.issue(name, token, now)
        async with self._hold.open(do.cluster) as api:
            await api.give_token(token)
        return Ticket(token=token.text, authority=access.ca, certificate_key=keys)

    async def _lead(self, cluster: ClusterSpec, machine: MachineName) -> None:
        """Before it is one: kubeadm looks at the endpoint while it works, and who is not ready is asked nothing."""
        await self._hold.lead(cluster, (*self._hold.around.planes(cluster), machine))

    async def _shared_keys(self, cluster: ClusterSpec, argv: tuple[str, ...]) -> Secret:
        _, text = await self._hold.ask_planes(cluster, None, argv)
        return Secret(text.split()[-1] if text.split() else "")


def _lacks(node: Node | None, name: str, cluster: ClusterSpec) -> str:
    if node is None:
        return f"{name} is not in the cluster"
    if not node.ready:
        return f"{name} is not ready: {node.why}"
    if node.version != cluster.set.version:
        return f"{name} runs {node.version}"
    return ""


def _stranger(node: Node, address: IPv4Address) -> Problem:
    return Problem(
        code="cluster",
        message=f"the cluster's {node.name} is not the machine of that name",
        evidence=f"the cluster has it at {', '.join(map(str, node.addresses)) or 'no address'}, we at {address}",
        next_action="find out which machine joined under this name, and take it out of the cluster",
    )
