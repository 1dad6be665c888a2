"""Clusters as people see them: what the world knows, what each cluster said last, and what the balancer says of it."""

from collections.abc import Callable, Iterator
from functools import lru_cache

from cryptography.x509 import load_pem_x509_certificate

from appliance.conductor.decision import Wait
from appliance.conductor.memory import Memory
from appliance.errors import ConflictError, NotFoundError
from appliance.kubernetes.kubeconfig import kubeconfig
from appliance.kubernetes.objects import Access, Node
from appliance.model.cluster import ClusterName, NodeRole, SetRef
from appliance.model.cluster_views import (
    ApiState,
    ClusterApiView,
    ClusterAppView,
    ClusterBackupView,
    ClusterNodeView,
    ClustersView,
    ClusterView,
    JoinTokenView,
    Membership,
    NodeWordView,
    RefusalsView,
)
from appliance.model.ids import MachineName
from appliance.model.paging import EVERY_CLUSTER, ClustersQuery, clusters_page, name_order
from appliance.model.secret import Secret
from appliance.ports import Clock
from appliance.services.app_looks import AppLooks
from appliance.services.balancer_watch import BalancerWatch
from appliance.services.cluster_backups import held
from appliance.services.cluster_hold import url_of
from appliance.services.cluster_keys import ClusterKeys
from appliance.services.cluster_looks import ClusterLook, ClusterLooks
from appliance.services.cluster_members import Coming, Known, known, membership
from appliance.store.cluster_backups import BackupShelf

_WAITS_SHOWN = 20


class NoClusters:
    """Of a site whose topology serves none."""

    def clusters(self, query: ClustersQuery = EVERY_CLUSTER) -> ClustersView:
        return ClustersView(clusters=())

    def cluster(self, name: str) -> ClusterView:
        raise _unknown(name)

    def kubeconfig(self, name: str) -> Secret:
        raise _unknown(name)


class ClusterViews:
    """`waiting` is what a machine waits for now."""

    def __init__(
        self,
        memory: Memory,
        keys: ClusterKeys,
        looks: ClusterLooks,
        clock: Clock,
        *,
        shelf: BackupShelf,
        apps: AppLooks[ClusterName] | None = None,
        balancer: BalancerWatch | None = None,
        waiting: Callable[[MachineName], Wait | None] = lambda _machine: None,
    ) -> None:
        self._memory, self._keys, self._looks, self._clock = memory, keys, looks, clock
        self._shelf, self._balancer, self._waiting = shelf, balancer, waiting
        self._apps = apps or AppLooks()

    def clusters(self, query: ClustersQuery = EVERY_CLUSTER) -> ClustersView:
        found = known(self._memory.world)
        return clusters_page(found, lambda name: self._view(found[name]), query)

    def cluster(self, name: str) -> ClusterView:
        return self._view(self._known(name))

    def kubeconfig(self, name: str) -> Secret:
        spec = self._known(name).spec
        if (access := self._keys.access(spec.name)) is None:
            raise ConflictError(
                f"the cluster {spec.name} is not founded yet: nobody can enter it",
                next_action=f"look what it waits for: innervate cluster show {spec.name}",
            )
        return kubeconfig(spec.name, url_of(spec), access)

    def _known(self, name: str) -> Known:
        if (found := known(self._memory.world).get(ClusterName(name))) is None:
            raise _unknown(name)
        return found

    def _view(self, one: Known) -> ClusterView:
        name, world = one.spec.name, self._memory.world
        look, access, past = self._looks.of(name), self._keys.access(name), world.cluster_past(name)
        wanted = {*one.members, *one.joining}
        return ClusterView(
            name=name,
            engine=one.spec.set.engine.value,
            version=one.spec.set.version,
            endpoint=url_of(one.spec),
            api=_api(look, founded=access is not None),
            wanted=len(wanted),
            ready=_ready(look, wanted),
            nodes=tuple(sorted(self._nodes(one, look), key=lambda node: (node.role, name_order(node.name)))),
            refused=RefusalsView(count=past.refused, last=past.last, text=past.text),
            tokens=self._tokens(name),
            balancer=self._balancer.view(name) if self._balancer is not None else None,
            waiting=self._waits(one),
            access_ends=_end(access),
            backups=self._backups(name, access),
            applications=tuple(self._applications(name)),
            provenance=self._provenance(one.spec.set),
        )

    def _applications(self, cluster: ClusterName) -> Iterator[ClusterAppView]:
        for (where, name), one in sorted(self._memory.world.applications.items()):
            if where == cluster:
                yield ClusterAppView(
                    name=name,
                    version=one.app.package.version,
                    namespace=one.app.namespace,
                    since=one.since,
                    trouble=self._apps.trouble(cluster, name),
                )

    def _nodes(self, one: Known, look: ClusterLook) -> Iterator[ClusterNodeView]:
        listed = {node.name: node for node in look.nodes}
        past = self._memory.world.cluster_past(one.spec.name)
        for name, member in one.members.items():
            state = membership(member, past)
            yield _node(name, member.role, state, listed.pop(name, None), look, member.since)
        for name, role in one.joining.items():
            yield _node(name, role, Membership.JOINING, listed.pop(name, None), look)
        for node in listed.values():
            role = NodeRole.CONTROL_PLANE if node.control_plane else NodeRole.WORKER
            yield _node(node.name, role, Membership.STRANGER, node, look)

    def _backups(self, name: ClusterName, access: Access | None) -> tuple[ClusterBackupView, ...]:
        return tuple(
            ClusterBackupView(name=one.name, at=one.at, version=one.version, revision=one.revision, size=one.size)
            for one in reversed(held(self._shelf, name, access))
        )

    def _provenance(self, ref: SetRef) -> str:
        held = self._memory.world.sets.get(ref.name)
        return held.described.provenance.value if held and SetRef.of(ref.name, held.described) == ref else ""

    def _tokens(self, name: ClusterName) -> tuple[JoinTokenView, ...]:
        issued = self._keys.issued(name, self._clock.now())
        return tuple(JoinTokenView(machine=machine, expires=one.expires) for machine, one in sorted(issued.items()))

    def _waits(self, one: Known) -> tuple[str, ...]:
        waits = [self._wait(name, coming) for name, coming in one.coming.items()]
        if not waits and self._memory.world.cluster_past(one.spec.name).confirmed is None:
            return ("nothing has shown yet that all its nodes are ready, and no run works on it: innervate plan",)
        more = len(waits) - _WAITS_SHOWN
        return (*waits[:_WAITS_SHOWN], *((f"and {more} machines more",) if more > 0 else ()))

    def _wait(self, name: MachineName, coming: Coming) -> str:
        run, state, wait = coming.run, self._memory.world.machine(name), self._waiting(name)
        if run.paused is not None:
            return f"{name}: run {run.id} is paused: {run.paused.reason}"
        if state.attempt is not None and state.attempt.run == run.id:
            doing = run.index.by_id[state.attempt.step].summary
            return f"{doing}: {wait.why}" if wait is not None else doing
        open_ = [need for need in coming.step.needs if not run.is_done(need)]
        return f"{coming.step.summary}: after {', '.join(open_)}" if open_ else f"{coming.step.summary}: next"


def _api(look: ClusterLook, *, founded: bool) -> ClusterApiView:
    if look.silent_since is not None:
        return ClusterApiView(
            state=ApiState.SILENT,
            lacks=look.trouble,
            evidence=look.evidence,
            next_action=look.next_action,
            looked=look.looked,
            silent_since=look.silent_since,
        )
    if look.looked is None:
        return ClusterApiView(state=ApiState.UNSEEN if founded else ApiState.UNFOUNDED)
    state = ApiState.NOT_READY if look.lacks else ApiState.READY
    return ClusterApiView(state=state, lacks=look.lacks, looked=look.looked)


def _node(
    name: str, role: NodeRole, state: Membership, node: Node | None, look: ClusterLook, since: float | None = None
) -> ClusterNodeView:
    said = (
        NodeWordView(ready=node.ready, version=node.version, schedulable=node.schedulable, why=node.why)
        if node is not None
        else None
    )
    return ClusterNodeView(name=name, role=role.value, state=state, since=since, said=said, looked=look.looked)


def _ready(look: ClusterLook, wanted: set[MachineName]) -> int | None:
    if look.looked is None or look.silent_since is not None:
        return None
    return sum(node.ready and node.name in wanted for node in look.nodes)


def _end(access: Access | None) -> float | None:
    """When nobody can say, nobody does."""
    return _end_of(access.certificate) if access is not None else None


@lru_cache(maxsize=64)
def _end_of(certificate: str) -> float | None:
    try:
        return load_pem_x509_certificate(certificate.encode()).not_valid_after_utc.timestamp()
    except ValueError:
        return None


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(f"no cluster is called {name[:70]}", next_action="see: innervate cluster list")
