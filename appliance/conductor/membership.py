"""As what a machine belongs to a cluster after a step of it was done. Pure."""

from dataclasses import replace
from typing import assert_never

from appliance.model.cluster import (
    ClusterAction,
    ClusterSpec,
    ConfirmCluster,
    FoundCluster,
    JoinCluster,
    Member,
    NodeRole,
    PrepareNode,
)


def done(do: ClusterAction, member: Member | None, now: float) -> tuple[str, Member | None]:
    """What was proven, in a word, and the machine's membership from now on."""
    match do:
        case PrepareNode():
            return "node prepared", member
        case FoundCluster(cluster=cluster):
            return "cluster founded", _member(cluster, NodeRole.CONTROL_PLANE, now)
        case JoinCluster(cluster=cluster, role=role):
            return "cluster joined", _member(cluster, role, now)
        case ConfirmCluster():
            return "cluster ready", replace(member, confirmed=True) if member is not None else None
        case _:
            assert_never(do)


def _member(cluster: ClusterSpec, role: NodeRole, now: float) -> Member:
    return Member(cluster=cluster, role=role, since=now)
