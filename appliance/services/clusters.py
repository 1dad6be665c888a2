"""Brings installed machines into clusters: jobs on the nodes, questions to the cluster's own API.

What a step has come to is asked of whoever knows: of the node, whether its job is done; of the cluster, whether it has
the node. Neither is believed about the other.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Protocol, TypeAlias, assert_never

from appliance.conductor.decision import ClusterSight, Progress
from appliance.conductor.machine import MachineState
from appliance.errors import ClusterError, UnreachableError
from appliance.kubernetes.api import Kubernetes
from appliance.kubernetes.cluster import Ticket
from appliance.kubernetes.engine import KUBECONFIG, SHARE_KEYS, Kubeadm
from appliance.kubernetes.objects import Access, Node
from appliance.kubernetes.objects import access as access_of
from appliance.kubernetes.tokens import fresh
from appliance.model.cluster import (
    API_PORT,
    ClusterAction,
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
from appliance.nodes import job as jobs
from appliance.nodes.job import Job, State
from appliance.ports import Clock, Rng
from appliance.services.cluster_keys import ClusterKeys
from appliance.store.records import Problem

_AUTO_APPROVAL = "kubeadm:node-autoapprove-bootstrap"
"""kubeadm's own rule that whoever has a join token gets any node's certificate."""


Opened: TypeAlias = AbstractAsyncContextManager[Kubernetes]
"""A conversation with a cluster's API."""


class Supplies(Protocol):
    async def ready(self, ref: SetRef) -> None:
        """Everything of the set is there, and nodes can get it. Raises `InnervateError`."""
        ...


class NodeShells(Protocol):
    def feed(
        self, address: IPv4Address, user: str, host_keys: tuple[str, ...], argv: tuple[str, ...], fed: Secret
    ) -> str:
        """Raises `UnreachableError`, `ShellError`. May block."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """`machine` is what is known of one now, `planes` are the control planes that are members already, the oldest
    first. `files` is the URL below which nodes find files by their SHA-256. `lead` has the cluster's endpoint lead to
    these."""

    machine: Callable[[MachineName], MachineState]
    planes: Callable[[ClusterSpec], Sequence[MachineName]]
    shells: NodeShells
    user: str
    files: str
    connect: Callable[[str, Access], Opened]
    lead: Callable[[ClusterSpec, Mapping[MachineName, IPv4Address]], Awaitable[None]]
    clock: Clock
    rng: Rng


class ClusterDesk:
    def __init__(self, engine: Kubeadm, supplies: Supplies, keys: ClusterKeys, around: Around) -> None:
        self._engine, self._supplies, self._keys, self._around = engine, supplies, keys, around

    async def look(self, machine: MachineName, do: ClusterAction) -> ClusterSight:
        match do:
            case PrepareNode():
                return await self._job(machine, self._engine.prepare(do))
            case FoundCluster():
                return await self._founded(machine, do)
            case JoinCluster():
                return await self._joined(machine, do)
            case ConfirmCluster():
                return await self._confirmed(do)
            case _:
                assert_never(do)

    async def begin(self, machine: MachineName, do: ClusterAction) -> str:
        match do:
            case PrepareNode():
                await self._supplies.ready(do.cluster.set)
                return await self._start(machine, self._engine.prepare(do))
            case FoundCluster():
                await self._lead(do.cluster, machine)
                return await self._start(machine, self._engine.found(do, machine, self._address(machine)))
            case JoinCluster():
                if do.role is NodeRole.CONTROL_PLANE:
                    await self._lead(do.cluster, machine)
                ticket, address = await self._ticket(machine, do), self._address(machine)
                return await self._start(machine, self._engine.join(do, machine, address, ticket))
            case ConfirmCluster():
                return "nothing has to be begun"
            case _:
                assert_never(do)

    async def _founded(self, machine: MachineName, do: FoundCluster) -> ClusterSight:
        sight = await self._job(machine, self._engine.founded(do, machine))
        if sight.progress is not Progress.DONE:
            return sight
        if self._keys.access(do.cluster.name) is None:
            text = await self._feed(machine, KUBECONFIG, Secret(""))
            self._keys.keep(do.cluster.name, access_of(_json(text)))
        async with self._open(do.cluster) as api:
            await api.unbind(_AUTO_APPROVAL)
            await api.take_all_tokens()  # nobody was given one yet; kubeadm makes one for whoever reads its output
            if lacks := await api.ready():
                return _at_work(f"its API is not ready yet: {lacks}")
        return _done("founded", {"API": url_of(do.cluster), "version": do.cluster.set.version})

    async def _joined(self, machine: MachineName, do: JoinCluster) -> ClusterSight:
        sight = await self._job(machine, self._engine.joined(do, machine))
        if sight.progress is not Progress.DONE:
            return sight
        address = self._address(machine)
        async with self._open(do.cluster) as api:
            node = {node.name: node for node in await api.nodes()}.get(machine)
            if node is None:
                return _at_work("joined by its own word; the cluster does not list it yet")
            if address not in node.addresses:
                return _failed(_stranger(node, address))
            issued = self._keys.issued(do.cluster.name, self._around.clock.now()).get(machine)
            if issued is not None:
                await api.take_token(issued.id)
        self._keys.revoke(do.cluster.name, machine)
        evidence = {"node": node.name, "version": node.version, "address": str(address)}
        return _done("joined", evidence)

    async def _confirmed(self, do: ConfirmCluster) -> ClusterSight:
        async with self._open(do.cluster) as api:
            if lacks := await api.ready():
                return _at_work(f"the API at {url_of(do.cluster)} is not ready: {lacks}")
            nodes = {node.name: node for node in await api.nodes()}
        if waits := [why for name in do.nodes if (why := _lacks(nodes.get(name), name, do.cluster))]:
            return _at_work("; ".join(waits))
        ready = ", ".join(f"{name} {nodes[name].version}" for name in do.nodes)
        return _done("ready", {"API": url_of(do.cluster), "ready nodes": ready})

    async def _ticket(self, machine: MachineName, do: JoinCluster) -> Ticket:
        now, name, access = self._around.clock.now(), do.cluster.name, self._access(do.cluster)
        keys = await self._shared_keys(do.cluster) if do.role is NodeRole.CONTROL_PLANE else None
        token = fresh(machine, self._around.rng, now)
        self._keys.issue(name, token, now)
        async with self._open(do.cluster) as api:
            await api.give_token(token)
        return Ticket(token=token.text, authority=access.ca, certificate_key=keys)

    async def _lead(self, cluster: ClusterSpec, machine: MachineName) -> None:
        """Before it is one: kubeadm looks at the endpoint while it works, and who is not ready is asked nothing."""
        names = (*self._around.planes(cluster), machine)
        await self._around.lead(cluster, {name: self._address(name) for name in names})

    async def _shared_keys(self, cluster: ClusterSpec) -> Secret:
        if not (planes := self._around.planes(cluster)):
            raise ClusterError(f"{cluster.name} has no control plane that could share the cluster's keys")
        text = await self._feed(planes[0], SHARE_KEYS, Secret(""))
        return Secret(text.split()[-1] if text.split() else "")

    async def _job(self, machine: MachineName, job: Job) -> ClusterSight:
        seen = jobs.read(await self._feed(machine, jobs.look(job), Secret("")))
        if seen.mark == job.mark:
            return _done(job.name, {job.name: job.mark[:12]})
        match seen.state:
            case State.AT_WORK:
                return _at_work(seen.word or "it has begun")
            case State.FAILED:
                return _failed(_broken(machine, seen.word, seen.log))
            case State.NONE:
                return ClusterSight(progress=Progress.NOT_BEGUN, words=f"beginning: {job.name}")
            case _:
                assert_never(seen.state)

    async def _start(self, machine: MachineName, job: Job) -> str:
        return (await self._feed(machine, jobs.begin(job), jobs.script(job, self._around.files))).strip()[:60]

    async def _feed(self, machine: MachineName, argv: tuple[str, ...], text: Secret) -> str:
        state = self._around.machine(machine)
        if state.installed is None:
            raise ClusterError(f"nothing is installed on {machine}", next_action="plan again")
        address, user, keys = self._address(machine), self._around.user, state.installed.host_keys
        return await asyncio.to_thread(self._around.shells.feed, address, user, keys, argv, text)

    def _address(self, machine: MachineName) -> IPv4Address:
        if (address := self._around.machine(machine).reached_at) is None:
            raise UnreachableError(f"no address of {machine} is known", next_action="wait; then read its console")
        return address

    def _access(self, cluster: ClusterSpec) -> Access:
        if (access := self._keys.access(cluster.name)) is None:
            raise ClusterError(
                f"the appliance has no access to the cluster {cluster.name}",
                evidence="its founding was never seen to its end",
                next_action="plan again: the cluster has to be founded first",
            )
        return access

    def _open(self, cluster: ClusterSpec) -> Opened:
        return self._around.connect(url_of(cluster), self._access(cluster))


def url_of(cluster: ClusterSpec) -> str:
    return f"https://{cluster.endpoint}:{API_PORT}"


def _done(words: str, evidence: Mapping[str, str]) -> ClusterSight:
    return ClusterSight(progress=Progress.DONE, words=words, evidence=evidence)


def _at_work(words: str) -> ClusterSight:
    return ClusterSight(progress=Progress.AT_WORK, words=words)


def _failed(problem: Problem) -> ClusterSight:
    return ClusterSight(progress=Progress.FAILED, words=problem.message, problem=problem)


def _lacks(node: Node | None, name: str, cluster: ClusterSpec) -> str:
    if node is None:
        return f"{name} is not in the cluster"
    if not node.ready:
        return f"{name} is not ready: {node.why}"
    if node.version != cluster.set.version:
        return f"{name} runs {node.version}"
    return ""


def _json(text: str) -> object:
    try:
        value: object = json.loads(text)
    except ValueError as error:
        raise ClusterError("the cluster's kubeconfig is no JSON", evidence=str(error)[:100]) from error
    return value


def _broken(machine: MachineName, word: str, log: str) -> Problem:
    return Problem(
        code="cluster",
        message=f"{machine} could not: {word or 'it does not say what'}",
        evidence=log or "it printed nothing",
        next_action=f"read all of it: innervate ssh {machine} journalctl -u 'innervate-*'; then plan again",
    )


def _stranger(node: Node, address: IPv4Address) -> Problem:
    return Problem(
        code="cluster",
        message=f"the cluster's {node.name} is not the machine of that name",
        evidence=f"the cluster has it at {', '.join(map(str, node.addresses)) or 'no address'}, we at {address}",
        next_action="find out which machine joined under this name, and take it out of the cluster",
    )
