"""What every engine that makes a Kubernetes has to say: jobs for its nodes, and questions to them. Pure.

Desks carry the jobs out and believe nobody: see `appliance.services.clusters`.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Protocol

from appliance.kubernetes.cluster import Ticket
from appliance.kubernetes.etcd import EtcdMember
from appliance.model.balancer import HealthCheck
from appliance.model.cluster import (
    ClusterSpec,
    FoundCluster,
    JoinCluster,
    NodeRole,
    PrepareNode,
    ResetNode,
    RestoreCluster,
    ShareEndpoint,
    UpgradeNode,
)
from appliance.model.ids import MachineName
from appliance.nodes.job import Job


class NodeEngine(Protocol):
    """Of each job there is a second one in the past tense: its name and mark without what it does, to look at it by.
    Whatever gives argv gives a command for a node, which prints what is said of it."""

    @property
    def ports(self) -> Mapping[int, HealthCheck]:
        """Of the endpoint: each leads to the same port of every control plane that is well by its check."""
        ...

    @property
    def kubeconfig(self) -> tuple[str, ...]:
        """argv for a control plane: its access to the cluster as `objects.access` reads it."""
        ...

    @property
    def restart(self) -> tuple[str, ...]:
        """argv for a worker that is to forget what it has seen of the cluster; pods run on."""
        ...

    @property
    def proof(self) -> str:
        """The name of a file without which a backup brings nothing back."""
        ...

    def prepare(self, do: PrepareNode) -> Job:
        """The same for every node, so that a node whose files are others is one that has to be prepared anew."""
        ...

    def found(self, do: FoundCluster, name: MachineName, address: IPv4Address) -> Job: ...

    def founded(self, do: FoundCluster, name: MachineName) -> Job: ...

    def shared_keys(self, role: NodeRole) -> tuple[str, ...]:
        """argv for a control plane: prints last what another needs to become one; empty where nothing is asked."""
        ...

    def join(self, do: JoinCluster, name: MachineName, address: IPv4Address, ticket: Ticket) -> Job: ...

    def joined(self, do: JoinCluster, name: MachineName) -> Job: ...

    def share(self, do: ShareEndpoint, name: MachineName, planes: Mapping[MachineName, IPv4Address]) -> Job: ...

    def shared(self, do: ShareEndpoint, name: MachineName) -> Job: ...

    def reset(self, do: ResetNode, name: MachineName) -> Job: ...

    def was_reset(self, do: ResetNode, name: MachineName) -> Job: ...

    def upgrade(self, do: UpgradeNode, name: MachineName, address: IPv4Address) -> Job: ...

    def upgraded(self, do: UpgradeNode, name: MachineName) -> Job: ...

    def restore(self, do: RestoreCluster, name: MachineName, address: IPv4Address) -> Job:
        """What is restored lies at `etcd.BACKUP` before."""
        ...

    def restored(self, do: RestoreCluster, name: MachineName) -> Job: ...

    def members(self, cluster: ClusterSpec) -> tuple[str, ...]:
        """argv for a control plane: the members of etcd as `etcd.read_members` reads them; empty where the cluster
        itself has a node no longer than its memory."""
        ...

    def remove(self, cluster: ClusterSpec, member: EtcdMember) -> tuple[str, ...]:
        """argv for a control plane, for a member that `members` has told of."""
        ...

    def save(self, cluster: ClusterSpec) -> tuple[str, ...]:
        """argv for a control plane: a copy of all that it remembers; prints what `etcd.read_snapshot` reads."""
        ...

    def hand_over(self, cluster: ClusterSpec) -> tuple[str, ...]:
        """argv for the same control plane: the copy and the cluster's keys as a tar; keeps no copy."""
        ...
