"""The ground with installed machines and the artifact set at hand; what the appliance keeps outlives its lives."""

import asyncio
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from pathlib import Path

from appliance.conductor.decision import Progress
from appliance.conductor.runs import RunStatus
from appliance.kubernetes import node
from appliance.model.balancer import Balancer
from appliance.model.cluster import ClusterAction, ClusterSpec
from appliance.model.ids import MachineName
from appliance.plan import Plan
from appliance.scores.score import Score
from appliance.store.records import ClusterNoted
from appliance.topology import ClusterRack
from images.artifact_set import ArtifactSet
from tests.cluster.conftest import Artifacts
from tests.cluster.nodes import GATEWAY, Ground, Node, ground
from tests.cluster.product import REGISTRY_PORT, Lent, Life, imported, living, on, serving

_NOTED_SECONDS, _DONE_SECONDS = 120.0, 300.0


class Place:
    """`silent` are machines of which it is known that they do not answer."""

    def __init__(
        self, made: Ground, lent: Lent, machines: tuple[Node, ...], artifacts: ArtifactSet, balancing: Balancer
    ) -> None:
        self.ground, self.lent, self.machines, self.artifacts = made, lent, machines, artifacts
        self.balancing = balancing
        self.silent: frozenset[str] = frozenset()

    def image(self, name: str) -> str:
        """As nodes pull it."""
        (found,) = (one for one in self.artifacts.images if one.repository == f"k8s/{name}")
        return f"{GATEWAY.ip}:{REGISTRY_PORT}/{found.repository}:{found.tag}"

    def life(self) -> AbstractAsyncContextManager[Life]:
        return living(self.ground, self.machines, self.lent, self.silent, balancing=self.balancing)

    def kubectl(self, plane: Node, *words: str, stdin: bytes = b"", seconds: float = 60.0) -> str:
        """By that control plane itself: the endpoint is there as long as the appliance is."""
        kubectl = ("kubectl", f"--kubeconfig={node.ADMIN}", f"--server=https://{plane.address}:6443")
        return self.ground.ssh(plane, *kubectl, *words, stdin=stdin, seconds=seconds)

    def runs(self, plane: Node, deployment: str) -> None:
        """Until all that is wanted of it is ready."""
        with self.alive():
            self.kubectl(plane, "rollout", "status", f"deployment/{deployment}", "--timeout=280s", seconds=300)

    def left(self, machine: Node) -> str:
        """Files of a cluster that are on it still."""
        folders = "/etc/kubernetes /var/lib/kubelet /var/lib/etcd /etc/cni/net.d"
        return self.ground.ssh(machine, "sh", "-c", f"find {folders} -type f 2>/dev/null || :")

    @contextmanager
    def alive(self) -> Iterator[None]:
        """The appliance lives meanwhile: nodes find the cluster's API by its balancer."""
        born, over = threading.Event(), threading.Event()
        thread = threading.Thread(target=on, args=(self.ground, lambda: self._alive(born, over)))
        thread.start()
        try:
            assert born.wait(_NOTED_SECONDS)
            yield
        finally:
            over.set()
            thread.join()

    async def _alive(self, born: threading.Event, over: threading.Event) -> None:
        async with self.life():
            born.set()
            await asyncio.to_thread(over.wait)

    def carry_out(self, score: Score[ClusterRack]) -> tuple[Plan, RunStatus, Plan]:
        """A life long enough for the score: its plan, how that ended, and the plan that is made then."""
        return on(self.ground, lambda: self._carry_out(score))

    def do(self, machine: Node, do: ClusterAction) -> Mapping[str, str]:
        """What the step's own look comes to, after it was begun once."""
        return on(self.ground, lambda: self._do(MachineName(machine.name), do))

    async def _do(self, machine: MachineName, do: ClusterAction) -> Mapping[str, str]:
        async with self.life() as life, asyncio.timeout(_DONE_SECONDS):
            desk = life.hands.clusters
            assert desk is not None
            await desk.begin(machine, do)
            while (sight := await desk.look(machine, do)).progress is Progress.AT_WORK:  # noqa: ASYNC110  a node works
                await asyncio.sleep(0.5)
            assert sight.progress is Progress.DONE, sight
            return sight.evidence

    def spec(self, machine: Node) -> ClusterSpec:
        """Of the cluster that it is a member of."""
        return on(self.ground, lambda: self._spec(MachineName(machine.name)))

    async def _spec(self, machine: MachineName) -> ClusterSpec:
        async with self.life() as life:
            member = life.memory.world.machine(machine).member
            assert member is not None
            return member.cluster

    def import_set(self, name: str) -> None:
        """From its folder below `state/sets`."""
        on(self.ground, lambda: self._import(name))

    async def _import(self, name: str) -> None:
        async with self.life() as life:
            await imported(life.sets, name)

    def noted(self, words: str) -> str:
        """A life until it notes this of a cluster."""
        return on(self.ground, lambda: self._noted(words))

    async def _noted(self, words: str) -> str:
        async with self.life() as life:
            return await noted(life, words)

    async def _carry_out(self, score: Score[ClusterRack]) -> tuple[Plan, RunStatus, Plan]:
        async with self.life() as life:
            plan = life.plan(score)
            run = await life.apply(plan)
            ended = await life.ended(run)
            return plan, ended, life.plan(score)


async def noted(life: Life, words: str) -> str:
    """The latest that is told of a cluster with these words, as soon as there is one."""
    async with asyncio.timeout(_NOTED_SECONDS):
        while True:
            entries = await life.memory.read(after=0, machine=None, limit=1000, kinds=frozenset({"cluster-noted"}))
            notes = [one.record.text for one in entries if isinstance(one.record, ClusterNoted)]
            if found := [note for note in notes if words in note]:
                return found[-1]
            await life.memory.changed(life.memory.tick, 1.0)


@contextmanager
def place(
    artifacts: Artifacts, tree: Path, folder: Path, machines: tuple[Node, ...], balancing: Balancer | None = None
) -> Iterator[Place]:
    """Every machine runs."""
    lent = Lent()
    (folder / "state/sets").mkdir(parents=True)
    subprocess.run(["cp", "-rl", artifacts.folder, folder / "state/sets/kubernetes"], check=True)
    with ExitStack() as stack:
        made = stack.enter_context(ground(folder, tree, machines))
        for machine in machines:
            made.start(machine)
        stack.enter_context(serving(made, lent))
        place = Place(made, lent, machines, artifacts.set, balancing or Balancer())
        place.import_set("kubernetes")
        yield place
