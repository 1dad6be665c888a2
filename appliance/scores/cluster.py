"""KubernetesCluster: machines that were installed become one cluster, founded once and joined one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol

from appliance.capabilities import BareMachines, ContainerRegistry, LoadBalancer, NameService, Shell
from appliance.errors import PlanError
from appliance.inventory.model import Inventory, MachineRecord
from appliance.model.balancer import BalancerPlace
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
from appliance.model.ids import MachineName, StepId
from appliance.plan import Deferred, Plan, Step
from appliance.scores.install_linux import NAME as INSTALL
from appliance.scores.score import Move, chain, step_id

NAME = "cluster"
PREPARE_SECONDS = 1800.0
FOUND_SECONDS = 1800.0  # a slow machine starts a control plane in many minutes
JOIN_SECONDS = 1800.0
CONFIRM_SECONDS = 1200.0
PODS, SERVICES = IPv4Network("10.244.0.0/16"), IPv4Network("10.96.0.0/16")


class ClusterNeeds(BareMachines, NameService, ContainerRegistry, LoadBalancer, Shell, Protocol): ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesCluster:
    """`set` names an artifact set (`kubeadm-v1.20.2-amd64`), `endpoint` is where the API answers, whichever control
    plane runs: None for the site's balancer. `control_planes` and `workers` are a role of the topology, or machines by
    name. A machine that belongs to the cluster already is left alone."""

    cluster: str
    set: str
    endpoint: IPv4Address | None = None
    control_planes: str | tuple[str, ...] = "control-plane"
    workers: str | tuple[str, ...] = "worker"
    pods: IPv4Network = PODS
    services: IPv4Network = SERVICES
    names: tuple[str, ...] = ()
    name: str = field(default=NAME, init=False)

    def plan(self, site: ClusterNeeds, inventory: Inventory) -> Plan:
        spec = self._spec(site, inventory)
        servers = _nodes(self.control_planes, site, inventory)
        agents = _nodes(self.workers, site, inventory)
        unknown = [record.name for record in (*servers, *agents) if record.facts is None]
        if not servers or unknown:
            return Plan(site=self.name, deferred=(Deferred(score=self.name, reason=_waits(self.cluster, unknown)),))
        _check(spec, servers, agents)
        return Plan(site=self.name, steps=_steps(spec, servers, agents))

    def _spec(self, site: ClusterNeeds, inventory: Inventory) -> ClusterSpec:
        place = inventory.registry
        if place is None:
            raise PlanError(
                f"{self.cluster}: no registry serves this site",
                next_action="give the site a ClusterRack(registry=Registry()) as its topology",
            )
        return ClusterSpec(
            name=ClusterName(self.cluster),
            set=_known(self.set, inventory),
            endpoint=self.endpoint or _balanced(self.cluster, site),
            registry=place.host,
            pods=self.pods,
            services=self.services,
            names=(f"{self.cluster}.{site.domain}", *self.names),
        )


def _balanced(cluster: str, site: ClusterNeeds) -> IPv4Address:
    if site.balancer.place is BalancerPlace.CONTROL_PLANES:
        raise PlanError(
            f"{cluster}: no step yet puts the balancer on its control planes",
            evidence="Balancer(place=BalancerPlace.CONTROL_PLANES) in the topology",
            next_action="leave the balancer on the appliance, or state endpoint= of one of your own",
        )
    return site.cluster_address


def _known(name: str, inventory: Inventory) -> SetRef:
    if (found := inventory.sets.get(name)) is None:
        raise PlanError(
            f"the artifact set {name!r} is not at hand",
            evidence=f"at hand: {', '.join(sorted(inventory.sets)) or 'none'}",
            next_action="import it: innervate set import DIR",
        )
    return SetRef(name=name, engine=found.engine, version=found.version, sha256=sha256(found.to_json()).hexdigest())


def _nodes(which: str | tuple[str, ...], site: ClusterNeeds, inventory: Inventory) -> tuple[MachineRecord, ...]:
    if isinstance(which, str):
        return tuple(record for name in site.machines if (record := inventory.record(name)).role == which)
    if strange := sorted(set(which) - set(site.machines)):
        raise PlanError(
            f"the cluster names machines that the site does not have: {', '.join(strange)}",
            next_action="name machines of the topology, or a role",
        )
    return tuple(inventory.record(MachineName(name)) for name in which)


def _waits(cluster: str, unknown: Sequence[MachineName]) -> str:
    if unknown:
        return f"{cluster}: the hardware of {', '.join(unknown)} is not known yet"
    return f"{cluster}: no machine has the role of a control plane yet"


def _check(spec: ClusterSpec, servers: Sequence[MachineRecord], agents: Sequence[MachineRecord]) -> None:
    if len(servers) % 2 == 0:
        raise PlanError(
            f"{spec.name}: {len(servers)} control planes survive no more failures than {len(servers) - 1}",
            evidence=", ".join(record.name for record in servers),
            next_action="give it an odd number of control planes",
        )
    if both := {record.name for record in servers} & {record.name for record in agents}:
        raise PlanError(
            f"{spec.name}: {', '.join(sorted(both))} cannot be control plane and worker", next_action="name it once"
        )
    for record in (*servers, *agents):
        _check_member(spec, record)


def _check_member(spec: ClusterSpec, record: MachineRecord) -> None:
    if record.member is None:
        return
    has = record.member.cluster
    if has.name != spec.name:
        raise PlanError(
            f"{record.name} belongs to the cluster {has.name}",
            next_action=f"take it out of one of the two; {spec.name} gets it when it is free",
        )
    if has.set != spec.set:
        raise PlanError(
            f"{record.name} runs {has.set.engine} {has.set.version}; {spec.set.version} is wanted",
            next_action="state the version that the cluster has: there is no plan yet that upgrades one",
        )


def _steps(spec: ClusterSpec, servers: Sequence[MachineRecord], agents: Sequence[MachineRecord]) -> tuple[Step, ...]:
    """Control planes join one after the other: a quorum takes one new member at a time."""
    founder = next((record for record in servers if record.member is not None), servers[0])
    found = _chain(spec, founder, NodeRole.CONTROL_PLANE, FoundCluster(cluster=spec), FOUND_SECONDS)
    steps, latest = list(found), tuple(step.id for step in found[-1:])
    for record in servers:
        if record is not founder:
            joined = _join(spec, record, NodeRole.CONTROL_PLANE, latest)
            steps += joined
            latest = tuple(step.id for step in joined[-1:]) or latest
    for record in agents:
        steps += _join(spec, record, NodeRole.WORKER, tuple(step.id for step in found[-1:]))
    is_confirmed = founder.member is not None and founder.member.confirmed
    return (*steps, *(() if is_confirmed and not steps else _confirm(spec, founder, (*servers, *agents), steps)))


def _join(spec: ClusterSpec, record: MachineRecord, role: NodeRole, after: tuple[StepId, ...]) -> tuple[Step, ...]:
    steps = _chain(spec, record, role, JoinCluster(cluster=spec, role=role), JOIN_SECONDS)
    return tuple(
        replace(step, needs=(*step.needs, *after)) if isinstance(step.do, JoinCluster) else step for step in steps
    )


def _chain(
    spec: ClusterSpec, record: MachineRecord, role: NodeRole, last: FoundCluster | JoinCluster, seconds: float
) -> tuple[Step, ...]:
    if record.member is not None:
        return ()
    name, version = record.name, f"{spec.set.engine} {spec.set.version}"
    does = f"found the cluster {spec.name} on {name}" if isinstance(last, FoundCluster) else _joins(spec, name, role)
    prepare = Move(
        do=PrepareNode(cluster=spec, role=role), summary=f"prepare {name} for {version}", budget=PREPARE_SECONDS
    )
    first, *others = chain(NAME, name, (prepare, Move(do=last, summary=does, budget=seconds)))
    installed = step_id(INSTALL, name, "confirm-shell")
    return (replace(first, needs=(installed,)), *others)


def _joins(spec: ClusterSpec, name: MachineName, role: NodeRole) -> str:
    return f"join {name} to the cluster {spec.name} as {role.value}"


def _confirm(
    spec: ClusterSpec, founder: MachineRecord, nodes: Sequence[MachineRecord], after: Sequence[Step]
) -> tuple[Step, ...]:
    names = tuple(record.name for record in nodes)
    do = ConfirmCluster(cluster=spec, nodes=names)
    return (
        Step(
            id=step_id(NAME, founder.name, do.action),
            machine=founder.name,
            score=NAME,
            summary=f"see that the cluster {spec.name} answers at {spec.endpoint} with {len(names)} ready nodes",
            do=do,
            budget=CONFIRM_SECONDS,
            needs=tuple(step.id for step in after if not isinstance(step.do, PrepareNode)),
        ),
    )
