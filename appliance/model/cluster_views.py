"""Clusters, as the API shows them: what the appliance knows of one, beside what the cluster itself said last."""

from dataclasses import dataclass, field
from enum import StrEnum


class Membership(StrEnum):
    """`STRANGER`: the cluster lists a node that is no machine of ours there."""

    JOINING = "joining"
    MEMBER = "member"
    CONFIRMED = "confirmed"
    STRANGER = "stranger"


class ApiState(StrEnum):
    """`UNFOUNDED`: the appliance has no access yet. `UNSEEN`: nobody has looked since the daemon started."""

    UNFOUNDED = "not-founded"
    UNSEEN = "not-looked-at"
    READY = "ready"
    NOT_READY = "not-ready"
    SILENT = "silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberView:
    """As what a machine belongs to a cluster. `role` is a `NodeRole`'s value."""

    cluster: str
    role: str
    state: Membership
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterApiView:
    """`lacks` is what the API said that it lacks to be ready, or why it cannot be asked. `looked`: when it last
    answered, `silent_since`: since when it has not; both None for not since the daemon started."""

    state: ApiState
    lacks: str = ""
    evidence: str = ""
    next_action: str = ""
    looked: float | None = None
    silent_since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeWordView:
    """What the cluster said of a node; `why` it is not ready."""

    ready: bool
    version: str
    schedulable: bool
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNodeView:
    """`since` when it has been what it is, None for one that joins now, or is a stranger. `said` is what the cluster
    said of it at `looked`: None where it did not list the node, or was not asked yet, and then `looked` is None."""

    name: str
    role: str
    state: Membership
    since: float | None = None
    said: NodeWordView | None = None
    looked: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalsView:
    """Requests for certificates, and nodes that came back, that the appliance refused, over all the cluster's life;
    `text` is of the last."""

    count: int = 0
    last: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinTokenView:
    """`machine` may join with it until `expires`; the token itself is shown to nobody."""

    machine: str
    expires: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendView:
    """`well`: the balancer's checks pass; `out`: it was taken out."""

    listener: str
    name: str
    address: str
    port: int
    well: bool
    out: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterBalancerView:
    """The appliance's balancer, as far as it serves the cluster. `trouble` is why the balancer itself could not be
    asked the last time; `backends` are as of `looked`."""

    looked: float | None = None
    trouble: str = ""
    backends: tuple[BackendView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterBackupView:
    """`name` is what `restore=` takes. `at` in seconds since the epoch, `size` in bytes of etcd's snapshot, at its
    `revision`."""

    name: str
    at: float
    version: str
    revision: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAppView:
    """A version that was seen to be well `since` then. `trouble` is what is wrong with it now, or what others have
    changed."""

    name: str
    version: str
    namespace: str
    since: float
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """`ready` of the `wanted` machines were ready nodes when the API last answered; None where it never has, or does
    not answer now. `waiting` is what a run waits for, a sentence each. `access_ends` is when the certificate ends by
    which the appliance enters. `backups` are those that it holds, the latest first. `provenance` says whose work the
    engine is, as its artifact set does; "" where that is not at hand any more.
    `balancer` is None where another one leads to the API."""

    name: str
    engine: str
    version: str
    endpoint: str
    api: ClusterApiView
    wanted: int = 0
    ready: int | None = None
    nodes: tuple[ClusterNodeView, ...] = ()
    refused: RefusalsView = field(default_factory=RefusalsView)
    tokens: tuple[JoinTokenView, ...] = ()
    balancer: ClusterBalancerView | None = None
    waiting: tuple[str, ...] = ()
    access_ends: float | None = None
    backups: tuple[ClusterBackupView, ...] = ()
    applications: tuple[ClusterAppView, ...] = ()
    provenance: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClustersView:
    """In the order of their names. `next` is the cursor of the next page, "" when this is the last."""

    clusters: tuple[ClusterView, ...]
    next: str = ""
