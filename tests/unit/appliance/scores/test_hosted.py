"""From what runs on hosts to what is wanted there: prepared, deployed in turn, moved, retired, or waiting."""

from dataclasses import replace

import pytest

from appliance.conductor import hosting
from appliance.errors import PlanError
from appliance.inventory.model import Inventory
from appliance.model.hosted import DeployHosted, HostAction, RetireHosted
from appliance.model.ids import ImageName
from appliance.plan import Plan
from appliance.scores.cluster import KubernetesCluster
from appliance.scores.hosted import HostedApplication, NoHostedApplication
from appliance.scores.slurm import SlurmCluster
from appliance.site import Site, plan_site
from appliance.topology import ClusterRack
from images.artifact_set import ArtifactSet, Engine, Provenance, SetFile
from tests.unit.appliance.scores.test_cluster import NAMES, PLACE, cluster_rack, member, rack
from tests.unit.appliance.scores.test_cluster import SET as KUBEADM
from tests.unit.appliance.scores.test_scores import IMAGE
from tests.unit.appliance.scores.test_slurm import DEAD, OLD, record
from tests.unit.appliance.scores.test_slurm import SETS as SLURM_SETS

__all__ = ["cluster_rack", "rack"]
PODMAN, NEWER = (
    ArtifactSet(engine=Engine.PODMAN, version=one, arch="amd64", provenance=Provenance.GENUINE, files=(), images=())
    for one in ("5.4.2", "5.5.0")
)
UNIT = SetFile(name="web.container", role="quadlet", size=1, sha256="a" * 64)


def package(version: str, *files: SetFile) -> ArtifactSet:
    return replace(PODMAN, engine=Engine.APPLICATION, application="web", version=version, files=files)


ONE, TWO, BARE = package("1.0.0", UNIT), package("1.1.0", UNIT), package("2.0.0")
SETS = {found.name: found for found in (PODMAN, NEWER, ONE, TWO, BARE, KUBEADM)}
HOSTS = NAMES[:2]
SCORE = HostedApplication(package=ONE.name, hosts=HOSTS, set=PODMAN.name)


def inventory(**changes: object) -> Inventory:
    machines = {name: record(name) for name in NAMES}
    found = Inventory(machines=machines, images={ImageName(IMAGE.name): IMAGE}, sets=SETS, registry=PLACE)
    return replace(found, **changes)  # type: ignore[arg-type]


def with_(here: Inventory, name: str, **changes: object) -> Inventory:
    changed = {one: replace(has, **changes) if one == name else has for one, has in here.machines.items()}  # type: ignore[arg-type]
    return replace(here, machines=changed)


def planned(rack: ClusterRack, score: HostedApplication | NoHostedApplication, here: Inventory) -> Plan:
    return plan_site(Site(name="lab", topology=rack, scores=[score]), here)


def carried_out(plan: Plan, here: Inventory) -> Inventory:
    for step in plan.steps:
        assert isinstance(step.do, HostAction)
        here = with_(here, step.machine, host=hosting.done(step.do, here.machines[step.machine].host, 1.0))
    return here


def told(plan: Plan) -> list[tuple[str, str]]:
    return [(step.machine, step.do.action) for step in plan.steps]


def test_one_host_after_the_other_and_then_nothing_more(rack: ClusterRack) -> None:
    plan = planned(rack, SCORE, inventory())
    assert told(plan) == [(name, action) for name in HOSTS for action in ("prepare-host", "deploy-hosted")]
    assert [step.needs for step in plan.steps] == [(), *((step.id,) for step in plan.steps[:-1])]
    assert plan.steps[1].id == "application-web.node-0.deploy-hosted"
    do = plan.steps[1].do
    assert isinstance(do, DeployHosted)
    assert (do.app.registry, do.app.package.version) == (PLACE.host, "1.0.0")
    assert not planned(rack, SCORE, carried_out(plan, inventory())).steps


def test_another_version_takes_its_place(rack: ClusterRack) -> None:
    here = carried_out(planned(rack, SCORE, inventory()), inventory())
    plan = planned(rack, replace(SCORE, package=TWO.name), here)
    assert told(plan) == [(name, "deploy-hosted") for name in HOSTS]
    assert plan.steps[0].summary == f"deploy web 1.1.0 to {HOSTS[0]} in the place of 1.0.0"
    assert plan.steps[1].needs == (plan.steps[0].id,)


def test_another_podman_comes_without_the_application_being_touched(rack: ClusterRack) -> None:
    here = carried_out(planned(rack, SCORE, inventory()), inventory())
    plan = planned(rack, replace(SCORE, set=NEWER.name), here)
    assert told(plan) == [(name, "prepare-host") for name in HOSTS]


def test_it_moves_to_a_host_before_it_leaves_another(rack: ClusterRack) -> None:
    here = carried_out(planned(rack, replace(SCORE, hosts=(HOSTS[0],)), inventory()), inventory())
    plan = planned(rack, replace(SCORE, hosts=(HOSTS[1],)), here)
    assert told(plan) == [(HOSTS[1], "prepare-host"), (HOSTS[1], "deploy-hosted"), (HOSTS[0], "retire-hosted")]
    assert plan.steps[2].needs == (plan.steps[1].id,)
    assert isinstance(plan.steps[2].do, RetireHosted)
    assert plan.steps[2].do.keeps_data


@pytest.mark.parametrize("changes", [{"installed": None}, {"conditions": (DEAD,)}], ids=["not installed", "silent"])
def test_who_does_not_answer_is_waited_for_alone(rack: ClusterRack, changes: dict[str, object]) -> None:
    plan = planned(rack, SCORE, with_(inventory(), HOSTS[0], **changes))
    assert told(plan) == [(HOSTS[1], "prepare-host"), (HOSTS[1], "deploy-hosted")]
    assert [one.reason for one in plan.deferred] == [f"web: {HOSTS[0]} has no system that answers yet"]


@pytest.mark.parametrize(
    ("score", "says"),
    [
        (replace(SCORE, package="web-9.9.9-amd64"), "the package 'web-9.9.9-amd64' is not at hand"),
        (replace(SCORE, package=PODMAN.name), f"{PODMAN.name} is no application"),
        (replace(SCORE, package=BARE.name), f"{BARE.name} says nothing to a container host"),
        (replace(SCORE, set=KUBEADM.name), "is not at hand, or not of podman"),
        (replace(SCORE, hosts=("nobody",)), "names machines that the site does not have: nobody"),
    ],
)
def test_what_cannot_be(rack: ClusterRack, score: HostedApplication, says: str) -> None:
    with pytest.raises(PlanError, match=says) as refused:
        planned(rack, score, inventory())
    assert refused.value.next_action


def test_a_member_of_a_cluster_is_left_to_it(rack: ClusterRack) -> None:
    here = with_(inventory(), HOSTS[0], member=member(HOSTS[0]).member)
    with pytest.raises(PlanError, match=f"{HOSTS[0]} belongs to the cluster prod"):
        planned(rack, SCORE, here)


@pytest.mark.parametrize(
    "score",
    [
        KubernetesCluster(cluster="prod", set=KUBEADM.name, control_planes=(HOSTS[0],), workers=(NAMES[2],)),
        SlurmCluster(cluster="hpc", set=OLD, controller=(HOSTS[0],), workers=(NAMES[2],)),
    ],
    ids=["kubernetes", "slurm"],
)
def test_a_host_on_which_something_runs_is_no_clusters(
    rack: ClusterRack, score: KubernetesCluster | SlurmCluster
) -> None:
    here = carried_out(planned(rack, SCORE, inventory()), inventory())
    with pytest.raises(PlanError, match=f"{HOSTS[0]} is a container host: web"):
        plan_site(Site(name="lab", topology=rack, scores=[score]), replace(here, sets={**SETS, **SLURM_SETS}))


@pytest.mark.parametrize("data", [False, True])
def test_it_is_retired_where_it_runs(rack: ClusterRack, data: bool) -> None:
    here = carried_out(planned(rack, SCORE, inventory()), inventory())
    gone = NoHostedApplication(application="web", data=data)
    plan = planned(rack, gone, here)
    assert told(plan) == [(name, "retire-hosted") for name in HOSTS]
    assert all(isinstance(step.do, RetireHosted) and step.do.keeps_data is not data for step in plan.steps)
    assert not planned(rack, gone, carried_out(plan, here)).steps
    silent = planned(rack, gone, with_(here, HOSTS[0], conditions=(DEAD,)))
    assert (told(silent), len(silent.deferred)) == ([(HOSTS[1], "retire-hosted")], 1)
