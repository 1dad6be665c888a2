"""An application's life on container hosts, with Debian's own podman: put there by the product, changed from one
version to the next, given back, mended and retired."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from appliance.conductor.memory import Memory
from appliance.conductor.runs import RunStatus
from appliance.model.ids import MachineName
from appliance.model.views import RunState
from appliance.plan import Plan
from appliance.scores.hosted import HostedApplication, NoHostedApplication
from appliance.scores.score import Score
from appliance.store.records import Noted, Problem
from appliance.topology import ClusterRack
from tests.cluster.conftest import Artifacts
from tests.cluster.hosted import NAME, UNWELL, somebody_asks, until_answers, version
from tests.cluster.nodes import Ground, Node, ground, nodes
from tests.cluster.product import Lent, imported, living, on, serving

pytestmark = [pytest.mark.alone, pytest.mark.long, pytest.mark.timeout(900)]
ONE, TWO = BOTH = nodes("one", "two")
SHORT = 40.0
"""Seconds that versions get which will not become well."""
_NOTED_SECONDS = 120.0
UNITS = f"/etc/containers/systemd/innervate-{NAME}"
# The ground's control groups have no controllers where this machine has them in the old hierarchies.
_NO_LIMITS = "mkdir -p /etc/containers/containers.conf.d; printf '[containers]\\npids_limit = 0\\n' >$0"
# What does not come from the appliance is refused, though it is the same image.
_BY_ANOTHER_WAY = """\
podman save --quiet --output /tmp/image "$(podman images --format '{{.Repository}}@{{.Digest}}')" 2>&1
podman load --input /tmp/image 2>&1 || :
"""


@dataclass(frozen=True, slots=True)
class Place:
    ground: Ground
    lent: Lent
    podman: str
    work: Path

    def version(self, number: str, *, health: str = "", name: str = NAME, more: str = "") -> HostedApplication:
        """Imported already."""
        made = version(self.ground.folder / "state/sets", self.work, number, health=health, name=name, more=more)
        on(self.ground, lambda: self._import(made.name))
        return HostedApplication(package=made.name, hosts=(ONE.name, TWO.name), set=self.podman, patience=240.0)

    def carry_out(self, score: Score[ClusterRack], noted: str = "") -> tuple[Plan, RunStatus, Plan]:
        """Its plan, how that ended, and the plan that is made then; in a life until that is noted of a machine."""
        return on(self.ground, lambda: self._carry_out(score, noted))

    def noted(self, words: str) -> str:
        return on(self.ground, lambda: self._noted(words))

    def running(self, node: Node) -> list[str]:
        """What the appliance believes to run there."""
        return on(self.ground, lambda: self._running(node))

    async def _import(self, name: str) -> None:
        async with living(self.ground, BOTH, self.lent) as life:
            await imported(life.sets, name)

    async def _carry_out(self, score: Score[ClusterRack], words: str) -> tuple[Plan, RunStatus, Plan]:
        async with living(self.ground, BOTH, self.lent) as life:
            plan = life.plan(score)
            ended = await life.ended(await life.apply(plan))
            if words:
                await self._told(life.memory, words)
            return plan, ended, life.plan(score)

    async def _noted(self, words: str) -> str:
        async with living(self.ground, BOTH, self.lent) as life:
            return await self._told(life.memory, words)

    async def _told(self, memory: Memory, words: str) -> str:
        async with asyncio.timeout(_NOTED_SECONDS):
            while True:
                entries = await memory.read(after=0, machine=None, limit=1000, kinds=frozenset({"noted"}))
                notes = [one.record.text for one in entries if isinstance(one.record, Noted)]
                if found := [note for note in notes if words in note]:
                    return found[-1]
                await memory.changed(memory.tick, 1.0)

    async def _running(self, node: Node) -> list[str]:
        async with living(self.ground, BOTH, self.lent) as life:
            host = life.memory.world.machine(MachineName(node.name)).host
            return [one.app.package.version for one in host.applications] if host is not None else []

    def left(self, node: Node) -> str:
        """Whatever podman and systemd have of applications."""
        asked = (
            "podman ps --all --quiet; podman volume ls --quiet; podman images --quiet",
            "find /etc/containers/systemd /var/lib/innervate/applications -type f",
            f"systemctl list-units --all --plain --no-legend '{NAME}*'",
        )
        return self.ground.ssh(node, "sh", "-c", "; ".join(asked)).strip()


@pytest.fixture(scope="module")
def place(podman_artifacts: Artifacts, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder, lent = tmp_path_factory.mktemp("ground"), Lent()
    (folder / "state/sets").mkdir(parents=True)
    subprocess.run(["cp", "-rl", podman_artifacts.folder, folder / "state/sets/podman"], check=True)
    with ExitStack() as stack:
        made = stack.enter_context(ground(folder, tree, BOTH, unified=True))
        for machine in BOTH:
            made.start(machine)
            made.ssh(machine, "sh", "-c", _NO_LIMITS, "/etc/containers/containers.conf.d/ground.conf")
        stack.enter_context(serving(made, lent))
        place = Place(made, lent, podman_artifacts.set.name, tmp_path_factory.mktemp("work"))
        on(made, lambda: place._import("podman"))
        yield place


def problems(ended: RunStatus) -> list[Problem]:
    return [one.result.problem for one in ended.attempts.values() if one.result and one.result.problem]


def test_it_is_deployed_to_one_host_after_the_other(place: Place) -> None:
    plan, ended, after = place.carry_out(place.version("1.0.0"))
    assert [(step.machine, step.do.action) for step in plan.steps] == [
        (node.name, action) for node in BOTH for action in ("prepare-host", "deploy-hosted")
    ]
    assert [step.needs for step in plan.steps] == [(), *((step.id,) for step in plan.steps[:-1])]
    assert ended.state is RunState.DONE, problems(ended)
    assert not after.steps
    for node in BOTH:
        until_answers(place.ground, node, "hello from pages 1.0.0")
        shown = place.ground.ssh(node, "podman", "ps", "--format", "{{.Image}} {{.Status}}")
        assert "@sha256:" in shown
        assert "(healthy)" in shown
        assert "rejected by policy" in place.ground.ssh(node, "sh", "-c", _BY_ANOTHER_WAY)


def test_what_others_change_is_changed_back(place: Place) -> None:
    place.ground.ssh(ONE, "sed", "-i", "s/^Restart=always/Restart=no/", f"{UNITS}/{NAME}.container")
    assert f"{NAME}.container is another" in place.noted("was not as it was left, and is mended: pages.container")
    assert "Restart=always" in place.ground.ssh(ONE, "cat", f"{UNITS}/{NAME}.container")
    place.ground.ssh(TWO, "systemctl", "stop", f"{NAME}.service")
    place.noted(f"and is mended: {NAME}.service is ")
    until_answers(place.ground, TWO, "hello from pages 1.0.0")


def test_it_comes_back_with_its_host_though_the_appliance_is_not_there(place: Place) -> None:
    place.ground.ssh(ONE, "sh", "-c", "echo kept >/var/lib/containers/storage/volumes/systemd-pages-data/_data/note")
    place.ground.cut(ONE)
    place.ground.start(ONE)
    until_answers(place.ground, ONE, "hello from pages 1.0.0")


def test_an_upgrade_leaves_one_host_answering_and_no_image_of_before(place: Place) -> None:
    score = place.version("1.1.0")
    with somebody_asks(place.ground, BOTH) as missed:
        plan, ended, after = place.carry_out(score)
    assert [step.do.action for step in plan.steps] == ["deploy-hosted"] * 2
    assert ended.state is RunState.DONE, problems(ended)
    assert not missed
    assert not after.steps
    for node in BOTH:
        until_answers(place.ground, node, "hello from pages 1.1.0", 2)
        assert len(place.ground.ssh(node, "podman", "images", "--quiet").split()) == 1
    volume = "/var/lib/containers/storage/volumes/systemd-pages-data/_data/note"
    assert place.ground.ssh(ONE, "cat", volume) == "kept\n"


def test_a_version_that_is_not_healthy_gives_way_by_itself(place: Place) -> None:
    score = replace(place.version("1.2.0", health=UNWELL), patience=SHORT)
    _, ended, _ = place.carry_out(score, "back to 1.1.0 from 1.2.0, which did not become well")
    assert ended.state is RunState.FAILED
    (problem,) = problems(ended)
    assert "pages.service is activating" in problem.evidence
    until_answers(place.ground, ONE, "hello from pages 1.1.0")
    until_answers(place.ground, TWO, "hello from pages 1.1.0", 2)
    assert place.running(ONE) == place.running(TWO) == ["1.1.0"]


def test_units_that_podman_cannot_read_stop_nothing(place: Place) -> None:
    before = place.ground.ssh(ONE, "systemctl", "show", "--property=ActiveEnterTimestamp", f"{NAME}.service")
    words = "back to 1.1.0 from 1.3.0, which did not become well"
    _, ended, _ = place.carry_out(place.version("1.3.0", more="Volume=nobody.volume:/nobody"), words)
    (problem,) = problems(ended)
    assert "nobody.volume" in problem.evidence
    assert before == place.ground.ssh(ONE, "systemctl", "show", "--property=ActiveEnterTimestamp", f"{NAME}.service")


def test_a_unit_of_another_application_is_not_taken(place: Place) -> None:
    before = place.ground.ssh(ONE, "sh", "-c", f"sha256sum {UNITS}/*")
    _, ended, _ = place.carry_out(place.version("1.0.0", name="other"))
    assert f"the host has a unit {NAME}-data.volume already" in str(problems(ended))
    assert before == place.ground.ssh(ONE, "sh", "-c", f"sha256sum {UNITS}/*")
    assert "other" not in place.ground.ssh(ONE, "ls", "/var/lib/innervate/applications")


def test_retired_with_its_data_it_leaves_nothing(place: Place) -> None:
    plan, ended, after = place.carry_out(NoHostedApplication(application=NAME, data=True))
    assert [step.do.action for step in plan.steps] == ["retire-hosted"] * 2
    assert ended.state is RunState.DONE, problems(ended)
    assert not after.steps
    assert [place.left(node) for node in BOTH] == ["", ""]
