"""From a cluster as it is to one as it is wanted: who leaves, in which order, and what is refused."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from appliance.errors import PlanError
from appliance.inventory.model import Inventory, MachineRecord
from appliance.model.balancer import Balancer, BalancerPlace
from appliance.model.cluster import ConfirmCluster, Member, NodeRole, RemoveNode, ResetNode, ShareEndpoint, UpgradeNode
from appliance.model.ids import MachineName
from appliance.model.phase import Condition, ConditionKind
from appliance.model.views import Errand
from appliance.plan import Plan, Purpose
from appliance.scores.cluster import KubernetesCluster
from appliance.scores.cluster_life import NoCluster
from appliance.site import Site, plan_purpose, plan_site
from appliance.topology import ClusterRack
from images.artifact_set import ArtifactSet
from tests.unit.appliance.scores.test_cluster import NAMES, PLANES, SCORE, SET, inventory, member, needs, rack, record

__all__ = ["rack"]
DEAD = (Condition(kind=ConditionKind.UNREACHABLE, since=1.0, reason="it does not answer"),)


def whole(**changes: MachineRecord) -> Inventory:
    """All five are members, and the cluster was confirmed."""
    planes = {name: member(name, confirmed=name == NAMES[0]) for name in PLANES}
    workers = {name: member(name, NodeRole.WORKER) for name in NAMES[3:]}
    return inventory(*({**planes, **workers, **changes}.values()))


def plan(rack: ClusterRack, score: KubernetesCluster | NoCluster, here: Inventory) -> Plan:
    return plan_site(Site(name="lab", topology=rack, scores=[score]), here)


def dead(record: MachineRecord) -> MachineRecord:
    return replace(record, conditions=DEAD)


def test_who_is_wanted_no_more_leaves_by_itself(rack: ClusterRack) -> None:
    score = replace(SCORE, workers=NAMES[3:4])
    assert needs(plan(rack, score, whole())) == {
        "cluster.node-4.drain-node": (),
        "cluster.node-4.reset-node": ("cluster.node-4.drain-node",),
        "cluster.node-4.remove-node": ("cluster.node-4.reset-node",),
        "cluster.node-0.confirm-cluster": (
            "cluster.node-4.drain-node",
            "cluster.node-4.reset-node",
            "cluster.node-4.remove-node",
        ),
    }


def test_a_dead_control_plane_is_taken_out_before_another_comes_in(rack: ClusterRack) -> None:
    here = whole(**{NAMES[0]: dead(member(NAMES[0], confirmed=True)), NAMES[3]: inventory().record(NAMES[3])})
    score = replace(SCORE, control_planes=NAMES[1:4], workers=NAMES[4:])
    made = plan(rack, score, here)
    (remove,) = (step for step in made.steps if isinstance(step.do, RemoveNode))
    assert (remove.id, remove.machine, remove.needs) == ("cluster.node-0.remove-node", NAMES[1], ())
    assert needs(made)["cluster.node-3.join-cluster"] == ("cluster.node-3.prepare-node", "cluster.node-0.remove-node")
    assert "cluster.node-1.confirm-cluster" in needs(made)
    assert not [step for step in made.steps if step.machine == NAMES[0]]


def test_a_living_control_plane_leaves_after_another_came_in(rack: ClusterRack) -> None:
    here = whole(**{NAMES[3]: inventory().record(NAMES[3])})
    made = needs(plan(rack, replace(SCORE, control_planes=NAMES[1:4], workers=NAMES[4:]), here))
    assert made["cluster.node-0.drain-node"] == ("cluster.node-3.join-cluster",)


def test_no_control_plane_is_left(rack: ClusterRack) -> None:
    gone = {name: dead(member(name)) for name in PLANES}
    here = whole(**gone, **{NAMES[3]: inventory().record(NAMES[3])})
    with pytest.raises(PlanError, match="no control plane of prod is left: node-0, node-1, node-2") as caught:
        plan(rack, replace(SCORE, control_planes=NAMES[3:4], workers=NAMES[4:]), here)
    assert "restore" in caught.value.next_action


@pytest.mark.parametrize(
    ("version", "says"),
    [
        ("v1.19.9", r"node-0 runs kubeadm v1\.20\.2; v1\.19\.9 is older"),
        ("v1.20.1", r"node-0 runs kubeadm v1\.20\.2; v1\.20\.1 is older"),
        ("v1.22.0", r"node-0 runs kubeadm v1\.20\.2; v1\.22\.0 is more than one minor version further"),
    ],
)
def test_a_version_that_cannot_be_reached_is_refused(rack: ClusterRack, version: str, says: str) -> None:
    with pytest.raises(PlanError, match=says) as caught:
        plan(rack, SCORE, of_version(version))
    assert caught.value.next_action


def of_version(version: str) -> Inventory:
    newer: ArtifactSet = replace(SET, version=version)
    return replace(whole(), sets={SET.name: newer})


def test_nodes_are_upgraded_one_at_a_time_control_planes_first_after_a_backup(rack: ClusterRack) -> None:
    made = plan(rack, SCORE, of_version("v1.21.4"))
    order = [step.id.removeprefix("cluster.") for step in made.steps]
    assert order == [
        "node-0.back-up-cluster",
        *(f"{name}.{action}" for name in NAMES for action in ("drain-node", "upgrade-node")),
        "node-0.confirm-cluster",
    ]
    for before, after in zip(made.steps, made.steps[1:-1], strict=False):
        assert after.needs == (before.id,)
    leads = [step.do.leads for step in made.steps if isinstance(step.do, UpgradeNode)]
    assert leads == [True, False, False, False, False]


def test_an_upgrade_that_was_cut_off_goes_on_where_it_was(rack: ClusterRack) -> None:
    here = of_version("v1.21.4")
    newer = replace(SCORE._spec(rack, here))
    first = replace(member(NAMES[0]), member=Member(cluster=newer, role=NodeRole.CONTROL_PLANE, since=1.0))
    made = plan(rack, SCORE, replace(here, machines={**here.machines, NAMES[0]: first}))
    order = [step.id.removeprefix("cluster.") for step in made.steps]
    assert order[:3] == ["node-1.back-up-cluster", "node-1.drain-node", "node-1.upgrade-node"]
    assert not any(step.do.leads for step in made.steps if isinstance(step.do, UpgradeNode))


def test_who_joins_in_the_new_version_waits_for_the_control_planes(rack: ClusterRack) -> None:
    here = of_version("v1.21.4")
    bare = replace(here, machines={**here.machines, NAMES[4]: inventory().record(NAMES[4])})
    made = needs(plan(rack, SCORE, bare))
    assert "cluster.node-3.upgrade-node" in made["cluster.node-4.join-cluster"]


def test_the_end_of_a_cluster_workers_first(rack: ClusterRack) -> None:
    here = whole(**{NAMES[4]: dead(member(NAMES[4], NodeRole.WORKER))})
    made = plan(rack, NoCluster(cluster="prod"), here)
    assert needs(made) == {
        "end-cluster.node-3.reset-node": (),
        **{f"end-cluster.{name}.reset-node": ("end-cluster.node-3.reset-node",) for name in PLANES},
        "end-cluster.node-0.end-cluster": tuple(f"end-cluster.{name}.reset-node" for name in PLANES),
    }
    assert all(step.do.last for step in made.steps if isinstance(step.do, ResetNode))
    assert made.missing == ("node-4 cannot be reset: the cluster's keys stay on its disk until it is wiped",)
    assert not plan(rack, NoCluster(cluster="other"), here).steps
    assert not plan(rack, NoCluster(cluster="prod"), inventory()).steps


@pytest.mark.parametrize("errand", [Errand.WIPE, Errand.ERASE, Errand.DECOMMISSION, Errand.REINSTALL])
def test_nobody_empties_a_node_under_its_cluster(rack: ClusterRack, errand: Errand) -> None:
    made = errand_of(rack, errand, whole())
    actions = [step.do.action for step in made.steps]
    assert actions[:3] == ["drain-node", "reset-node", "remove-node"]
    assert made.steps[3].needs == (made.steps[2].id,)
    gone = errand_of(rack, errand, whole(**{NAMES[4]: dead(member(NAMES[4], NodeRole.WORKER))}))
    assert next(step.do.action for step in gone.steps) == "remove-node"


def errand_of(rack: ClusterRack, errand: Errand, here: Inventory, name: MachineName = NAMES[4]) -> Plan:
    site = Site(name="lab", topology=rack, scores=[SCORE])
    return plan_purpose(site, here, Purpose(errand=errand, machine=name))


def test_the_last_control_plane_is_not_emptied(rack: ClusterRack) -> None:
    gone = {name: dead(member(name)) for name in PLANES[1:]}
    with pytest.raises(PlanError, match="node-0 is the last control plane of the cluster prod") as caught:
        errand_of(rack, Errand.DECOMMISSION, whole(**gone), NAMES[0])
    assert "NoCluster(cluster='prod')" in caught.value.next_action


def test_a_cluster_comes_back_on_one_and_the_others_come_in_again(rack: ClusterRack) -> None:
    here = whole(**{NAMES[2]: dead(member(NAMES[2])), NAMES[4]: inventory().record(NAMES[4])})
    score = replace(SCORE, restore="20261130T060000Z")
    made = plan(rack, score, here)
    (confirm,) = (step.do for step in made.steps if isinstance(step.do, ConfirmCluster))
    assert confirm.nodes == NAMES[:4]
    assert needs(made) == {
        "cluster.node-1.reset-node": (),
        "cluster.node-0.prepare-node": ("cluster.node-1.reset-node",),
        "cluster.node-0.restore-cluster": ("cluster.node-0.prepare-node", "cluster.node-1.reset-node"),
        "cluster.node-1.prepare-node": ("cluster.node-1.reset-node",),
        "cluster.node-1.join-cluster": ("cluster.node-1.prepare-node", "cluster.node-0.restore-cluster"),
        "cluster.node-2.prepare-node": (),
        "cluster.node-2.join-cluster": ("cluster.node-2.prepare-node", "cluster.node-1.join-cluster"),
        "cluster.node-0.confirm-cluster": (
            "cluster.node-1.reset-node",
            "cluster.node-0.restore-cluster",
            "cluster.node-1.join-cluster",
            "cluster.node-2.join-cluster",
        ),
    }
    came = member(NAMES[0], confirmed=True)
    assert came.member is not None
    back = replace(came, member=replace(came.member, restored="20261130T060000Z"))
    assert not plan(rack, score, whole(**{NAMES[0]: back})).steps


def test_control_planes_share_the_endpoint_once_all_are_in(rack: ClusterRack) -> None:
    shared = Balancer(place=BalancerPlace.CONTROL_PLANES, address=IPv4Address("10.77.0.9"), router=7)
    score = replace(SCORE, endpoint=None, control_planes=NAMES[:3], workers=())
    own = replace(rack, balancer=shared)
    made = plan(own, score, inventory())
    assert needs(made)["cluster.node-0.found-cluster"] == ("cluster.node-0.share-endpoint",)
    alone, *all_three = (step.do for step in made.steps if isinstance(step.do, ShareEndpoint))
    assert alone.planes == NAMES[:1]
    assert [do.planes for do in all_three] == [NAMES[:3]] * 3
    assert (alone.cluster.endpoint, alone.cluster.router) == (IPv4Address("10.77.0.9"), 7)
    last = needs(made)["cluster.node-0.share-endpoint-2"]
    assert {"cluster.node-1.join-cluster", "cluster.node-2.join-cluster"} <= set(last)
    spec = alone.cluster
    members = [
        record(name, member=Member(cluster=spec, role=NodeRole.CONTROL_PLANE, since=1.0, sharers=NAMES[:3]))
        for name in NAMES[:3]
    ]
    first = record(NAMES[0], member=replace(members[0].member, confirmed=True))  # type: ignore[type-var]
    assert not plan(own, score, inventory(first, *members[1:])).steps
    fewer = plan(own, replace(score, control_planes=NAMES[:1]), inventory(first, *members[1:]))
    assert [step.do.planes for step in fewer.steps if isinstance(step.do, ShareEndpoint)] == [NAMES[:1]]
