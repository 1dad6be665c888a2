"""Which machines belong to which cluster, and which come to: from the world alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from appliance.conductor.cluster_past import ClusterPast
from appliance.conductor.machine import MachineState
from appliance.conductor.runs import RunStatus, open_steps
from appliance.conductor.world import World
from appliance.model.cluster import (
    ClusterAction,
    ClusterName,
    ClusterSpec,
    FoundCluster,
    JoinCluster,
    Member,
    NodeRole,
    PrepareNode,
)
from appliance.model.cluster_views import Membership, MemberView
from appliance.model.ids import MachineName
from appliance.plan import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Coming:
    """A machine of which a run that goes on still has something to do for the cluster. `role` None where that makes it
    no member."""

    run: RunStatus
    step: Step
    role: NodeRole | None


@dataclass(slots=True, kw_only=True)
class Known:
    """Of one cluster, as `spec` says of it last. `coming` may be members already."""

    spec: ClusterSpec
    members: dict[MachineName, Member] = field(default_factory=dict)
    coming: dict[MachineName, Coming] = field(default_factory=dict)

    @property
    def joining(self) -> Mapping[MachineName, NodeRole]:
        others = ((name, one.role) for name, one in self.coming.items() if name not in self.members)
        return {name: role for name, role in others if role is not None}


def known(world: World) -> Mapping[ClusterName, Known]:
    found: dict[ClusterName, Known] = {}
    members = ((state.name, state.member) for state in world.machines.values() if state.member is not None)
    for name, member in sorted(members, key=_rank):
        _of(found, member.cluster).members[name] = member
    for run, step, do in _open(world):
        coming = _of(found, do.cluster).coming
        before = coming.get(step.machine)
        role = _role(do) or (before.role if before is not None else None)
        coming[step.machine] = Coming(run=run, step=before.step if before is not None else step, role=role)
    return found


def member_view(state: MachineState, world: World) -> MemberView | None:
    if (member := state.member) is None:
        return None
    name = member.cluster.name
    stands = membership(member, world.cluster_past(name))
    return MemberView(cluster=name, role=member.role.value, state=stands, since=member.since)


def membership(member: Member, past: ClusterPast) -> Membership:
    """What came later than the cluster's last word that all its nodes are ready was not among them."""
    confirmed = past.confirmed is not None and member.since <= past.confirmed
    return Membership.CONFIRMED if confirmed else Membership.MEMBER


def _rank(one: tuple[MachineName, Member]) -> tuple[bool, float, MachineName]:
    """The oldest control plane first: an upgrade begins there, and so its word on the version is the latest."""
    name, member = one
    return member.role is not NodeRole.CONTROL_PLANE, member.since, name


def _of(found: dict[ClusterName, Known], spec: ClusterSpec) -> Known:
    return found.setdefault(spec.name, Known(spec=spec))


def _open(world: World) -> Iterator[tuple[RunStatus, Step, ClusterAction]]:
    for run, step in open_steps(world.running):
        if isinstance(step.do, ClusterAction):
            yield run, step, step.do


def _role(do: ClusterAction) -> NodeRole | None:
    match do:
        case FoundCluster():
            return NodeRole.CONTROL_PLANE
        case PrepareNode(role=role) | JoinCluster(role=role):
            return role
        case _:
            return None
