"""The end of a whole site: clusters first, then each machine by itself, and strangers are left alone."""

from dataclasses import replace

import pytest

from appliance.errors import PlanError
from appliance.model.cluster import ClusterName, NodeRole
from appliance.model.phase import Phase
from appliance.model.views import Errand
from appliance.plan import Plan, Purpose
from appliance.site import Site, plan_purpose
from appliance.topology import ClusterRack
from images.engine import Engine
from tests.unit.appliance.scores.test_cluster import NAMES, inventory, member, needs, rack, record

__all__ = ["rack"]
PLANE = replace(member(NAMES[0], confirmed=True), phase=Phase.ACTIVE, facts_current=True)
WORKER = replace(member(NAMES[1], NodeRole.WORKER), phase=Phase.ACTIVE, facts_current=True)
ALONE = record(NAMES[2], phase=Phase.ACTIVE, facts_current=False)
STRANGER = record(NAMES[3], phase=Phase.UNKNOWN, facts=None, installed=None)
GONE = record(NAMES[4], phase=Phase.RETIRED, installed=None)


def retired(rack: ClusterRack) -> Plan:
    here = inventory(PLANE, WORKER, ALONE, STRANGER, GONE)
    site = Site(name="lab", topology=rack, scores=[])
    return plan_purpose(site, here, Purpose(errand=Errand.DECOMMISSION))


def test_a_cluster_ends_before_its_machines_do(rack: ClusterRack) -> None:
    made = needs(retired(rack))
    (end,) = (step for step in made if step.endswith(".end-cluster"))
    assert made[end] == ()
    for name in (PLANE.name, WORKER.name):
        assert made[f"decommission.{name}.boot-agent"] == (end,)
        assert f"decommission.{name}.retire" in made
    assert made[f"decommission.{ALONE.name}.boot-agent"] == (), "it belongs to no cluster"


def test_what_has_to_be_read_first_is_planned_again(rack: ClusterRack) -> None:
    plan = retired(rack)
    assert f"decommission.{ALONE.name}.retire" not in needs(plan)
    assert [one.reason.partition(":")[0] for one in plan.deferred] == [ALONE.name]


def test_whom_nobody_has_seen_nobody_erases(rack: ClusterRack) -> None:
    plan = retired(rack)
    assert {step.machine for step in plan.steps} == {PLANE.name, WORKER.name, ALONE.name}
    assert f"{STRANGER.name} is left alone: nothing was ever seen of it" in plan.missing
    assert (plan.site, plan.purpose.machine) == ("lab", None)


def test_of_okd_the_keys_stay_and_the_plan_says_so(rack: ClusterRack) -> None:
    assert WORKER.member is not None
    cluster = WORKER.member.cluster
    okd = replace(cluster, name=ClusterName("okd"), set=replace(cluster.set, engine=Engine.OKD))
    worker = replace(WORKER, member=replace(WORKER.member, cluster=okd))
    site = Site(name="lab", topology=rack, scores=[])
    plan = plan_purpose(site, inventory(PLANE, worker, ALONE, STRANGER, GONE), Purpose(errand=Errand.DECOMMISSION))
    assert needs(plan)[f"decommission.{worker.name}.boot-agent"] == ()
    assert "the appliance keeps its keys to the OKD okd: no step ends that" in plan.missing


def test_one_machine_is_not_the_end_of_its_cluster(rack: ClusterRack) -> None:
    """The last control plane leaves with the whole site alone."""
    site = Site(name="lab", topology=rack, scores=[])
    with pytest.raises(PlanError, match="the last control plane"):
        plan_purpose(site, inventory(PLANE, WORKER), Purpose(errand=Errand.DECOMMISSION, machine=PLANE.name))
