"""A cluster as a site program states it, by the conductor: founded, joined, confirmed, and then left alone."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from appliance.conductor.runs import RunStatus
from appliance.kubernetes import node
from appliance.model.cluster import NodeRole
from appliance.model.views import RunState
from appliance.plan import Plan
from appliance.scores.cluster import KubernetesCluster
from tests.cluster.conftest import Artifacts
from tests.cluster.nodes import Ground, ground, nodes
from tests.cluster.product import Lent, imported, living, on, serving

pytestmark = [pytest.mark.alone, pytest.mark.timeout(600)]
PLANE, WORKER = MACHINES = nodes("plane", "worker")
KUBECTL = ("kubectl", f"--kubeconfig={node.ADMIN}")


class Place:
    """The ground with two installed machines; what the appliance keeps is in its folder, through all its lives."""

    def __init__(self, made: Ground, lent: Lent, name: str) -> None:
        self.ground, self.lent = made, lent
        self.score = KubernetesCluster(
            cluster="prod", set=name, endpoint=PLANE.address, control_planes=("plane",), workers=("worker",)
        )

    def kubectl(self, *words: str) -> str:
        return self.ground.ssh(PLANE, *KUBECTL, *words)


@pytest.fixture(scope="module")
def place(artifacts: Artifacts, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder, lent = tmp_path_factory.mktemp("ground"), Lent()
    (folder / "state/sets").mkdir(parents=True)
    subprocess.run(["cp", "-rl", artifacts.folder, folder / "state/sets/kubernetes"], check=True)
    with ExitStack() as stack:
        made = stack.enter_context(ground(folder, tree, MACHINES))
        for machine in MACHINES:
            made.start(machine)
        stack.enter_context(serving(made, lent))
        place = Place(made, lent, artifacts.set.name)
        on(made, lambda: _import(place))
        yield place


async def _import(place: Place) -> None:
    async with living(place.ground, MACHINES, place.lent) as life:
        await imported(life.sets, "kubernetes")


async def _brought_up(place: Place) -> tuple[Plan, RunStatus, Plan]:
    async with living(place.ground, MACHINES, place.lent) as life:
        plan = life.plan(place.score)
        ended = await life.ended(await life.apply(plan))
        roles = {name: state.member.role for name, state in life.memory.world.machines.items() if state.member}
        assert ended.state is RunState.DONE, [one.result for one in ended.attempts.values()]
        assert roles == {"plane": NodeRole.CONTROL_PLANE, "worker": NodeRole.WORKER}
        return plan, ended, life.plan(place.score)


def test_from_installed_machines_to_a_cluster_that_says_it_is_ready(place: Place) -> None:
    plan, ended, after = on(place.ground, lambda: _brought_up(place))
    assert [step.id for step in plan.steps] == [
        "cluster.plane.prepare-node",
        "cluster.plane.found-cluster",
        "cluster.worker.prepare-node",
        "cluster.worker.join-cluster",
        "cluster.plane.confirm-cluster",
    ]
    assert not after.steps
    (confirmed,) = (one.result for step, one in ended.attempts.items() if step.endswith("confirm-cluster"))
    assert confirmed is not None
    assert confirmed.evidence["ready nodes"] == "plane v1.20.2, worker v1.20.2"
    assert "worker   Ready" in place.kubectl("get", "nodes")
