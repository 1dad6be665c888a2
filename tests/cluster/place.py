"""The ground with installed machines and the artifact set at hand; what the appliance keeps outlives its lives."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from pathlib import Path

from appliance.conductor.runs import RunStatus
from appliance.kubernetes import node
from appliance.plan import Plan
from appliance.scores.cluster import KubernetesCluster
from appliance.scores.cluster_life import NoCluster
from appliance.store.records import ClusterNoted
from images.artifact_set import ArtifactSet
from tests.cluster.conftest import Artifacts
from tests.cluster.nodes import GATEWAY, Ground, Node, ground
from tests.cluster.product import REGISTRY_PORT, Lent, Life, imported, living, on, serving

_NOTED_SECONDS = 120.0


class Place:
    """`silent` are machines of which it is known that they do not answer."""

    def __init__(self, made: Ground, lent: Lent, machines: tuple[Node, ...], artifacts: ArtifactSet) -> None:
        self.ground, self.lent, self.machines, self.artifacts = made, lent, machines, artifacts
        self.silent: frozenset[str] = frozenset()

    def image(self, name: str) -> str:
        """As nodes pull it."""
        (found,) = (one for one in self.artifacts.images if one.repository == f"k8s/{name}")
        return f"{GATEWAY.ip}:{REGISTRY_PORT}/{found.repository}:{found.tag}"

    def life(self) -> AbstractAsyncContextManager[Life]:
        return living(self.ground, self.machines, self.lent, self.silent)

    def kubectl(self, plane: Node, *words: str, stdin: bytes = b"", seconds: float = 60.0) -> str:
        """By that control plane itself: the endpoint is there as long as the appliance is."""
        kubectl = ("kubectl", f"--kubeconfig={node.ADMIN}", f"--server=https://{plane.address}:6443")
        return self.ground.ssh(plane, *kubectl, *words, stdin=stdin, seconds=seconds)

    def runs(self, plane: Node, deployment: str) -> None:
        """All that is wanted of it is ready."""
        self.kubectl(plane, "rollout", "status", f"deployment/{deployment}", "--timeout=280s", seconds=300)

    def carry_out(self, score: KubernetesCluster | NoCluster) -> tuple[Plan, RunStatus, Plan]:
        """A life long enough for the score: its plan, how that ended, and the plan that is made then."""
        return on(self.ground, lambda: self._carry_out(score))

    def noted(self, words: str) -> str:
        """A life until it notes this of a cluster."""
        return on(self.ground, lambda: self._noted(words))

    async def _noted(self, words: str) -> str:
        async with self.life() as life, asyncio.timeout(_NOTED_SECONDS):
            while True:
                entries = await life.memory.read(after=0, machine=None, limit=1000, kinds=frozenset({"cluster-noted"}))
                notes = [one.record.text for one in entries if isinstance(one.record, ClusterNoted)]
                if found := [note for note in notes if words in note]:
                    return found[-1]
                await life.memory.changed(life.memory.tick, 1.0)

    async def _carry_out(self, score: KubernetesCluster | NoCluster) -> tuple[Plan, RunStatus, Plan]:
        async with self.life() as life:
            plan = life.plan(score)
            run = await life.apply(plan)
            ended = await life.ended(run)
            return plan, ended, life.plan(score)


@contextmanager
def place(artifacts: Artifacts, tree: Path, folder: Path, machines: tuple[Node, ...]) -> Iterator[Place]:
    """Every machine runs."""
    lent = Lent()
    (folder / "state/sets").mkdir(parents=True)
    subprocess.run(["cp", "-rl", artifacts.folder, folder / "state/sets/kubernetes"], check=True)
    with ExitStack() as stack:
        made = stack.enter_context(ground(folder, tree, machines))
        for machine in machines:
            made.start(machine)
        stack.enter_context(serving(made, lent))
        place = Place(made, lent, machines, artifacts.set)
        on(made, lambda: _import(place))
        yield place


async def _import(place: Place) -> None:
    async with place.life() as life:
        await imported(life.sets, "kubernetes")
