"""An application's life on a real Kubernetes: deployed, upgraded, rolled back, mended and retired by the product."""

import asyncio
import json
from dataclasses import replace

import pytest

from appliance.conductor.runs import RunStatus
from appliance.model.views import RunState
from appliance.scores.application import Application, NoApplication
from appliance.scores.cluster import KubernetesCluster
from appliance.store.records import Problem
from tests.cluster.apps import NAME, PORT, package
from tests.cluster.conftest import Artifacts
from tests.cluster.nodes import GATEWAY, nodes
from tests.cluster.place import Place, noted
from tests.cluster.product import on
from tests.cluster.workload import Asked, asks

pytestmark = [pytest.mark.alone, pytest.mark.timeout(600)]
PLANE, _, WORKER = nodes("plane", "worker", "spare")
SHORT = 45.0
"""Seconds that versions get which will not become well."""
SETTINGS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"mode": "first"}}


@pytest.fixture(scope="module")
def place(shared: Place) -> Place:
    """With a cluster of two, whatever it was before."""
    score = KubernetesCluster(
        cluster="prod", set=shared.artifacts.name, control_planes=(PLANE.name,), workers=(WORKER.name,)
    )
    _, ended, _ = shared.carry_out(score)
    assert ended.state is RunState.DONE, problems(ended)
    return shared


def problems(ended: RunStatus) -> list[Problem]:
    return [one.result.problem for one in ended.attempts.values() if one.result and one.result.problem]


def version(place: Place, number: str, **how: object) -> Application:
    folder = place.ground.folder / "state/sets" / number
    made = package(Artifacts(folder=folder.with_name("kubernetes"), set=place.artifacts), folder, number, **how)  # type: ignore[arg-type]
    place.import_set(number)
    return Application(package=made.name, cluster="prod", patience=240.0)


def asked_meanwhile(place: Place, score: Application, words: str = "") -> tuple[RunStatus, list[str]]:
    """How the plan ended, after these words were told; and the questions at the balancer that had no good answer."""

    async def meanwhile() -> tuple[RunStatus, list[str]]:
        async with place.life() as life:
            with asks(place.ground, GATEWAY.ip, PORT) as asked:
                await some_answers(asked)
                ended = await life.ended(await life.apply(life.plan(score)))
                if words:
                    await noted(life, words)
            return ended, asked.failed

    return on(place.ground, meanwhile)


def answers(place: Place) -> bool:
    async def meanwhile() -> bool:
        async with place.life():
            with asks(place.ground, GATEWAY.ip, PORT) as asked:
                await some_answers(asked)
        return True

    return on(place.ground, meanwhile)


async def some_answers(asked: Asked) -> None:
    """The balancer is there as long as the appliance is: what failed before it came does not count."""
    async with asyncio.timeout(60):
        while asked.answered < 3:  # noqa: ASYNC110  somebody else counts
            await asyncio.sleep(0.1)
    asked.failed.clear()


def objects(place: Place, *kinds: str) -> set[str]:
    """In the application's namespace."""
    listed = place.kubectl(PLANE, "-n", NAME, "get", ",".join(kinds), "-o", "name", "--ignore-not-found")
    return set(listed.split())


def test_it_is_deployed_and_answers_at_the_balancer(place: Place) -> None:
    score = version(place, "1.0.0", extra=[SETTINGS])
    plan, ended, after = place.carry_out(score)
    assert [step.do.action for step in plan.steps] == ["deploy-application"]
    assert ended.state is RunState.DONE, problems(ended)
    assert not after.steps
    assert answers(place)
    images = place.kubectl(PLANE, "-n", NAME, "get", "pods", "-o", "jsonpath={..image}").split()
    assert all("@sha256:" in image for image in images if image.startswith("10."))


def test_what_others_change_is_changed_back(place: Place) -> None:
    place.kubectl(PLANE, "-n", NAME, "scale", "deployment/store", "--replicas=1")
    told = place.noted("Deployment store was changed by somebody")
    assert "spec.replicas" in told
    place.kubectl(PLANE, "-n", NAME, "delete", "configmap", "settings")
    assert "gone; changed back" in place.noted("ConfigMap settings was changed by somebody")
    assert "configmap/settings" in objects(place, "configmaps")
    assert place.kubectl(PLANE, "-n", NAME, "get", "deployment/store", "-o", "jsonpath={.spec.replicas}") == "2"


def claims_of_others(place: Place) -> None:
    """Who may write in its namespace writes there that the cluster's own things are left over of it."""
    place.kubectl(PLANE, "-n", "kube-system", "create", "configmap", "others")
    path = "jsonpath={.data.objects}"
    rows = json.loads(place.kubectl(PLANE, "-n", NAME, "get", "configmap", f"innervate-{NAME}", "-o", path))
    changed = json.dumps([*rows, ["v1", "ConfigMap", "kube-system", "others"]])
    patch = json.dumps({"data": {"objects": changed}})
    place.kubectl(PLANE, "-n", NAME, "patch", "configmap", f"innervate-{NAME}", "--patch", patch)


def test_an_upgrade_keeps_answering_and_leaves_nothing_of_before_but_what_was_never_its_own(place: Place) -> None:
    command = ("etcd", "--name=second", "--data-dir=/tmp/store", "--listen-client-urls=http://0.0.0.0:2379")
    claims_of_others(place)
    score = version(place, "1.1.0", command=(*command, "--advertise-client-urls=http://store:2379"))
    ended, failed = asked_meanwhile(place, score)
    assert ended.state is RunState.DONE, problems(ended)
    assert not failed
    assert "configmap/settings" not in objects(place, "configmaps")
    others = place.kubectl(PLANE, "-n", "kube-system", "get", "configmaps", "-o", "name")
    assert "configmap/others" in others


@pytest.mark.long
def test_a_version_that_does_not_become_well_gives_way_by_itself(place: Place) -> None:
    score = replace(version(place, "1.2.0", command=("etcd", "--no-such-option")), patience=SHORT)
    ended, failed = asked_meanwhile(place, score, "back to 1.1.0 from 1.2.0")
    assert ended.state is RunState.FAILED
    (problem,) = problems(ended)
    assert "Deployment store: 1 of 2 are of this version (store of store-" in problem.evidence
    assert "ended with 2" in problem.evidence
    assert not failed
    with place.alive():
        place.kubectl(PLANE, "-n", NAME, "rollout", "status", "deployment/store", "--timeout=100s", seconds=120)
    command = place.kubectl(PLANE, "-n", NAME, "get", "deployment/store", "-o", "json")
    assert "--name=second" in json.loads(command)["spec"]["template"]["spec"]["containers"][0]["command"]


@pytest.mark.long
def test_a_version_whose_smoke_test_fails_is_not_believed(place: Place) -> None:
    score = replace(version(place, "1.3.0", contains="what it never says"), patience=SHORT)
    ended, failed = asked_meanwhile(place, score, "back to 1.1.0 from 1.3.0")
    (problem,) = problems(ended)
    assert "without 'what it never says' in it" in problem.evidence
    assert not failed


def test_a_package_that_lacks_an_image_changes_nothing(place: Place) -> None:
    before = place.kubectl(PLANE, "-n", NAME, "get", "deployment/store", "-o", "jsonpath={.metadata.generation}")
    _, ended, _ = place.carry_out(version(place, "1.4.0", image="somewhere.test/evil:1"))
    assert "the package holds no image" in str(problems(ended))
    after = place.kubectl(PLANE, "-n", NAME, "get", "deployment/store", "-o", "jsonpath={.metadata.generation}")
    assert before == after


def test_retired_it_leaves_nothing(place: Place) -> None:
    _, ended, after = place.carry_out(NoApplication(application=NAME, cluster="prod"))
    assert ended.state is RunState.DONE, problems(ended)
    assert not after.steps
    assert "store" not in place.kubectl(PLANE, "get", "namespaces", "-o", "name")
