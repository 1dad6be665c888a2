"""From what runs to what is wanted of an application: deployed, upgraded, retired, or waiting for its cluster."""

from dataclasses import replace

import pytest

from appliance.errors import PlanError
from appliance.inventory.model import Inventory
from appliance.model.application import AppName, AppSpec, DeployApplication, Deployed, RetireApplication
from appliance.model.cluster import ClusterName, NodeRole, SetRef
from appliance.plan import Plan
from appliance.scores.application import Application, NoApplication
from appliance.site import Site, plan_site
from appliance.topology import ClusterRack
from images.artifact_set import ArtifactSet, Engine
from tests.unit.appliance.scores.test_cluster import NAMES, PLANES, SET, inventory, member, rack

__all__ = ["rack"]
PROD = ClusterName("prod")


def package(version: str) -> ArtifactSet:
    return replace(SET, engine=Engine.APPLICATION, version=version, application="web", files=(), images=())


ONE, TWO = package("1.0.0"), package("1.1.0")
SCORE = Application(package=ONE.name, cluster="prod")


def spec(found: ArtifactSet) -> AppSpec:
    return AppSpec(name=AppName("web"), package=SetRef.of(found.name, found), namespace="web")


def here(*running: ArtifactSet, confirmed: bool = True) -> Inventory:
    planes = [member(name, confirmed=confirmed and name == NAMES[0]) for name in PLANES]
    found = inventory(*planes, *(member(name, NodeRole.WORKER) for name in NAMES[3:]))
    cluster = planes[0].member
    assert cluster is not None
    runs = {(PROD, AppName("web")): Deployed(cluster=cluster.cluster, app=spec(one), since=1.0) for one in running}
    return replace(found, sets={**found.sets, ONE.name: ONE, TWO.name: TWO}, applications=runs)


def plan(rack: ClusterRack, score: Application | NoApplication, found: Inventory) -> Plan:
    return plan_site(Site(name="lab", topology=rack, scores=[score]), found)


def test_it_is_deployed_once(rack: ClusterRack) -> None:
    (step,) = plan(rack, SCORE, here()).steps
    assert isinstance(step.do, DeployApplication)
    assert (step.machine, step.do.app, step.budget) == (NAMES[0], spec(ONE), 600.0)
    assert step.id == "application-web.node-0.deploy-application"
    assert not plan(rack, SCORE, here(ONE)).steps


def test_another_version_takes_its_place(rack: ClusterRack) -> None:
    (step,) = plan(rack, replace(SCORE, package=TWO.name), here(ONE)).steps
    assert step.summary == "deploy web 1.1.0 to prod in the place of 1.0.0"


def test_it_waits_until_the_cluster_is_ready(rack: ClusterRack) -> None:
    waits = plan(rack, SCORE, here(confirmed=False))
    assert (waits.steps, [one.reason for one in waits.deferred]) == ((), ["web: the cluster prod is not ready yet"])


@pytest.mark.parametrize("name", ["web-9.9.9-amd64", SET.name])
def test_what_is_no_package_is_refused(rack: ClusterRack, name: str) -> None:
    with pytest.raises(PlanError) as refused:
        plan(rack, replace(SCORE, package=name), here())
    assert "web-1.0.0-amd64, web-1.1.0-amd64" in refused.value.evidence


def test_it_does_not_move_between_namespaces(rack: ClusterRack) -> None:
    with pytest.raises(PlanError, match="cannot move from the namespace web to front"):
        plan(rack, replace(SCORE, namespace="front"), here(ONE))


def test_it_is_retired_with_or_without_its_data(rack: ClusterRack) -> None:
    gone = NoApplication(application="web", cluster="prod")
    (step,) = plan(rack, gone, here(ONE)).steps
    assert isinstance(step.do, RetireApplication)
    assert (step.do.keeps_data, step.summary) == (True, "remove web from prod, but for its data")
    (all_of_it,) = plan(rack, replace(gone, data=True), here(ONE)).steps
    assert isinstance(all_of_it.do, RetireApplication)
    assert not all_of_it.do.keeps_data
    assert not plan(rack, gone, here()).steps
