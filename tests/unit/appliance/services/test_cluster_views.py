"""Clusters as people see them: what is known of the machines, beside what the cluster and the balancer said last."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.balancer.state import BackendState
from appliance.conductor.decision import Wait
from appliance.conductor.memory import Memory
from appliance.errors import ConflictError, MachineryError, NotFoundError, UnreachableError
from appliance.kubernetes.objects import Access
from appliance.kubernetes.objects import access as access_of
from appliance.kubernetes.tokens import fresh
from appliance.metrics.clusters import cluster_families
from appliance.metrics.model import exposition
from appliance.model.balancer import Backend, HttpsCheck, Listener
from appliance.model.cluster import ClusterName, ConfirmCluster, JoinCluster, Member, NodeRole, PrepareNode
from appliance.model.cluster_views import ApiState, ClusterBalancerView, ClusterView, Membership
from appliance.model.ids import Fence, MachineName, Nonce, RunId, StepId
from appliance.model.paging import ClustersQuery, last_of
from appliance.model.secret import Secret
from appliance.model.words import RunState
from appliance.plan import Action, Plan, Step
from appliance.services.balancer_watch import BalancerWatch
from appliance.services.cluster_keys import ClusterKeys
from appliance.services.cluster_looks import ClusterLooks
from appliance.services.cluster_members import member_view
from appliance.services.cluster_views import ClusterViews, NoClusters
from appliance.store.cluster_backups import Backup, BackupShelf
from appliance.store.log import Log
from appliance.store.records import ClusterNoted, PlanStored, RunEnded, RunPaused, RunStarted, StepIntent, StepResult
from appliance.store.secrets import SecretFile
from appliance.system import SystemClock, SystemRng
from pxe.tls import make_authority
from tests.openmetrics import read
from tests.unit.appliance.services.cluster_scene import ACCESS, SPEC, A, B, C, Clock, installed
from tests.unit.appliance.services.test_cluster_watch import node

RUN = RunId("run-1")
PREPARE = StepId("prepare")
JOINS, CONFIRMS = StepId("join"), StepId("confirm")


def step(name: StepId, machine: MachineName, do: Action, *needs: StepId) -> Step:
    return Step(id=name, machine=machine, score="cluster", summary=f"{name} it", do=do, budget=60, needs=needs)


PLAN = Plan(
    site="lab",
    steps=(
        step(PREPARE, B, PrepareNode(cluster=SPEC, role=NodeRole.WORKER)),
        step(JOINS, B, JoinCluster(cluster=SPEC, role=NodeRole.WORKER), PREPARE),
        step(CONFIRMS, A, ConfirmCluster(cluster=SPEC, nodes=(A, B)), JOINS),
    ),
)


@dataclass
class Balanced:
    """Leads to the first control plane, and says what the test wants."""

    well: bool = True
    trouble: MachineryError | None = None

    def wanted_by(self, cluster: str) -> tuple[Listener, ...]:
        backends = (Backend(name=A, address=IPv4Address("10.77.0.10"), port=6443),)
        return (Listener(name="prod-api", port=6443, backends=backends, check=HttpsCheck()),) * (cluster == SPEC.name)

    async def states(self) -> tuple[BackendState, ...]:
        if self.trouble is not None:
            raise self.trouble
        one = BackendState(
            listener="prod-api", backend=A, address=IPv4Address("10.77.0.10"), port=6443, well=self.well, out=False
        )
        return one, replace(one, listener="other-api")


@dataclass
class Scene:
    memory: Memory
    keys: ClusterKeys
    looks: ClusterLooks
    views: ClusterViews
    balanced: Balanced
    watch: BalancerWatch
    waits: dict[MachineName, Wait]

    def join(self, *names: MachineName, role: NodeRole = NodeRole.WORKER, since: float = 1.0) -> None:
        for name in names:
            member = Member(cluster=SPEC, role=role, since=since)
            self.memory.world.machines[name] = replace(installed(name), member=member)

    async def begin(self) -> None:
        """A run that goes on: B is being prepared."""
        await self.memory.remember(PlanStored(plan=PLAN), RunStarted(run=RUN, plan=PLAN.digest))
        await self.intent(PREPARE, B)

    async def intent(self, name: StepId, machine: MachineName) -> None:
        kind = next(one.kind for one in PLAN.steps if one.id == name)
        await self.memory.remember(
            StepIntent(run=RUN, step=name, machine=machine, kind=kind, fence=Fence(1), nonce=Nonce("a" * 32))
        )

    def prod(self) -> ClusterView:
        return self.views.cluster("prod")


@asynccontextmanager
async def standing(folder: Path) -> AsyncIterator[Scene]:
    log = Log(folder / "records.db", SystemClock())
    memory = Memory(log)
    memory.open()
    file = SecretFile(folder / "clusters.vault", SystemRng())
    keys = ClusterKeys(file)
    looks, balanced, waits = ClusterLooks(), Balanced(), dict[MachineName, Wait]()
    watch = BalancerWatch(balanced, Clock())
    views = ClusterViews(
        memory, keys, looks, Clock(), shelf=BackupShelf(folder / "clusters"), balancer=watch, waiting=waits.get
    )
    try:
        yield Scene(memory, keys, looks, views, balanced, watch, waits)
    finally:
        file.close()
        log.close()


def played(folder: Path, scene: Callable[[Scene], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with standing(folder) as one:
            await scene(one)

    asyncio.run(whole())


def test_what_comes_to_be_one(tmp_path: Path) -> None:
    async def scene(one: Scene) -> None:
        assert one.views.clusters().clusters == ()
        with pytest.raises(NotFoundError):
            one.prod()
        await one.begin()
        one.waits[B] = Wait(why="it has begun")
        view = one.prod()
        assert view.api.state is ApiState.UNFOUNDED
        assert [(node.name, node.state, node.role, node.said) for node in view.nodes] == [
            (B, Membership.JOINING, "worker", None)
        ]
        assert view.waiting == ("prepare it: it has begun", "confirm it: after join")
        assert (view.wanted, view.ready, view.engine, view.version) == (1, None, "kubeadm", "v1.20.2")
        with pytest.raises(ConflictError, match="not founded yet"):
            one.views.kubeconfig("prod")
        await one.memory.remember(RunPaused(run=RUN, reason="coffee", by="ann"))
        assert one.prod().waiting[0].endswith("run run-1 is paused: coffee")
        await one.memory.remember(RunEnded(run=RUN, state=RunState.CANCELLED))
        assert one.views.clusters().clusters == (), "nobody is a member"

    played(tmp_path, scene)


def test_what_the_cluster_says_stands_beside_what_is_known(tmp_path: Path) -> None:
    """A machine that it does not list, one that is no machine of ours, and since when it does not answer."""

    async def scene(one: Scene) -> None:
        one.join(A, role=NodeRole.CONTROL_PLANE)
        one.join(B, C)
        one.keys.keep(SPEC.name, ACCESS)
        assert one.prod().api.state is ApiState.UNSEEN
        assert "innervate plan" in one.prod().waiting[0]
        look = one.looks.of(SPEC.name)
        look = look.answered("", (node(A), node(B, ready=False), node(MachineName("eve"))), 990.0)
        one.looks.keep(look)
        view = one.prod()
        assert (view.api.state, view.api.looked, view.wanted, view.ready) == (ApiState.READY, 990.0, 3, 1)
        said = {node.name: (node.state, node.said and node.said.ready, node.looked) for node in view.nodes}
        assert said == {
            A: (Membership.MEMBER, True, 990.0),
            B: (Membership.MEMBER, False, 990.0),
            C: (Membership.MEMBER, None, 990.0),
            "eve": (Membership.STRANGER, True, 990.0),
        }
        one.looks.keep(look.silent(UnreachableError("no answer", evidence="refused"), 995.0))
        view = one.prod()
        assert (view.api.state, view.api.silent_since, view.api.looked) == (ApiState.SILENT, 995.0, 990.0)
        assert (view.api.lacks, view.api.evidence, view.ready) == ("no answer", "refused", None)
        assert view.nodes[0].said is not None, "what it last said"
        one.looks.keep(look.answered("[-]etcd", (), 999.0))
        assert (one.prod().api.state, one.prod().api.lacks, one.prod().ready) == (ApiState.NOT_READY, "[-]etcd", 0)

    played(tmp_path, scene)


def test_confirmed_is_who_was_there_then(tmp_path: Path) -> None:
    async def scene(one: Scene) -> None:
        await one.begin()
        one.join(A, role=NodeRole.CONTROL_PLANE)
        one.join(B)
        await one.intent(CONFIRMS, A)
        await one.memory.remember(StepResult(run=RUN, step=CONFIRMS, machine=A, fence=Fence(1)))
        one.join(C, since=datetime.now(UTC).timestamp() + 60)
        assert {node.name: node.state for node in one.prod().nodes} == {
            A: Membership.CONFIRMED,
            B: Membership.CONFIRMED,
            C: Membership.MEMBER,
        }
        world = one.memory.world
        shown = member_view(world.machine(B), world)
        assert shown is not None
        assert (shown.cluster, shown.role, shown.state) == ("prod", "worker", Membership.CONFIRMED)
        assert member_view(installed(B), world) is None

    played(tmp_path, scene)


def test_refusals_tokens_and_the_key(tmp_path: Path) -> None:
    """Counts outlive the daemon; a token and a key are in no view."""
    authority = make_authority(name="kubernetes", now=datetime(2026, 1, 1, tzinfo=UTC))
    pem = authority.certificate.decode()
    key = Secret("kanarie-key")

    async def scene(one: Scene) -> None:
        one.join(A)
        one.keys.keep(SPEC.name, Access(ca=pem, certificate=pem, key=key))
        token = fresh(C, SystemRng(), 1000.0)
        one.keys.issue(SPEC.name, token, 1000.0)
        for refused in (True, False, True):
            await one.memory.remember(ClusterNoted(cluster=SPEC.name, text=f"prod: {refused}", refused=refused))
        view = one.prod()
        assert (view.refused.count, view.refused.text) == (2, "prod: True")
        assert view.refused.last is not None
        assert [(one.machine, one.expires) for one in view.tokens] == [(C, token.expires)]
        assert view.access_ends is not None
        assert datetime.fromtimestamp(view.access_ends, UTC).year == 2045
        for secret in (token.secret.reveal(), token.id, "kanarie", "BEGIN"):
            assert secret not in repr(view)
        config = one.views.kubeconfig("prod")
        assert "kanarie" not in f"{config!r} {config}"
        document = json.loads(config.reveal())
        assert document["clusters"][0]["cluster"]["server"] == "https://10.77.0.2:6443"
        assert document["current-context"] == document["contexts"][0]["name"] == "prod"
        assert access_of(document) == Access(ca=pem, certificate=pem, key=key)

    async def later(one: Scene) -> None:
        one.join(A)
        assert one.prod().refused.count == 2

    played(tmp_path, scene)
    played(tmp_path, later)


def test_the_balancers_word(tmp_path: Path) -> None:
    async def scene(one: Scene) -> None:
        one.join(A, role=NodeRole.CONTROL_PLANE)
        assert one.prod().balancer == ClusterBalancerView()
        await one.watch.look()
        shown = one.prod().balancer
        assert shown is not None
        assert [(each.listener, each.name, each.address, each.well) for each in shown.backends] == [
            ("prod-api", A, "10.77.0.10", True)
        ]
        one.balanced.trouble = MachineryError("no haproxy", evidence="\x1b[1mno socket")
        await one.watch.look()
        shown = one.prod().balancer
        assert shown is not None
        assert (shown.trouble, len(shown.backends), shown.looked) == ("no haproxy: no socket", 1, 1000.0)
        assert one.watch.view(ClusterName("other")) is None

    played(tmp_path, scene)


def test_pages_and_metrics(tmp_path: Path) -> None:
    async def scene(one: Scene) -> None:
        for number in (10, 2, 1):
            cluster = replace(SPEC, name=ClusterName(f"c{number}"))
            member = Member(cluster=cluster, role=NodeRole.CONTROL_PLANE, since=1.0)
            name = MachineName(f"m{number}")
            one.memory.world.machines[name] = replace(installed(A), name=name, member=member)
        first = one.views.clusters(ClustersQuery(limit=2))
        assert [each.name for each in first.clusters] == ["c1", "c2"]
        last = one.views.clusters(ClustersQuery(after=last_of(first.next), limit=2))
        assert ([each.name for each in last.clusters], last.next) == (["c10"], "")
        look = one.looks.of(ClusterName("c1"))
        one.looks.keep(look.answered("", (replace(node(A), name="m1"),), 1.0))
        one.looks.keep(one.looks.of(ClusterName("c2")).silent(UnreachableError("no"), 1.0))
        found = read(exposition(cluster_families(one.views.clusters().clusters)))
        assert found["innervate_cluster_api_up"].of(cluster="c1") == 1
        assert found["innervate_cluster_api_up"].of(cluster="c2") == 0
        assert found["innervate_cluster_nodes_ready"].of(cluster="c1") == 1
        assert found["innervate_cluster_nodes_wanted"].of(cluster="c10") == 1
        assert found["innervate_cluster_requests_refused"].of("_total", cluster="c10") == 0
        for metric, absent in (("nodes_ready", "c2"), ("api_up", "c10")):
            with pytest.raises(KeyError):
                found[f"innervate_cluster_{metric}"].of(cluster=absent)

    played(tmp_path, scene)


def test_a_site_without_clusters() -> None:
    assert NoClusters().clusters().clusters == ()
    for ask in (NoClusters().cluster, NoClusters().kubeconfig):
        with pytest.raises(NotFoundError):
            ask("prod")


def test_backups_are_those_of_this_cluster_and_not_of_another_that_had_its_name(tmp_path: Path) -> None:
    shelf = BackupShelf(tmp_path / "clusters")

    async def scene(one: Scene) -> None:
        one.join(A)
        one.keys.keep(SPEC.name, ACCESS)
        mine = hashlib.sha256(ACCESS.ca.encode()).hexdigest()
        for at, authority in ((1.0, "another"), (2.0, mine), (3.0, mine)):
            name, sha256 = shelf.put(SPEC.name, at, lambda out: None)
            about = {"version": "v1.20.2", "revision": 7, "size": 9, "sha256": sha256, "authority": authority}
            shelf.finish(SPEC.name, Backup(name=name, at=at, **about))  # type: ignore[arg-type]
        assert [backup.at for backup in one.prod().backups] == [3.0, 2.0]

    played(tmp_path, scene)
