"""Brings installed machines into Slurm clusters, and out of them: jobs on the machines, questions to the controllers.

What a step has come to is asked of whoever knows: of the machine, whether its job is done; of the controller, what it
thinks of the node. Neither is believed about the other.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import assert_never

from appliance.conductor.decision import ClusterSight, Progress
from appliance.errors import ShellError, UnreachableError
from appliance.model.cluster import ClusterName
from appliance.model.ids import MachineName
from appliance.model.secret import Secret
from appliance.model.slurm import (
    ConfirmSlurm,
    DrainSlurm,
    JoinSlurm,
    LeaveSlurm,
    PrepareSlurm,
    ServeSlurm,
    SlurmAction,
    SlurmSpec,
)
from appliance.services.cluster_hold import Nodes, Said, Supplies, at_work, done, not_begun
from appliance.slurm import conf, engine, words
from appliance.slurm.engine import Slurm
from appliance.slurm.words import NodeWord


class SlurmDesk:
    """`key` is a cluster's of that number, which is made when it is asked for first."""

    def __init__(
        self, slurm: Slurm, supplies: Supplies, key: Callable[[ClusterName, int], Secret], machines: Nodes
    ) -> None:
        self._slurm, self._supplies, self._key, self._machines = slurm, supplies, key, machines

    async def look(self, machine: MachineName, do: SlurmAction) -> ClusterSight:
        match do:
            case PrepareSlurm():
                return await self._machines.job(machine, self._slurm.prepare(do))
            case ServeSlurm():
                return await self._served(machine, do)
            case JoinSlurm():
                return await self._joined(machine, do)
            case DrainSlurm():
                return await self._drained(machine, do)
            case LeaveSlurm():
                return await self._left(machine, do)
            case ConfirmSlurm():
                return await self._confirmed(machine, do)
            case _:
                assert_never(do)

    async def begin(self, machine: MachineName, do: SlurmAction) -> str:
        match do:
            case PrepareSlurm():
                await self._supplies.ready(do.home.set)
                return await self._machines.start(machine, self._slurm.prepare(do))
            case ServeSlurm():
                key = self._key(do.spec.home.name, do.spec.home.key)
                return await self._machines.start(machine, self._slurm.serve(do, machine, key))
            case JoinSlurm():
                key = self._key(do.home.name, do.home.key)
                return await self._machines.start(machine, self._slurm.join(do, machine, key))
            case DrainSlurm():
                await self._machines.feed(machine, engine.drain(do.node), Secret(""))
                return f"{do.node} gets no new jobs"
            case LeaveSlurm():
                return await self._machines.start(machine, self._slurm.leave(do, machine))
            case ConfirmSlurm():
                return "nothing has to be begun"
            case _:
                assert_never(do)

    async def _served(self, machine: MachineName, do: ServeSlurm) -> ClusterSight:
        sight = await self._machines.job(machine, self._slurm.served(do, machine))
        if sight.progress is not Progress.DONE:
            return sight
        if (await self._ask(machine, engine.ask_conf()))[:64] != digest(do.spec):
            return not_begun(f"somebody has changed {engine.CONF} on {machine}")
        if machine in words.silent(await self._ask(machine, engine.ask_controllers())):
            return at_work(f"slurmctld on {machine} does not answer yet")
        wanted = {node.name for node in do.spec.nodes}
        if (found := set(await self._nodes(machine))) != wanted:
            return at_work(f"it does not agree yet about {', '.join(sorted(found ^ wanted)[:8])}")
        return done("leads", {"nodes": str(len(found)), "slurm.conf": digest(do.spec)[:12]})

    async def _joined(self, machine: MachineName, do: JoinSlurm) -> ClusterSight:
        sight = await self._machines.job(machine, self._slurm.joined(do, machine))
        if sight.progress is not Progress.DONE:
            return sight
        node = (await self._nodes(do.home.primary.name)).get(machine)
        if node is None:
            return at_work(f"{do.home.primary.name} has no node {machine}")
        if why := node.lacks or _strange(node, str(self._machines.address(machine)), do.home.set.version):
            return at_work(why)
        return done("joined", {"node": node.name, "version": node.version, "address": node.address})

    async def _drained(self, machine: MachineName, do: DrainSlurm) -> ClusterSight:
        node = (await self._nodes(machine)).get(do.node)
        if node is None:
            return done("drained", {do.node: "not in the cluster"})
        if node.drained:
            return done("drained", {do.node: " ".join(sorted(node.states)).lower()})
        if "DRAIN" in node.states:
            return at_work(f"jobs run on {do.node} still")
        return not_begun(f"{do.node} takes jobs")

    async def _left(self, machine: MachineName, do: LeaveSlurm) -> ClusterSight:
        sight = await self._machines.job(machine, self._slurm.left(do, machine))
        if sight.progress is not Progress.DONE:
            return sight
        if left := await self._ask(machine, engine.ask_left()):
            return not_begun(f"{machine} has something of {do.home.name} again: {left[:120]}")
        return done("left", {"key": "gone", "daemons": "none"})

    async def _confirmed(self, machine: MachineName, do: ConfirmSlurm) -> ClusterSight:
        if silent := words.silent(await self._ask(machine, engine.ask_controllers())):
            return at_work(f"no answer of slurmctld on {', '.join(silent)}")
        nodes = await self._nodes(machine)
        wanted = [node.name for node in do.spec.nodes if node.name not in do.without]
        if lacks := [why for name in wanted if (why := _lacks(nodes.get(name), name))]:
            return at_work("; ".join(lacks[:8]))
        idle = [name for name in wanted if nodes[name].idle]
        answered = dict[str, str]()
        for partition in do.spec.partitions:
            if tried := [name for name in partition.nodes if name in idle]:
                text = await self._ask(machine, engine.try_nodes(do.spec.home, partition.name, tried))
                answered |= words.answers(text)
        return _judged(do, idle, wanted, answered)

    async def differences(self, spec: SlurmSpec) -> tuple[str, ...]:
        """What is not as it was left, a sentence each. Raises `InnervateError` where its first controller is silent."""
        primary, wanted = spec.home.primary.name, digest(spec)
        found = []
        if (await self._ask(primary, engine.ask_conf()))[:64] != wanted:
            found.append(f"somebody has changed {engine.CONF} on {primary}")
        nodes = await self._nodes(primary)
        for node in spec.nodes:
            if why := _lacks(nodes.get(node.name), node.name):
                found.append(why)
            elif await self._has_other_conf(node.name, wanted):
                found.append(f"{node.name} has another slurm.conf than the cluster")
        return tuple(found)

    async def _has_other_conf(self, machine: MachineName, wanted: str) -> bool:
        try:
            return (await self._ask(machine, engine.ask_node_conf()))[:64] != wanted
        except UnreachableError:
            return False  # Slurm says that it is well; who cannot be entered shows elsewhere

    async def _nodes(self, controller: MachineName) -> dict[str, NodeWord]:
        return dict(words.nodes(await self._ask(controller, engine.ask_nodes())))

    async def _ask(self, machine: MachineName, argv: tuple[str, ...]) -> str:
        """Raises `UnreachableError` where the machine answers and Slurm does not: it may do so later."""
        said = Said()
        try:
            await self._machines.pull(machine, argv, said)
        except ShellError as error:
            raise UnreachableError(
                f"Slurm does not answer on {machine}: {said.text[:100].strip() or argv[0]}",
                evidence=str(error)[:200],
                next_action=f"look: innervate ssh {machine} journalctl -u slurmctld -u munge",
            ) from error
        return said.text


def digest(spec: SlurmSpec) -> str:
    """SHA-256 of its slurm.conf."""
    return sha256(conf.slurm_conf(spec).encode()).hexdigest()


def _lacks(node: NodeWord | None, name: str) -> str:
    return f"{name} is not in the cluster" if node is None else node.lacks


def _strange(node: NodeWord, address: str, version: str) -> str:
    if node.address != address:
        return f"the cluster has {node.name} at {node.address}, we at {address}"
    if node.version != version.partition("-")[0]:
        return f"{node.name} runs {node.version or 'no version yet'}"
    return ""


def _judged(do: ConfirmSlurm, idle: list[MachineName], wanted: list[MachineName], said: dict[str, str]) -> ClusterSight:
    if quiet := [name for name in idle if name not in said]:
        return at_work(f"no job answered from {', '.join(quiet[:8])}")
    if odd := [name for name in idle if said[name] != digest(do.spec)]:
        return at_work(f"another slurm.conf than the cluster's is on {', '.join(odd[:8])}")
    evidence = {"answered": ", ".join(idle) or "none", "slurm.conf": digest(do.spec)[:12]}
    if busy := [name for name in wanted if name not in idle]:
        evidence["busy"] = ", ".join(busy)
    return done("every node works", evidence)
