"""Clusters in memory for tests of the API and its clients: what was put in."""

from dataclasses import dataclass, field

from appliance.errors import ConflictError, NotFoundError
from appliance.model.cluster_views import (
    ApiState,
    BackendView,
    ClusterApiView,
    ClusterAppView,
    ClusterBackupView,
    ClusterBalancerView,
    ClusterNodeView,
    ClustersView,
    ClusterView,
    JoinTokenView,
    Membership,
    NodeWordView,
    RefusalsView,
)
from appliance.model.paging import EVERY_CLUSTER, ClustersQuery, clusters_page
from appliance.model.secret import Secret

_NOW = 1_800_000_000.0
PROD = ClusterView(
    name="prod",
    engine="kubeadm",
    version="v1.20.2",
    endpoint="https://10.77.0.2:6443",
    api=ClusterApiView(state=ApiState.READY, looked=_NOW),
    wanted=3,
    ready=1,
    nodes=(
        ClusterNodeView(
            name="node-0",
            role="control-plane",
            state=Membership.CONFIRMED,
            since=_NOW - 7200,
            said=NodeWordView(ready=True, version="v1.20.2", schedulable=True),
            looked=_NOW,
        ),
        ClusterNodeView(
            name="node-1",
            role="worker",
            state=Membership.MEMBER,
            since=_NOW - 600,
            said=NodeWordView(ready=False, version="v1.20.2", schedulable=False, why="container runtime is down"),
            looked=_NOW,
        ),
        ClusterNodeView(name="node-2", role="worker", state=Membership.JOINING, looked=_NOW),
    ),
    refused=RefusalsView(count=2, last=_NOW - 60, text="prod: certificate csr-9 of system:bootstrap:x refused: why"),
    tokens=(JoinTokenView(machine="node-2", expires=_NOW + 900),),
    balancer=ClusterBalancerView(
        looked=_NOW,
        backends=(
            BackendView(listener="prod-api", name="node-0", address="10.77.0.10", port=6443, well=True, out=False),
        ),
    ),
    waiting=("join node-2 to the cluster prod as worker: it has begun",),
    access_ends=_NOW + 30_000_000,
    applications=(
        ClusterAppView(name="web", version="1.2.0", namespace="web", since=_NOW - 300, trouble="1 of 2 are ready"),
    ),
    backups=(
        ClusterBackupView(name="20270115T080000Z", at=_NOW - 7200, version="v1.20.2", revision=4321, size=860_160),
    ),
    provenance="rebuilt",
)


@dataclass(kw_only=True)
class FakeClusters:
    """`configs` are kubeconfigs, by the clusters that are founded."""

    held: dict[str, ClusterView] = field(default_factory=lambda: {PROD.name: PROD})
    configs: dict[str, str] = field(default_factory=lambda: {PROD.name: '{"kind": "Config"}\n'})

    def clusters(self, query: ClustersQuery = EVERY_CLUSTER) -> ClustersView:
        return clusters_page(self.held, self.held.__getitem__, query)

    def cluster(self, name: str) -> ClusterView:
        if name not in self.held:
            raise NotFoundError(f"no cluster is called {name[:70]}", next_action="see: innervate cluster list")
        return self.held[name]

    def kubeconfig(self, name: str) -> Secret:
        self.cluster(name)
        if name not in self.configs:
            raise ConflictError(f"the cluster {name} is not founded yet", next_action="wait")
        return Secret(self.configs[name])
