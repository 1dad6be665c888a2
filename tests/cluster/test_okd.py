"""An OKD as a site program states it, by the conductor, though the appliance dies in each step.

Programs, boot files and machines stand in; all else is the product's own. Ignition's engine, API servers and balancer
are the genuine ones."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator

import pytest

from appliance.acceptance.cluster import at_rest
from appliance.conductor.runs import RunStatus
from appliance.kubernetes.kubeconfig import kubeconfig
from appliance.model.cluster import ClusterName
from appliance.model.ids import MachineName, RunId, StepId
from appliance.model.views import RunState
from appliance.okd import serving
from appliance.plan import Plan
from appliance.scores.okd import OkdCluster
from appliance.services.clustering import connect
from appliance.store.records import ClusterNoted
from tests.cluster.nodes import nodes
from tests.cluster.product import on
from tests.cluster.test_score import pem
from tests.okd import place as places
from tests.okd.place import Place
from tests.okd.standin import installer

pytestmark = [pytest.mark.alone, pytest.mark.long, pytest.mark.timeout(900)]
BOOT, PLANES, WORKERS = "boot", ("cp-0", "cp-1", "cp-2"), ("w-0",)
NODES = nodes(BOOT, *PLANES, *WORKERS)
SCORE = OkdCluster(cluster="prod", set=places.SET, bootstrap=(BOOT,), control_planes=PLANES, workers=WORKERS)
PROD = ClusterName("prod")
DEATHS = (
    *("check-okd", "serve-okd", "make-okd", "run-installer", "boot-disk", "start-okd", "lead-okd", "join-okd"),
    "confirm-okd",
)
ONCE = {"serve-okd": 1, "make-okd": 1, "run-installer": 2, "lead-okd": 1}
"""Orders of each step: an installer's are two, from where the machine starts and that it does."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("okd")
    if not places.programs(folder / "programs"):
        pytest.skip("NOT TESTED: there is no Kubernetes in the store; build it (15 minutes): ./run image kubernetes")
    with places.place(folder, NODES, PLANES, WORKERS) as made:
        yield made


def test_nothing_is_started_where_something_is_not_as_it_should_be(place: Place) -> None:
    """A file that the disk has changed, and boot files of another release, are found before anything begins."""
    path = next(place.ground.folder.glob("state/shelf/**/scos-live-rootfs*"), None)
    assert path is not None
    was = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(b"x" + was[1:])
    try:
        ended = on(place.ground, lambda: _applied(place))
    finally:
        path.write_bytes(was)
    results = {step.rpartition(".")[2]: one.result for step, one in ended.attempts.items()}
    assert ended.state is RunState.FAILED
    assert set(results) == {"check-okd"}
    problem = results["check-okd"].problem if results["check-okd"] is not None else None
    assert problem is not None
    assert "scos-live-rootfs.x86_64.img is not what the set says" in problem.evidence
    assert set(place.machines.starts.values()) == {0}


async def _applied(place: Place) -> RunStatus:
    async with place.life() as life:
        return await life.ended(await life.apply(life.plan(SCORE)))


def test_from_bare_machines_to_a_cluster_though_the_appliance_dies_in_each_step(place: Place) -> None:
    """Machines go on by themselves meanwhile: whoever comes after looks, and orders nothing twice."""
    plan, run = on(place.ground, lambda: _begun(place))
    for action in DEATHS:
        on(place.ground, lambda action=action: _until(place, run, action))  # type: ignore[misc]
    ended = on(place.ground, lambda: _through(place, run))
    assert ended.state is RunState.DONE, [one.result for one in ended.attempts.values()]
    for step in plan.steps:
        assert len(ended.attempts[step.id].orders) == ONCE.get(step.do.action, 0), step.id
    after = max(one.ended or 0.0 for step, one in ended.attempts.items() if step.endswith(("start-okd", "lead-okd")))
    assert ended.attempts[StepId(f"okd.{WORKERS[0]}.run-installer")].started >= after
    evidence = {step.rpartition(".")[2]: one.result.evidence for step, one in ended.attempts.items() if one.result}
    assert evidence["check-okd"]["provenance"].startswith("STAND-IN")
    assert "safe to remove the bootstrap" in evidence["start-okd"]["the installer"]
    assert evidence["confirm-okd"]["release"] == installer.VERSION


async def _begun(place: Place) -> tuple[Plan, RunId]:
    async with place.life() as life:
        plan = life.plan(SCORE)
        return plan, await life.apply(plan)


async def _until(place: Place, run: RunId, action: str) -> None:
    async with place.life() as life:
        await life.begun(run, action, ONCE.get(action, 0))


async def _through(place: Place, run: RunId) -> RunStatus:
    async with place.life() as life:
        ended = await life.ended(run)
        assert ended.state is not RunState.DONE or not life.plan(SCORE).steps, "the second time there is nothing to do"
        return ended


def test_each_machine_was_switched_on_and_installed_once_and_then_ran_from_its_disk(place: Place) -> None:
    assert set(place.machines.starts.values()) == {1}
    for node in NODES:
        folder, console = place.machines.folder(node.name), place.machines.console(node.name)
        assert (folder / "installs").read_text() == "x", "it was not installed again"
        assert (folder / "disk/etc/hostname").read_text() == f"{node.name}\n", "the genuine engine wrote it"
        assert Counter(line.split(" ", 1)[1] for line in console.splitlines())["boots its disk"] == 1
    assert (place.machines.folder("cp-1") / "disk/etc/innervate-stand-in-role").read_text() == "master"


def test_the_bootstrap_machine_has_left_the_balancer(place: Place) -> None:
    found = on(place.ground, lambda: _backends(place))
    assert found == {
        "prod-api": set(PLANES),
        "prod-configs": set(PLANES),
        "prod-https": set(WORKERS),
        "prod-http": set(WORKERS),
    }


async def _backends(place: Place) -> dict[str, set[str]]:
    async with place.life() as life:
        await life.settled()
        balancer = life.balancer
        assert [one.port for one in balancer.wanted_by(PROD)] == list(serving.PORTS)
        found: dict[str, set[str]] = {}
        for state in await balancer.states():
            found.setdefault(state.listener, set()).add(state.backend)
        return found


def test_two_certificates_for_each_node_and_none_for_others(place: Place) -> None:
    """By the appliance's own judgement: the joining name is every node's, and gets none a second time."""
    noted = on(place.ground, lambda: _forged(place))
    approved = Counter(one.partition(" of ")[0].rpartition(" ")[2] for one in noted if " approved: " in one)
    wanted = {f"csr-{name}-{purpose}" for name in (*PLANES, *WORKERS) for purpose in ("client", "server")}
    assert approved == dict.fromkeys(wanted, 1)
    refused = {one.partition(" of ")[0].rpartition(" ")[2]: one for one in noted if " refused: " in one}
    assert "asks in the name of w-0" in refused["forged-w-0"]
    assert refused["forged-stranger"].endswith("no machine of this cluster is called stranger")


async def _forged(place: Place) -> list[str]:
    """Whoever has what all machines join with asks in the name of a node that is there, and of one that is none."""
    async with place.life() as life:
        await life.settled()
        for name in ("w-0", "stranger"):
            await asyncio.to_thread(place.forge, name, pem(name))
        while True:
            entries = await life.memory.read(after=0, machine=None, limit=1000, kinds=frozenset({"cluster-noted"}))
            notes = [one.record.text for one in entries if isinstance(one.record, ClusterNoted)]
            if sum(" refused: " in note for note in notes) >= 2:
                return notes
            await life.memory.changed(life.memory.tick, 1.0)


def test_the_appliance_has_the_cluster_s_access_sealed(place: Place) -> None:
    nodes_ready, sealed = on(place.ground, lambda: _entered(place))
    assert nodes_ready == {*PLANES, *WORKERS}
    assert b"PRIVATE KEY" not in sealed


async def _entered(place: Place) -> tuple[set[str], bytes]:
    async with place.life() as life:
        await life.settled()
        member = life.memory.world.machine(MachineName("cp-0")).member
        access = life.keys.access(PROD)
        assert member is not None
        assert access is not None
        async with connect(f"https://{member.cluster.endpoint}:6443", access) as api:
            ready = {node.name for node in await api.nodes() if node.ready}
        written = kubeconfig(PROD, f"https://{member.cluster.endpoint}:6443", access)
        said = await at_rest(json.loads(written.reveal()), installer.VERSION)
        assert said == "3 operators, 2 pools and 4 nodes at rest", "as `innervate accept --kubeconfig` says it"
        vaults = (place.ground.folder / "state").glob("*.vault")
        return ready, b"".join(path.read_bytes() for path in vaults)
