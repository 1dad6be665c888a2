"""SlurmCluster: machines that were installed become one Slurm cluster, and stay what the site program says of it.

Machines that are not installed yet, or not any more, are no part of its configuration until they are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from appliance.capabilities import BareMachines, ContainerRegistry, NameService, Shell
from appliance.errors import PlanError
from appliance.inventory.model import Inventory, MachineRecord
from appliance.model.cluster import ClusterName
from appliance.model.ids import StepId
from appliance.model.slurm import (
    ConfirmSlurm,
    DrainSlurm,
    JoinSlurm,
    LeaveSlurm,
    PrepareSlurm,
    ServeSlurm,
    SlurmHome,
    SlurmHost,
    SlurmNode,
    SlurmPartition,
    SlurmRole,
    SlurmSpec,
)
from appliance.plan import Deferred, Plan, Step
from appliance.scores.cluster_life import check_unhosted, chosen, is_gone, of_engine, taken
from appliance.scores.score import step_of
from appliance.slurm.hardware import node_of
from images.engine import Engine

NAME = "slurm"
STATE = "/var/lib/slurm/slurmctld"
_PREPARE_SECONDS, _SERVE_SECONDS, _JOIN_SECONDS = 1800.0, 600.0, 900.0
_LEAVE_SECONDS, _CONFIRM_SECONDS, _HOUR = 600.0, 900.0, 3600.0


class SlurmNeeds(BareMachines, NameService, ContainerRegistry, Shell, Protocol): ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """`nodes` is a role of the topology, or workers by name; None for all. `hours` is the longest that a job may take,
    None without limit."""

    name: str
    nodes: str | tuple[str, ...] | None = None
    default: bool = False
    hours: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmCluster:
    """`set` names an artifact set (`slurm-24.11.5-4+deb13u1-amd64`). `controller` and `workers` are a role of the
    topology, or machines by name; a second controller stands by, and needs `state` to be on storage that both have.

    `gpus`: those that discovery has seen are offered to jobs; the machines' image has to bring their driver. `key`:
    with the next number all machines get another munge key. `drain_hours`: how long jobs have to end on a worker that
    is to be updated or taken out."""

    cluster: str
    set: str
    controller: str | tuple[str, ...] = "controller"
    workers: str | tuple[str, ...] = "worker"
    partitions: tuple[Partition, ...] = (Partition(name="all", default=True),)
    state: str = STATE
    gpus: bool = True
    key: int = 1
    drain_hours: float = 24.0
    name: str = field(default=NAME, init=False)

    def plan(self, site: SlurmNeeds, inventory: Inventory) -> Plan:
        servers, workers = chosen(self.controller, site, inventory), chosen(self.workers, site, inventory)
        self._check(servers, workers)
        hosts, nodes = tuple(map(_host, servers)), tuple(self._nodes(workers))
        waiting = tuple(self._waiting(workers, nodes))
        ready = [host for host in hosts if host is not None]
        if not ready or len(ready) < len(hosts) or not nodes:
            why = f"{self.cluster}: its controllers and a worker have to be installed first"
            return Plan(site=self.name, deferred=(*waiting, Deferred(score=self.name, reason=why)))
        home = SlurmHome(
            name=ClusterName(self.cluster),
            set=of_engine(self.set, Engine.SLURM, inventory),
            controllers=tuple(ready),
            key=self.key,
        )
        spec = SlurmSpec(home=home, nodes=nodes, partitions=self._partitions(nodes, site, inventory), state=self.state)
        steps = _Steps(spec, servers, workers, self.drain_hours * _HOUR)
        gone = [one for one in map(inventory.record, site.machines) if _is_gone(one, spec)]
        return Plan(site=self.name, steps=steps.plan(gone), deferred=(*waiting, *self._lost(gone)))

    def _nodes(self, workers: Sequence[MachineRecord]) -> Iterator[SlurmNode]:
        for record in workers:
            host = _host(record)
            if host is not None and record.facts is not None:
                node = node_of(host.name, host.address, record.facts, gpus=self.gpus)
                if node is not None:
                    yield node

    def _partitions(
        self, nodes: Sequence[SlurmNode], site: SlurmNeeds, inventory: Inventory
    ) -> tuple[SlurmPartition, ...]:
        here = [node.name for node in nodes]
        found = []
        for one in self.partitions:
            wanted = here if one.nodes is None else [record.name for record in chosen(one.nodes, site, inventory)]
            members = tuple(name for name in here if name in wanted)
            minutes = None if one.hours is None else max(1, round(one.hours * 60))
            if members:
                found.append(SlurmPartition(name=one.name, nodes=members, default=one.default, minutes=minutes))
        if left := sorted(set(here).difference(*(partition.nodes for partition in found))):
            raise PlanError(
                f"{self.cluster}: no partition has {', '.join(left)}",
                next_action="give one of its partitions these nodes: jobs get to a node by a partition alone",
            )
        return tuple(found)

    def _waiting(self, workers: Sequence[MachineRecord], nodes: Sequence[SlurmNode]) -> Iterator[Deferred]:
        there = {node.name for node in nodes}
        if late := [record.name for record in workers if record.name not in there]:
            why = f"{self.cluster}: {', '.join(late)} joins when its system is installed and its hardware is known"
            yield Deferred(score=self.name, reason=why)

    def _lost(self, gone: Sequence[MachineRecord]) -> Iterator[Deferred]:
        if lost := [record.name for record in gone if not _can_leave(record)]:
            why = f"{self.cluster}: {', '.join(lost)} has the cluster's key still: erase it, or give all another key"
            yield Deferred(score=self.name, reason=why)

    def _check(self, servers: Sequence[MachineRecord], workers: Sequence[MachineRecord]) -> None:
        if len(servers) > 2:
            raise PlanError(
                f"{self.cluster}: {len(servers)} controllers, where one decides and one stands by",
                next_action="name one or two",
            )
        if len(servers) == 2 and self.state == STATE:
            raise PlanError(
                f"{self.cluster}: its second controller would know of no job",
                evidence=f"each has a {STATE} of its own",
                next_action="state='/path' on storage that both mount; without such storage name one controller",
            )
        if both := {record.name for record in servers} & {record.name for record in workers}:
            raise PlanError(
                f"{self.cluster}: {', '.join(sorted(both))} cannot be controller and worker", next_action="name it once"
            )
        for record in (*servers, *workers):
            _check_free(self.cluster, record)


def _check_free(cluster: str, record: MachineRecord) -> None:
    check_unhosted(record, cluster)
    other = record.slurm.home.name if record.slurm is not None else None
    if record.member is not None:
        other = record.member.cluster.name
    elif other == cluster:
        return
    if other is not None:
        raise taken(record.name, other, cluster)


def _host(record: MachineRecord) -> SlurmHost | None:
    """None while it is not installed, or in somebody's hand."""
    installed = record.installed
    if installed is None or not installed.confirmed or record.in_hand or record.replaced:
        return None
    return SlurmHost(name=record.name, address=installed.address)


def _is_gone(record: MachineRecord, spec: SlurmSpec) -> bool:
    """It belongs to the cluster, and is not meant to any more."""
    if record.slurm is None or record.slurm.home.name != spec.home.name:
        return False
    return record.name not in {*(host.name for host in spec.home.controllers), *(node.name for node in spec.nodes)}


def _can_leave(record: MachineRecord) -> bool:
    """Whether its system can be told to."""
    return not is_gone(record)


@dataclass(frozen=True, slots=True)
class _Steps:
    """From what machines are to what they shall be."""

    spec: SlurmSpec
    servers: Sequence[MachineRecord]
    workers: Sequence[MachineRecord]
    patience: float

    @property
    def home(self) -> SlurmHome:
        return self.spec.home

    def plan(self, gone: Sequence[MachineRecord]) -> tuple[Step, ...]:
        """Who leaves is drained before the configuration is without it, and keeps the key as long as it has a job."""
        leaving = [record for record in gone if _can_leave(record)]
        drains = [self._drain(record) for record in leaving if _works(record)]
        serves = tuple(self._serve(tuple(step.id for step in drains)))
        latest = tuple(step.id for step in serves[-1:])
        joins = tuple(self._join(latest))
        leaves = [self._leave(record, latest) for record in leaving]
        steps = (*drains, *serves, *joins, *leaves)
        first = next(record for record in self.servers if record.name == self.home.primary.name)
        is_confirmed = first.slurm is not None and first.slurm.confirmed
        if is_confirmed and not any(step.do.action in _CHANGES for step in steps):
            return steps
        return (*steps, self._confirm(tuple(step.id for step in steps if step.do.action in _CHANGES)))

    def _serve(self, after: tuple[StepId, ...]) -> Iterator[Step]:
        """The second controller after the first."""
        for record in self.servers:
            if not self._has_packages(record):
                prepare = self._prepare(record, SlurmRole.CONTROLLER, ())
                yield prepare
                after = (*after, prepare.id)
            if record.slurm is None or record.slurm.spec != self.spec:
                says = f"have {record.name} lead {self.home.name} with {len(self.spec.nodes)} nodes"
                serve = step_of(NAME, record.name, ServeSlurm(spec=self.spec), says, _SERVE_SECONDS, after)
                yield serve
                after = (serve.id,)

    def _has_packages(self, server: MachineRecord) -> bool:
        has = server.slurm
        return has is not None and has.role is SlurmRole.CONTROLLER and has.home.set == self.home.set

    def _join(self, after: tuple[StepId, ...]) -> Iterator[Step]:
        """Workers that have another version are updated one after the other: the rest goes on with jobs meanwhile."""
        nodes, updated = {node.name: node for node in self.spec.nodes}, after
        for record in self.workers:
            node = nodes.get(record.name)
            if node is None or _is_as_told(record, self.home, node):
                continue
            if record.slurm is None or record.slurm.role is not SlurmRole.WORKER:
                yield from self._bring(record, node, after, is_new=True)
            elif record.slurm.home.set == self.home.set:
                yield self._joined(record, node, after)
            else:
                drain = self._drain(record, updated)
                steps = (drain, *self._bring(record, node, (drain.id,), is_new=False))
                yield from steps
                updated = (steps[-1].id,)

    def _bring(
        self, record: MachineRecord, node: SlurmNode, after: tuple[StepId, ...], *, is_new: bool
    ) -> tuple[Step, ...]:
        prepare = self._prepare(record, SlurmRole.WORKER, () if is_new else after)
        return prepare, self._joined(record, node, (prepare.id, *(after if is_new else ())))

    def _joined(self, record: MachineRecord, node: SlurmNode, after: tuple[StepId, ...]) -> Step:
        do = JoinSlurm(home=self.home, devices=node.devices)
        has = f" and {len(do.devices)} GPUs" if do.devices else ""
        says = f"have {record.name} work for {self.home.name} with {node.cpus} CPUs, {node.memory} MiB{has}"
        return step_of(NAME, record.name, do, says, _JOIN_SECONDS, after)

    def _prepare(self, record: MachineRecord, role: SlurmRole, after: tuple[StepId, ...]) -> Step:
        says = f"put {self.home.set.engine} {self.home.set.version} on {record.name}"
        return step_of(NAME, record.name, PrepareSlurm(home=self.home, role=role), says, _PREPARE_SECONDS, after)

    def _drain(self, record: MachineRecord, after: tuple[StepId, ...] = ()) -> Step:
        """It asks for that itself, of the cluster that it is in: who leads from now on may know nothing of it yet."""
        assert record.slurm is not None  # noqa: S101  who belongs to none is not drained
        home = record.slurm.home
        says = f"let {record.name} end its jobs for {home.name}, and give it no more"
        return step_of(NAME, record.name, DrainSlurm(home=home, node=record.name), says, self.patience, after)

    def _leave(self, record: MachineRecord, after: tuple[StepId, ...]) -> Step:
        says = f"take {self.home.name} and its key off {record.name}"
        return step_of(NAME, record.name, LeaveSlurm(home=self.home), says, _LEAVE_SECONDS, after)

    def _confirm(self, after: tuple[StepId, ...]) -> Step:
        dead = tuple(record.name for record in self.workers if is_gone(record))
        alive = sum(node.name not in dead for node in self.spec.nodes)
        says = f"see that {self.home.name} runs a job on each of {alive} nodes"
        do = ConfirmSlurm(spec=self.spec, without=dead)
        return step_of(NAME, self.home.primary.name, do, says, _CONFIRM_SECONDS, after)


_CHANGES = frozenset({"serve-slurm", "join-slurm"})


def _is_as_told(record: MachineRecord, home: SlurmHome, node: SlurmNode) -> bool:
    return record.slurm is not None and (record.slurm.home, record.slurm.devices) == (home, node.devices)


def _works(record: MachineRecord) -> bool:
    return record.slurm is not None and record.slurm.role is SlurmRole.WORKER
