"""From machines with roles to the steps that make them one Slurm cluster, keep it so, and to none where it is."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from appliance.errors import PlanError
from appliance.inventory.gpus import NVIDIA
from appliance.inventory.model import Inventory, MachineRecord
from appliance.model.cluster import ClusterSpec, Member, NodeRole
from appliance.model.hardware import Gpu
from appliance.model.ids import ImageName, MachineName
from appliance.model.phase import Condition, ConditionKind, Phase
from appliance.model.slurm import ConfirmSlurm, JoinSlurm, ServeSlurm, SlurmMember, SlurmRole, SlurmSpec
from appliance.plan import Plan
from appliance.scores.cluster import KubernetesCluster
from appliance.scores.cluster_life import leave_first
from appliance.scores.slurm import Partition, SlurmCluster
from appliance.site import Site, plan_site
from appliance.topology import ClusterRack
from images.artifact_set import ArtifactSet, Engine, Provenance
from tests.unit.appliance.scores.test_cluster import NAMES, PLACE, cluster_rack, rack
from tests.unit.appliance.scores.test_cluster import SET as KUBEADM
from tests.unit.appliance.scores.test_scores import FACTS, IMAGE, installed

__all__ = ["cluster_rack", "rack"]
SETS = {
    one.name: one
    for version in ("24.11.5-4", "25.5.1-1")
    for one in (
        ArtifactSet(
            engine=Engine.SLURM, version=version, arch="amd64", provenance=Provenance.GENUINE, files=(), images=()
        ),
    )
}
OLD, NEW = sorted(SETS)
HEAD, WORKERS = NAMES[0], NAMES[1:3]
SPARE = NAMES[3]
SCORE = SlurmCluster(cluster="hpc", set=OLD, controller=(HEAD,), workers=WORKERS)
FACTS_OF_NODE = replace(FACTS, cores=4, sockets=1, threads=8, memory_bytes=64 << 30)
DEAD = Condition(kind=ConditionKind.UNREACHABLE, since=1.0, reason="it does not answer")


def record(name: MachineName, **changes: object) -> MachineRecord:
    at = NAMES.index(name)
    there = replace(installed(confirmed=True), address=IPv4Address("10.77.0.50") + at)
    whole = MachineRecord(name=name, phase=Phase.ACTIVE, facts=FACTS_OF_NODE, installed=there)
    return replace(whole, **changes)  # type: ignore[arg-type]


def inventory(*records: MachineRecord) -> Inventory:
    changed = {one.name: one for one in records}
    machines = {name: changed.get(name) or record(name) for name in NAMES}
    sets = {**SETS, KUBEADM.name: KUBEADM}
    return Inventory(machines=machines, images={ImageName(IMAGE.name): IMAGE}, sets=sets, registry=PLACE)


def planned(score: SlurmCluster, rack: ClusterRack, here: Inventory) -> Plan:
    return plan_site(Site(name="lab", topology=rack, scores=[score]), here)


def carried_out(plan: Plan, here: Inventory) -> Inventory:
    """As the membership is when every step was done, in the plan's order."""
    machines = dict(here.machines)
    for step in plan.steps:
        one = machines[step.machine]
        match step.do:
            case ServeSlurm(spec=spec):
                member = SlurmMember(home=spec.home, role=SlurmRole.CONTROLLER, since=1.0, spec=spec)
                machines[step.machine] = replace(one, slurm=member)
            case JoinSlurm(home=home, devices=devices):
                member = SlurmMember(home=home, role=SlurmRole.WORKER, since=1.0, devices=devices)
                machines[step.machine] = replace(one, slurm=member)
            case ConfirmSlurm():
                assert one.slurm is not None
                machines[step.machine] = replace(one, slurm=replace(one.slurm, confirmed=True))
            case _:
                if step.do.action == "leave-slurm":
                    machines[step.machine] = replace(one, slurm=None)
    return replace(here, machines=machines)


def whole(rack: ClusterRack, score: SlurmCluster = SCORE) -> Inventory:
    return carried_out(planned(score, rack, inventory()), inventory())


def needs(plan: Plan) -> dict[str, tuple[str, ...]]:
    return {
        step.id.removeprefix("slurm."): tuple(one.removeprefix("slurm.") for one in step.needs) for step in plan.steps
    }


def spec_of(plan: Plan) -> SlurmSpec:
    (spec,) = {step.do.spec for step in plan.steps if isinstance(step.do, ServeSlurm)}
    return spec


def test_the_controller_first_and_workers_when_it_knows_them(rack: ClusterRack) -> None:
    plan = planned(SCORE, rack, inventory())
    assert needs(plan) == {
        "node-0.prepare-slurm": (),
        "node-0.serve-slurm": ("node-0.prepare-slurm",),
        "node-1.prepare-slurm": (),
        "node-1.join-slurm": ("node-1.prepare-slurm", "node-0.serve-slurm"),
        "node-2.prepare-slurm": (),
        "node-2.join-slurm": ("node-2.prepare-slurm", "node-0.serve-slurm"),
        "node-0.confirm-slurm": ("node-0.serve-slurm", "node-1.join-slurm", "node-2.join-slurm"),
    }
    spec = spec_of(plan)
    assert [(node.name, str(node.address), node.cpus) for node in spec.nodes] == [
        ("node-1", "10.77.0.51", 8),
        ("node-2", "10.77.0.52", 8),
    ]
    assert not planned(SCORE, rack, whole(rack)).steps


def test_a_cluster_that_was_not_seen_at_work_is_looked_at_again(rack: ClusterRack) -> None:
    here = whole(rack)
    head = here.record(HEAD)
    assert head.slurm is not None
    unsure = replace(here, machines={**here.machines, HEAD: replace(head, slurm=replace(head.slurm, confirmed=False))})
    assert list(needs(planned(SCORE, rack, unsure))) == ["node-0.confirm-slurm"]


def test_a_worker_that_comes_later(rack: ClusterRack) -> None:
    more = replace(SCORE, workers=(*WORKERS, SPARE))
    plan = planned(more, rack, whole(rack))
    assert needs(plan) == {
        "node-0.serve-slurm": (),
        "node-3.prepare-slurm": (),
        "node-3.join-slurm": ("node-3.prepare-slurm", "node-0.serve-slurm"),
        "node-0.confirm-slurm": ("node-0.serve-slurm", "node-3.join-slurm"),
    }
    assert not planned(more, rack, carried_out(plan, whole(rack))).steps


def test_a_worker_that_is_taken_out_is_drained_first_and_has_the_key_last(rack: ClusterRack) -> None:
    fewer = replace(SCORE, workers=WORKERS[:1])
    plan = planned(fewer, rack, whole(rack))
    assert needs(plan) == {
        "node-2.drain-slurm": (),
        "node-0.serve-slurm": ("node-2.drain-slurm",),
        "node-2.leave-slurm": ("node-0.serve-slurm",),
        "node-0.confirm-slurm": ("node-0.serve-slurm",),
    }
    assert not planned(fewer, rack, carried_out(plan, whole(rack))).steps


def test_workers_are_updated_one_after_the_other(rack: ClusterRack) -> None:
    newer = replace(SCORE, set=NEW)
    plan = planned(newer, rack, whole(rack))
    assert needs(plan) == {
        "node-0.prepare-slurm": (),
        "node-0.serve-slurm": ("node-0.prepare-slurm",),
        "node-1.drain-slurm": ("node-0.serve-slurm",),
        "node-1.prepare-slurm": ("node-1.drain-slurm",),
        "node-1.join-slurm": ("node-1.prepare-slurm",),
        "node-2.drain-slurm": ("node-1.join-slurm",),
        "node-2.prepare-slurm": ("node-2.drain-slurm",),
        "node-2.join-slurm": ("node-2.prepare-slurm",),
        "node-0.confirm-slurm": ("node-0.serve-slurm", "node-1.join-slurm", "node-2.join-slurm"),
    }
    assert not planned(newer, rack, carried_out(plan, whole(rack))).steps


def test_another_key_is_for_all_and_drains_nobody(rack: ClusterRack) -> None:
    plan = planned(replace(SCORE, key=2), rack, whole(rack))
    assert needs(plan) == {
        "node-0.serve-slurm": (),
        "node-1.join-slurm": ("node-0.serve-slurm",),
        "node-2.join-slurm": ("node-0.serve-slurm",),
        "node-0.confirm-slurm": ("node-0.serve-slurm", "node-1.join-slurm", "node-2.join-slurm"),
    }


def test_a_dead_worker_whose_role_another_has_is_not_waited_for(rack: ClusterRack) -> None:
    """By role: the spare has it now. What is left on the dead one's disk is told."""
    score = replace(SCORE, workers="worker")
    roles = {name: replace(one, role="worker") for name, one in inventory().machines.items() if name in WORKERS}
    first = replace(inventory(), machines={**inventory().machines, **roles})
    here = carried_out(planned(score, rack, first), first)
    machines = {
        **here.machines,
        WORKERS[1]: replace(here.record(WORKERS[1]), role="", replaced=True),
        SPARE: record(SPARE, role="worker"),
    }
    plan = planned(score, rack, replace(here, machines=machines))
    assert needs(plan) == {
        "node-0.serve-slurm": (),
        "node-3.prepare-slurm": (),
        "node-3.join-slurm": ("node-3.prepare-slurm", "node-0.serve-slurm"),
        "node-0.confirm-slurm": ("node-0.serve-slurm", "node-3.join-slurm"),
    }
    assert [node.name for node in spec_of(plan).nodes] == ["node-1", "node-3"]
    (told,) = plan.deferred
    assert told.reason.startswith("hpc: node-2 has the cluster's key still")


def test_a_silent_worker_stays_in_the_configuration_and_is_asked_for_no_job(rack: ClusterRack) -> None:
    here = whole(rack)
    silent = replace(here.record(WORKERS[1]), conditions=(DEAD,))
    more = replace(SCORE, workers=(*WORKERS, SPARE))
    plan = planned(more, rack, replace(here, machines={**here.machines, WORKERS[1]: silent}))
    (confirm,) = (step.do for step in plan.steps if isinstance(step.do, ConfirmSlurm))
    assert confirm.without == (WORKERS[1],)
    assert len(spec_of(plan).nodes) == 3


def test_a_machine_that_was_installed_anew_joins_again(rack: ClusterRack) -> None:
    here = whole(rack)
    anew = replace(here, machines={**here.machines, WORKERS[0]: record(WORKERS[0])})
    assert list(needs(planned(SCORE, rack, anew))) == [
        "node-1.prepare-slurm",
        "node-1.join-slurm",
        "node-0.confirm-slurm",
    ]


def test_what_is_not_installed_yet_is_told_and_joins_later(rack: ClusterRack) -> None:
    plan = planned(SCORE, rack, inventory(record(WORKERS[1], installed=None)))
    assert [node.name for node in spec_of(plan).nodes] == ["node-1"]
    (told,) = plan.deferred
    assert told.reason == "hpc: node-2 joins when its system is installed and its hardware is known"
    nothing = planned(SCORE, rack, inventory(record(HEAD, installed=None)))
    assert not nothing.steps
    assert [one.reason for one in nothing.deferred] == ["hpc: its controllers and a worker have to be installed first"]


def test_a_second_controller_needs_storage_that_both_have(rack: ClusterRack) -> None:
    two = replace(SCORE, controller=(HEAD, SPARE), state="/shared/slurm")
    plan = planned(two, rack, inventory())
    assert needs(plan)["node-3.serve-slurm"] == ("node-0.serve-slurm", "node-3.prepare-slurm")
    assert needs(plan)["node-1.join-slurm"] == ("node-1.prepare-slurm", "node-3.serve-slurm")
    assert [host.name for host in spec_of(plan).home.controllers] == [HEAD, SPARE]
    with pytest.raises(PlanError, match="would know of no job"):
        planned(replace(two, state=SCORE.state), rack, inventory())


def test_who_led_works_and_who_worked_leads(rack: ClusterRack) -> None:
    """Each gets the other's packages first."""
    plan = planned(replace(SCORE, controller=WORKERS[:1], workers=(HEAD, WORKERS[1])), rack, whole(rack))
    assert needs(plan) == {
        "node-1.prepare-slurm": (),
        "node-1.serve-slurm": ("node-1.prepare-slurm",),
        "node-0.prepare-slurm": (),
        "node-0.join-slurm": ("node-0.prepare-slurm", "node-1.serve-slurm"),
        "node-2.join-slurm": ("node-1.serve-slurm",),
        "node-1.confirm-slurm": ("node-1.serve-slurm", "node-0.join-slurm", "node-2.join-slurm"),
    }


def test_gpus_are_named_by_their_files(rack: ClusterRack) -> None:
    cards = tuple(
        Gpu(vendor=NVIDIA, device="1db4", bus=f"0000:3b:00.{at}", model="GV100GL [Tesla V100]") for at in (0, 1)
    )
    here = inventory(record(WORKERS[0], facts=replace(FACTS_OF_NODE, gpus=cards)))
    joins = {step.machine: step.do for step in planned(SCORE, rack, here).steps if isinstance(step.do, JoinSlurm)}
    assert joins[WORKERS[0]].devices == ("/dev/nvidia0", "/dev/nvidia1")
    assert joins[WORKERS[1]].devices == ()
    assert spec_of(planned(replace(SCORE, gpus=False), rack, here)).nodes[0].gpus is None
    after = carried_out(planned(SCORE, rack, here), here)
    assert not planned(SCORE, rack, after).steps
    fewer = replace(after.record(WORKERS[0]), facts=replace(FACTS_OF_NODE, gpus=cards[:1]))
    changed = planned(SCORE, rack, replace(after, machines={**after.machines, WORKERS[0]: fewer}))
    assert list(needs(changed)) == ["node-0.serve-slurm", "node-1.join-slurm", "node-0.confirm-slurm"]


def test_partitions(rack: ClusterRack) -> None:
    partitions = (
        Partition(name="all", default=True),
        Partition(name="short", nodes=(WORKERS[0],), hours=0.5),
        Partition(name="later", nodes=(SPARE,)),
    )
    spec = spec_of(planned(replace(SCORE, partitions=partitions), rack, inventory()))
    assert [(one.name, one.nodes, one.default, one.minutes) for one in spec.partitions] == [
        ("all", WORKERS, True, None),
        ("short", WORKERS[:1], False, 30),
    ]


def test_who_is_to_be_erased_ends_its_jobs_and_gives_the_key_back_first(rack: ClusterRack) -> None:
    here = whole(rack)
    moves = leave_first(here.record(WORKERS[0]), rack, here)
    assert [move.do.action for move in moves] == ["drain-slurm", "leave-slurm"]
    with pytest.raises(PlanError, match="leads the cluster hpc"):
        leave_first(here.record(HEAD), rack, here)
    alone = replace(here, machines={**here.machines, **{name: record(name) for name in WORKERS}})
    assert [move.do.action for move in leave_first(here.record(HEAD), rack, alone)] == ["leave-slurm"]
    silent = replace(here.record(WORKERS[0]), conditions=(DEAD,))
    assert leave_first(silent, rack, here) == ()


def of_kubernetes(name: MachineName, rack: ClusterRack) -> MachineRecord:
    score = KubernetesCluster(cluster="prod", set=KUBEADM.name, endpoint=IPv4Address("10.77.0.2"))
    cluster: ClusterSpec = score._spec(rack, inventory())
    return record(name, member=Member(cluster=cluster, role=NodeRole.WORKER, since=1.0))


@pytest.mark.parametrize(
    ("score", "says"),
    [
        (replace(SCORE, set="slurm-1.2-amd64"), "not at hand"),
        (replace(SCORE, set=KUBEADM.name), "not of slurm"),
        (replace(SCORE, workers=("node-9",)), "the site does not have"),
        (replace(SCORE, workers=(HEAD,)), "cannot be controller and worker"),
        (replace(SCORE, controller=NAMES[:3], workers=NAMES[3:]), "one decides and one stands by"),
        (replace(SCORE, partitions=(Partition(name="one", nodes=WORKERS[:1]),)), "no partition has node-2"),
        (replace(SCORE, cluster="other"), "belongs to the cluster hpc"),
    ],
    ids=["no set", "another engine's", "no machine", "both", "three controllers", "no partition", "another's machine"],
)
def test_what_cannot_be_is_refused(rack: ClusterRack, score: SlurmCluster, says: str) -> None:
    with pytest.raises(PlanError, match=says):
        planned(score, rack, whole(rack))


def test_no_machine_is_of_two_engines(rack: ClusterRack) -> None:
    with pytest.raises(PlanError, match="belongs to the cluster prod"):
        planned(SCORE, rack, inventory(of_kubernetes(WORKERS[0], rack)))
    kubernetes = KubernetesCluster(
        cluster="prod",
        set=KUBEADM.name,
        endpoint=IPv4Address("10.77.0.2"),
        control_planes=(HEAD,),
        workers=WORKERS,
    )
    with pytest.raises(PlanError, match="belongs to the cluster hpc"):
        plan_site(Site(name="lab", topology=rack, scores=[kubernetes]), whole(rack))
