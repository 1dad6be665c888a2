"""KubernetesCluster: machines that were installed become one cluster, founded once and joined one after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol, assert_never

from appliance.capabilities import BareMachines, ContainerRegistry, LoadBalancer, NameService, Shell
from appliance.errors import PlanError
from appliance.inventory.model import Inventory, MachineRecord
from appliance.model.balancer import BalancerPlace
from appliance.model.cluster import (
    KUBERNETES,
    ClusterName,
    ClusterSpec,
    ConfirmCluster,
    FoundCluster,
    JoinCluster,
    NodeRole,
    PrepareNode,
    RestoreCluster,
    SetRef,
    ShareEndpoint,
)
from appliance.model.ids import MachineName, StepId
from appliance.plan import Deferred, Plan, Step
from appliance.scores.cluster_life import (
    at_hand,
    check_unhosted,
    check_upgrade,
    chosen,
    departures,
    is_gone,
    is_plane,
    is_restored,
    members,
    removals,
    reset,
    taken,
    upgrades,
    waits,
)
from appliance.scores.install_linux import NAME as INSTALL
from appliance.scores.score import Move, chain, step_id, step_of
from images.artifact_set import Engine

NAME = "cluster"
PREPARE_SECONDS = 1800.0
FOUND_SECONDS = 1800.0  # a slow machine starts a control plane in many minutes
JOIN_SECONDS = 1800.0
CONFIRM_SECONDS = 1200.0
SHARE_SECONDS = 300.0
RESTORE_SECONDS = 1800.0
_LEAST = {Engine.KUBEADM: (2, 1700 << 20)}
"""Cores and bytes of memory without which an engine founds and joins no control plane
(https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/install-kubeadm/)."""
PODS, SERVICES = IPv4Network("10.244.0.0/16"), IPv4Network("10.96.0.0/16")


class ClusterNeeds(BareMachines, NameService, ContainerRegistry, LoadBalancer, Shell, Protocol): ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesCluster:
    """`set` names an artifact set of kubeadm, k3s or RKE2 (`k3s-v1.33.4+k3s1-amd64`), `endpoint` is where the API
    answers, whichever control plane runs: None for the site's balancer. `control_planes` and `workers` are a role of
    the topology, or machines by name. A machine that belongs to the cluster already is left alone, one that is named
    no more is taken out. `restore` names a backup that the cluster is to have come back from."""

    cluster: str
    set: str
    endpoint: IPv4Address | None = None
    control_planes: str | tuple[str, ...] = "control-plane"
    workers: str | tuple[str, ...] = "worker"
    pods: IPv4Network = PODS
    services: IPv4Network = SERVICES
    names: tuple[str, ...] = ()
    restore: str = ""
    name: str = field(default=NAME, init=False)

    def plan(self, site: ClusterNeeds, inventory: Inventory) -> Plan:
        spec = self._spec(site, inventory)
        servers = chosen(self.control_planes, site, inventory)
        agents = chosen(self.workers, site, inventory)
        unknown = [record.name for record in (*servers, *agents) if record.facts is None]
        if not servers or unknown:
            return Plan(site=self.name, deferred=(Deferred(score=self.name, reason=waits(self.cluster, unknown)),))
        _check(spec, servers, agents)
        wanted = {record.name for record in (*servers, *agents)}
        if self.restore and not any(is_restored(record, self.restore) for record in servers):
            return Plan(site=self.name, steps=_restoring(spec, servers, agents, self.restore))
        leavers = [one for one in members(spec.name, site, inventory) if one.name not in wanted]
        return Plan(site=self.name, steps=_steps(spec, servers, agents, leavers))

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
            endpoint=self.endpoint or site.cluster_address,
            router=0 if self.endpoint else _router(site),
            registry=place.host,
            pods=self.pods,
            services=self.services,
            names=(f"{self.cluster}.{site.domain}", *self.names),
        )


def _router(site: ClusterNeeds) -> int:
    return site.balancer.router if site.balancer.place is BalancerPlace.CONTROL_PLANES else 0


def _known(name: str, inventory: Inventory) -> SetRef:
    found = at_hand(name, inventory)
    if found.engine not in KUBERNETES:
        raise PlanError(
            f"the artifact set {name!r} is of {found.engine}, which makes no cluster of this kind",
            evidence=f"these do: {', '.join(sorted(KUBERNETES))}",
            next_action="name a set of one of them",
        )
    return SetRef.of(name, found)


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
    for record in servers:
        _check_size(spec, record)


def _check_size(spec: ClusterSpec, record: MachineRecord) -> None:
    """What the engine itself would refuse, once the machine is installed."""
    facts, (cores, memory) = record.facts, _LEAST.get(spec.set.engine, (0, 0))
    if facts is None or record.member is not None or (facts.cores >= cores and facts.memory_bytes >= memory):
        return
    raise PlanError(
        f"{record.name} is too small for a control plane of {spec.name}",
        evidence=f"cores: {facts.cores} of {cores}, memory: {facts.memory_bytes >> 20} of {memory >> 20} MiB",
        next_action="name a larger machine, or give the role a rule that asks for more",
    )


def _check_member(spec: ClusterSpec, record: MachineRecord) -> None:
    check_unhosted(record, spec.name)
    if record.slurm is not None:
        raise taken(record.name, record.slurm.home.name, spec.name)
    if record.member is None:
        return
    has = record.member.cluster
    if has.name != spec.name:
        raise taken(record.name, has.name, spec.name)
    check_upgrade(record.name, has.set, spec.set)


def _steps(
    spec: ClusterSpec,
    servers: Sequence[MachineRecord],
    agents: Sequence[MachineRecord],
    leavers: Sequence[MachineRecord],
) -> tuple[Step, ...]:
    """Who is dead is taken out before anybody comes in, who lives leaves after: the cluster is never smaller than it
    has to be. Control planes change one after the other: a quorum takes one change at a time."""
    planes = [record for record in (*servers, *leavers) if is_plane(record)]
    speaker = next((record for record in servers if record.member is not None), servers[0])
    steps = list(removals(leavers, planes, speaker.name))
    latest = tuple(step.id for step in steps)
    if not planes:
        steps += _chain(spec, speaker, NodeRole.CONTROL_PLANE, FoundCluster(cluster=spec), FOUND_SECONDS)
        latest = tuple(step.id for step in steps[-1:])
    upgraded = upgrades(spec, servers, agents)
    steps += (replace(step, needs=(*step.needs, *latest)) for step in upgraded)
    latest = tuple(step.id for step in upgraded[-1:]) or latest
    ready = latest
    for record in servers:
        if record.member is None and (planes or record is not speaker):
            joined = _join(spec, record, NodeRole.CONTROL_PLANE, latest)
            steps += joined
            latest = tuple(step.id for step in joined[-1:])
    for record in agents:
        steps += _join(spec, record, NodeRole.WORKER, ready)
    steps += departures(leavers, tuple(step.id for step in steps if isinstance(step.do, JoinCluster)))
    steps += _share(spec, servers, steps)
    is_confirmed = speaker.member is not None and speaker.member.confirmed
    return (*steps, *(() if is_confirmed and not steps else _confirm(spec, speaker, (*servers, *agents), steps)))


def _restoring(
    spec: ClusterSpec, servers: Sequence[MachineRecord], agents: Sequence[MachineRecord], backup: str
) -> tuple[Step, ...]:
    """On a control plane that is one, if there is any; the others come in again, as if for the first time. Workers that
    are to come or to go have the next plan."""
    first = next((record for record in servers if record.member is not None and not is_gone(record)), servers[0])
    others = [record for record in servers if record is not first]
    steps = [step for record in others if record.member is not None and not is_gone(record) for step in reset(record)]
    do = RestoreCluster(cluster=spec, backup=backup)
    restored = _chain(spec, first, NodeRole.CONTROL_PLANE, do, RESTORE_SECONDS)
    before = tuple(step.id for step in steps)
    steps += (replace(step, needs=(*step.needs, *before)) for step in restored)
    latest = (steps[-1].id,)
    for record in others:
        prepare, *joins = _join(spec, replace(record, member=None), NodeRole.CONTROL_PLANE, latest)
        emptied = tuple(step.id for step in steps if step.machine == record.name)
        steps += (replace(prepare, needs=(*prepare.needs, *emptied)), *joins)
        latest = (steps[-1].id,)
    steps += _share(spec, [replace(record, member=None) for record in servers], steps)
    there = [record for record in agents if record.member is not None and not is_gone(record)]
    return (*steps, *_confirm(spec, first, (*servers, *there), steps))


def _join(spec: ClusterSpec, record: MachineRecord, role: NodeRole, after: tuple[StepId, ...]) -> tuple[Step, ...]:
    steps = _chain(spec, record, role, JoinCluster(cluster=spec, role=role), JOIN_SECONDS)
    return tuple(
        replace(step, needs=(*step.needs, *after)) if isinstance(step.do, JoinCluster) else step for step in steps
    )


def _chain(
    spec: ClusterSpec,
    record: MachineRecord,
    role: NodeRole,
    last: FoundCluster | JoinCluster | RestoreCluster,
    seconds: float,
) -> tuple[Step, ...]:
    if record.member is not None and not isinstance(last, RestoreCluster):
        return ()
    name, version = record.name, f"{spec.set.engine} {spec.set.version}"
    does = _does(spec, name, last)
    prepare = Move(
        do=PrepareNode(cluster=spec, role=role), summary=f"prepare {name} for {version}", budget=PREPARE_SECONDS
    )
    alone = (_shares(spec, name, (name,)),) if spec.router and not isinstance(last, JoinCluster) else ()
    first, *others = chain(NAME, name, (prepare, *alone, Move(do=last, summary=does, budget=seconds)))
    installed = step_id(INSTALL, name, "confirm-shell")
    return (replace(first, needs=(installed,)), *others)


def _share(spec: ClusterSpec, servers: Sequence[MachineRecord], before: Sequence[Step]) -> Iterator[Step]:
    """Once all are in: who came in is one more that the endpoint may move to, and who left is none."""
    names, after = tuple(record.name for record in servers), tuple(step.id for step in before)
    for record in servers:
        if spec.router and (record.member is None or record.member.sharers != names):
            (step,) = chain(NAME, record.name, (_shares(spec, record.name, names),))
            yield replace(step, id=StepId(f"{step.id}-2") if step.id in after else step.id, needs=after)


def _shares(spec: ClusterSpec, name: MachineName, planes: tuple[MachineName, ...]) -> Move:
    others = [plane for plane in planes if plane != name]
    summary = f"{name} answers at {spec.endpoint}" + (f", or {' or '.join(others)} does" if others else "")
    return Move(do=ShareEndpoint(cluster=spec, planes=planes), summary=summary, budget=SHARE_SECONDS)


def _does(spec: ClusterSpec, name: MachineName, do: FoundCluster | JoinCluster | RestoreCluster) -> str:
    match do:
        case FoundCluster():
            return f"found the cluster {spec.name} on {name}"
        case JoinCluster(role=role):
            return f"join {name} to the cluster {spec.name} as {role.value}"
        case RestoreCluster(backup=backup):
            return f"restore the cluster {spec.name} on {name} from its backup {backup}: what came later is lost"
        case _:
            assert_never(do)


def _confirm(
    spec: ClusterSpec, founder: MachineRecord, nodes: Sequence[MachineRecord], after: Sequence[Step]
) -> tuple[Step, ...]:
    names = tuple(record.name for record in nodes)
    do = ConfirmCluster(cluster=spec, nodes=names)
    says = f"see that the cluster {spec.name} answers at {spec.endpoint} with {len(names)} ready nodes"
    needs = tuple(step.id for step in after if not isinstance(step.do, PrepareNode))
    return (step_of(NAME, founder.name, do, says, CONFIRM_SECONDS, needs),)
