"""Clusters: what is wanted of one, and as what a machine belongs to it. No engine's own words stand here."""

import re
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network
from typing import Literal, NewType, Self

from appliance.errors import SiteError
from appliance.model.ids import MachineName
from images.artifact_set import ArtifactSet, Engine

ClusterName = NewType("ClusterName", str)
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REGISTRY = re.compile(r"[a-z0-9.-]{1,253}:\d{1,5}")
API_PORT = 6443
"""On which every control plane answers, and the endpoint for them."""
KUBERNETES = frozenset({Engine.KUBEADM, Engine.K3S, Engine.RKE2})
"""What a `ClusterSpec` may be made with: nodes are told what to become, one after the other."""


class NodeRole(Enum):
    CONTROL_PLANE = "control-plane"
    WORKER = "worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRef:
    """A version of an engine: the artifact set of that name whose description has this SHA-256."""

    name: str
    engine: Engine
    version: str
    sha256: str

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.sha256):
            raise SiteError(
                f"{self.sha256[:70]!r} is no SHA-256", next_action="name the set as innervate set list does"
            )

    @classmethod
    def of(cls, name: str, found: ArtifactSet) -> Self:
        return cls(name=name, engine=found.engine, version=found.version, sha256=sha256(found.to_json()).hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSpec:
    """What every node of a cluster is told. `endpoint` is where its API answers, whichever control plane runs;
    `names` are others that its certificate shall hold. `registry` is HOST:PORT of where its images come from. `router`
    is the VRRP virtual router id by which the control planes share the endpoint, 0 where it is somebody else's."""

    name: ClusterName
    set: SetRef
    endpoint: IPv4Address
    registry: str
    pods: IPv4Network
    services: IPv4Network
    names: tuple[str, ...] = ()
    router: int = 0

    def __post_init__(self) -> None:
        if not _LABEL.fullmatch(self.name):
            raise SiteError(
                f"{self.name[:70]!r} cannot be a cluster's name",
                next_action="use lower-case letters, digits and dashes, at most 40 characters",
            )
        if not _REGISTRY.fullmatch(self.registry):
            raise SiteError(f"{self.registry[:70]!r} is no registry", next_action="state it as HOST:PORT")
        if self.pods.overlaps(self.services) or self.endpoint in self.pods or self.endpoint in self.services:
            raise SiteError(
                f"{self.name}: its networks overlap",
                evidence=f"pods {self.pods}, services {self.services}, endpoint {self.endpoint}",
                next_action="give pods and services networks of their own that nothing else on the site uses",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """As what a machine belongs to a cluster since `since` (seconds since the epoch). `confirmed`: the cluster said
    of all its nodes that they are ready; noted with the control plane that was asked. `restored` is the name of the
    backup that the cluster came back from, noted where that was done. `sharers` are the control planes that it shares
    the endpoint with, itself among them."""

    cluster: ClusterSpec
    role: NodeRole
    since: float
    confirmed: bool = False
    restored: str = ""
    sharers: tuple[MachineName, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareNode:
    """Whatever a node of this version needs before it can begin: programs, container runtime, kernel settings."""

    cluster: ClusterSpec
    role: NodeRole
    action: Literal["prepare-node"] = "prepare-node"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCluster:
    """The machine becomes the first control plane; the cluster's keys come to be there."""

    cluster: ClusterSpec
    action: Literal["found-cluster"] = "found-cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinCluster:
    cluster: ClusterSpec
    role: NodeRole
    action: Literal["join-cluster"] = "join-cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmCluster:
    """Its API answers at the endpoint, and these nodes are ready; asked of the cluster itself."""

    cluster: ClusterSpec
    nodes: tuple[MachineName, ...]
    action: Literal["confirm-cluster"] = "confirm-cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareEndpoint:
    """The machine is one of `planes`, between which the cluster's endpoint moves."""

    cluster: ClusterSpec
    planes: tuple[MachineName, ...]
    action: Literal["share-endpoint"] = "share-endpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainNode:
    """`node` takes nothing new, and what runs there has moved, or ended where nothing wants it elsewhere."""

    cluster: ClusterSpec
    node: MachineName
    action: Literal["drain-node"] = "drain-node"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetNode:
    """The machine leaves its cluster by itself: its part of the cluster's memory, its keys, its pods. `last`: nobody
    stays behind who could do without it."""

    cluster: ClusterSpec
    last: bool = False
    action: Literal["reset-node"] = "reset-node"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveNode:
    """The cluster knows `node` no more, whether that machine can say anything or not."""

    cluster: ClusterSpec
    node: MachineName
    action: Literal["remove-node"] = "remove-node"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndCluster:
    """Nothing of the cluster is kept but its last backups: access, tokens, what led to its endpoint."""

    cluster: ClusterSpec
    action: Literal["end-cluster"] = "end-cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackUpCluster:
    """The appliance holds a backup that knows all that the cluster knew when the step began."""

    cluster: ClusterSpec
    action: Literal["back-up-cluster"] = "back-up-cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreCluster:
    """The machine is the cluster's only control plane, with what the backup remembers. `backup` is its name."""

    cluster: ClusterSpec
    backup: str
    action: Literal["restore-cluster"] = "restore-cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeNode:
    """`cluster` has the new version. `leads`: the cluster's own settings are changed with this one."""

    cluster: ClusterSpec
    role: NodeRole
    leads: bool = False
    action: Literal["upgrade-node"] = "upgrade-node"


Forming = PrepareNode | FoundCluster | JoinCluster | ConfirmCluster | ShareEndpoint
Living = DrainNode | ResetNode | RemoveNode | EndCluster | BackUpCluster | RestoreCluster | UpgradeNode
ClusterAction = Forming | Living
