"""From machines with roles to the steps that make them one cluster, and to none once they are."""

from dataclasses import fields, replace
from ipaddress import IPv4Address

import pytest

from appliance.errors import PlanError, SiteError
from appliance.inventory.model import Inventory, MachineRecord
from appliance.lab.topology import lab_rack
from appliance.model.cluster import ConfirmCluster, JoinCluster, Member, NodeRole
from appliance.model.ids import ImageName, MachineName
from appliance.model.site import Server, ShellAccess
from appliance.model.site_services import RegistryPlace
from appliance.plan import Plan, merge
from appliance.scores.cluster import KubernetesCluster
from appliance.scores.install_linux import InstallLinux
from appliance.site import Site, plan_site
from appliance.topology import ClusterRack, Rack
from images.artifact_set import ArtifactSet, Engine, Provenance
from tests.unit.appliance.scores.test_scores import FACTS, IMAGE, KEY, installed

SET = ArtifactSet(
    engine=Engine.KUBEADM, version="v1.20.2", arch="amd64", provenance=Provenance.REBUILT, files=(), images=()
)
PLACE = RegistryPlace(address=IPv4Address("10.77.0.1"), port=5000, authority="PEM")
LARGE = replace(FACTS, cores=4, memory_bytes=8 << 30)
NAMES = tuple(MachineName(f"node-{number}") for number in range(5))
PLANES, WORKERS = NAMES[:3], NAMES[3:]
SCORE = KubernetesCluster(
    cluster="prod",
    set=SET.name,
    endpoint=IPv4Address("10.77.0.2"),
    control_planes=PLANES,
    workers=WORKERS,
)


@pytest.fixture
def rack(monkeypatch: pytest.MonkeyPatch) -> ClusterRack:
    monkeypatch.delenv("INNERVATE_LAB", raising=False)
    lab = lab_rack()
    servers = tuple(
        Server(name=name, bmc=replace(lab.servers[0].bmc, url=f"https://127.77.9.{at + 1}"))
        for at, name in enumerate(NAMES)
    )
    return cluster_rack(replace(lab, servers=servers, shell=ShellAccess(authorized_keys=(KEY,))))


def cluster_rack(rack: Rack) -> ClusterRack:
    return ClusterRack(**{field.name: getattr(rack, field.name) for field in fields(rack)})


def record(name: MachineName, **changes: object) -> MachineRecord:
    return replace(MachineRecord(name=name, facts=LARGE, installed=installed(confirmed=True)), **changes)  # type: ignore[arg-type]


def inventory(*records: MachineRecord) -> Inventory:
    changed = {one.name: one for one in records}
    machines = {name: changed.get(name) or record(name) for name in NAMES}
    return Inventory(machines=machines, images={ImageName(IMAGE.name): IMAGE}, sets={SET.name: SET}, registry=PLACE)


def member(name: MachineName, role: NodeRole = NodeRole.CONTROL_PLANE, *, confirmed: bool = False) -> MachineRecord:
    cluster = SCORE._spec(cluster_rack(lab_rack()), inventory())
    return record(name, member=Member(cluster=cluster, role=role, since=1.0, confirmed=confirmed))


def needs(plan: Plan) -> dict[str, tuple[str, ...]]:
    return {step.id: tuple(step.needs) for step in plan.steps}


def test_one_founds_and_the_others_join_control_planes_one_after_the_other(rack: ClusterRack) -> None:
    plan = plan_site(Site(name="lab", topology=rack, scores=[SCORE]), inventory())
    assert needs(plan) == {
        "cluster.node-0.prepare-node": (),
        "cluster.node-0.found-cluster": ("cluster.node-0.prepare-node",),
        "cluster.node-1.prepare-node": (),
        "cluster.node-1.join-cluster": ("cluster.node-1.prepare-node", "cluster.node-0.found-cluster"),
        "cluster.node-2.prepare-node": (),
        "cluster.node-2.join-cluster": ("cluster.node-2.prepare-node", "cluster.node-1.join-cluster"),
        "cluster.node-3.prepare-node": (),
        "cluster.node-3.join-cluster": ("cluster.node-3.prepare-node", "cluster.node-0.found-cluster"),
        "cluster.node-4.prepare-node": (),
        "cluster.node-4.join-cluster": ("cluster.node-4.prepare-node", "cluster.node-0.found-cluster"),
        "cluster.node-0.confirm-cluster": (
            "cluster.node-0.found-cluster",
            "cluster.node-1.join-cluster",
            "cluster.node-2.join-cluster",
            "cluster.node-3.join-cluster",
            "cluster.node-4.join-cluster",
        ),
    }
    (confirm,) = (step.do for step in plan.steps if isinstance(step.do, ConfirmCluster))
    assert confirm.nodes == NAMES
    roles = {step.machine: step.do.role for step in plan.steps if isinstance(step.do, JoinCluster)}
    assert roles == {name: NodeRole.CONTROL_PLANE if name in PLANES else NodeRole.WORKER for name in NAMES[1:]}


def test_nothing_is_left_to_do_once_it_is_confirmed(rack: ClusterRack) -> None:
    whole = inventory(
        member(NAMES[0], confirmed=True),
        *(member(name) for name in NAMES[1:3]),
        *(member(name, NodeRole.WORKER) for name in WORKERS),
    )
    assert not plan_site(Site(name="lab", topology=rack, scores=[SCORE]), whole).steps
    unsure = replace(whole, machines={**whole.machines, NAMES[0]: member(NAMES[0])})
    (step,) = plan_site(Site(name="lab", topology=rack, scores=[SCORE]), unsure).steps
    assert step.id == "cluster.node-0.confirm-cluster"


def test_a_machine_that_was_replaced_joins_and_the_cluster_is_looked_at_again(rack: ClusterRack) -> None:
    here = inventory(
        member(NAMES[1]), member(NAMES[2]), member(NAMES[3], NodeRole.WORKER), member(NAMES[4], NodeRole.WORKER)
    )
    plan = plan_site(Site(name="lab", topology=rack, scores=[SCORE]), here)
    assert needs(plan) == {
        "cluster.node-0.prepare-node": (),
        "cluster.node-0.join-cluster": ("cluster.node-0.prepare-node",),
        "cluster.node-1.confirm-cluster": ("cluster.node-0.join-cluster",),
    }


def test_a_machine_that_is_not_installed_yet_waits_for_that(rack: ClusterRack) -> None:
    bare = inventory(*(record(name, installed=None) for name in NAMES))
    plan = SCORE.plan(rack, bare)
    first = next(step for step in plan.steps if step.id == "cluster.node-0.prepare-node")
    assert first.needs == ("install-linux.node-0.confirm-shell",)
    both = plan_site(Site(name="lab", topology=rack, scores=[SCORE, InstallLinux(image="debian-13")]), bare)
    assert [step.id for step in both.steps if step.machine == NAMES[4]][-3:] == [
        "install-linux.node-4.confirm-shell",
        "cluster.node-4.prepare-node",
        "cluster.node-4.join-cluster",
    ]
    assert merge("lab", [both]).digest == merge("lab", [both]).digest


def test_what_is_not_known_yet_puts_it_off(rack: ClusterRack) -> None:
    dark = inventory(record(NAMES[4], facts=None, installed=None))
    (deferred,) = SCORE.plan(rack, dark).deferred
    assert deferred.reason == "prod: the hardware of node-4 is not known yet"
    by_role = replace(SCORE, control_planes="control-plane", workers="worker")
    (deferred,) = by_role.plan(rack, inventory()).deferred
    assert deferred.reason == "prod: no machine has the role of a control plane yet"


@pytest.mark.parametrize(
    ("score", "here", "says"),
    [
        (replace(SCORE, set="kubeadm-v1.99.0-amd64"), inventory(), "is not at hand"),
        (replace(SCORE, control_planes=NAMES[:2]), inventory(), "2 control planes survive no more failures than 1"),
        (replace(SCORE, workers=("node-2",)), inventory(), "node-2 cannot be control plane and worker"),
        (replace(SCORE, workers=("node-77",)), inventory(), "node-77"),
        (replace(SCORE, cluster="other"), inventory(member(NAMES[0])), "node-0 belongs to the cluster prod"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(
    rack: ClusterRack, score: KubernetesCluster, here: Inventory, says: str
) -> None:
    with pytest.raises(PlanError, match=says) as caught:
        score.plan(rack, here)
    assert caught.value.next_action


def test_a_name_that_is_no_label_is_refused(rack: ClusterRack) -> None:
    for name in ("", "Prod", "a b", "-a", "x" * 41):
        with pytest.raises(SiteError):
            replace(SCORE, cluster=name).plan(rack, inventory())


@pytest.mark.parametrize(("cores", "memory"), [(1, 8 << 30), (4, 1 << 30)])
def test_a_control_plane_that_kubeadm_would_refuse_is_refused_before_it_is_installed(
    rack: ClusterRack, cores: int, memory: int
) -> None:
    small = record(PLANES[1], facts=replace(FACTS, cores=cores, memory_bytes=memory))
    with pytest.raises(PlanError, match="node-1 is too small for a control plane of prod") as refused:
        plan_site(Site(name="lab", topology=rack, scores=[SCORE]), inventory(small))
    assert f"cores: {cores} of 2, memory: {memory >> 20} of 1700 MiB" in refused.value.evidence


def test_a_worker_may_be_small(rack: ClusterRack) -> None:
    small = record(WORKERS[0], facts=replace(FACTS, cores=1, memory_bytes=1 << 30))
    assert plan_site(Site(name="lab", topology=rack, scores=[SCORE]), inventory(small)).steps
