"""As what a machine belongs to a cluster after a step of it was done. Pure."""

from dataclasses import replace
from typing import assert_never

from appliance.model.cluster import (
    BackUpCluster,
    ClusterAction,
    ClusterSpec,
    ConfirmCluster,
    DrainNode,
    EndCluster,
    FoundCluster,
    JoinCluster,
    Member,
    NodeRole,
    PrepareNode,
    RemoveNode,
    ResetNode,
    RestoreCluster,
    ShareEndpoint,
    UpgradeNode,
)
from appliance.model.ids import MachineName
from appliance.model.okd import CheckOkd, ConfirmOkd, JoinOkd, LeadOkd, MakeOkd, OkdAction, ServeOkd, StartOkd


def done(do: ClusterAction | OkdAction, member: Member | None, now: float) -> tuple[str, Member | None]:
    """What was proven, in a word, and the machine's membership from now on."""
    if isinstance(do, OkdAction):
        return _okd_done(do, member, now)
    match do:
        case PrepareNode():
            return "node prepared", member
        case FoundCluster(cluster=cluster):
            return "cluster founded", _member(cluster, NodeRole.CONTROL_PLANE, now)
        case JoinCluster(cluster=cluster, role=role):
            return "cluster joined", _member(cluster, role, now)
        case ConfirmCluster():
            return "cluster ready", replace(member, confirmed=True) if member is not None else None
        case ShareEndpoint(planes=planes):
            return "endpoint shared", replace(member, sharers=planes) if member is not None else None
        case DrainNode():
            return "node drained", member
        case ResetNode():
            return "node reset", member
        case RemoveNode():
            return "node removed", member
        case EndCluster():
            return "cluster ended", None
        case BackUpCluster():
            return "cluster backed up", member
        case RestoreCluster(cluster=cluster, backup=backup):
            return "cluster restored", replace(_member(cluster, NodeRole.CONTROL_PLANE, now), restored=backup)
        case UpgradeNode(cluster=cluster):
            upgraded = replace(member, cluster=cluster, confirmed=False) if member is not None else None
            return "node upgraded", upgraded
        case _:
            assert_never(do)


def _okd_done(do: OkdAction, member: Member | None, now: float) -> tuple[str, Member | None]:
    match do:
        case CheckOkd() | ServeOkd() | MakeOkd() | StartOkd() | LeadOkd():
            return do.action, member
        case JoinOkd(spec=spec, role=role):
            return "cluster joined", _member(spec.cluster, role, now)
        case ConfirmOkd():
            return "cluster ready", replace(member, confirmed=True) if member is not None else None
        case _:
            assert_never(do)


def proves(do: ClusterAction | OkdAction) -> bool:
    """Whether the cluster's word of that step is the proof that the machine's system is what was installed."""
    return isinstance(do, JoinOkd | LeadOkd)


def comes(do: ClusterAction) -> bool:
    """Whether the machine of that step is on its way into a cluster: whatever it was before, it is wanted now."""
    return isinstance(do, PrepareNode | FoundCluster | JoinCluster | RestoreCluster)


def ends(do: ClusterAction, by: MachineName, name: MachineName, member: Member) -> bool:
    """Whether a step that was `by`'s is the end of this machine's membership."""
    match do:
        case RestoreCluster(cluster=cluster):
            other = name != by and member.role is NodeRole.CONTROL_PLANE
            return other and cluster.name == member.cluster.name
        case RemoveNode(cluster=cluster, node=node):
            return (cluster.name, node) == (member.cluster.name, name)
        case EndCluster(cluster=cluster):
            return cluster.name == member.cluster.name
        case _:
            return False


def _member(cluster: ClusterSpec, role: NodeRole, now: float) -> Member:
    return Member(cluster=cluster, role=role, since=now)
