"""From machines with roles to the steps that make them one cluster, and to none once they are."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from appliance.errors import PlanError, SiteError
from appliance.inventory.model import Inventory, MachineRecord
from appliance.lab.topology import lab_rack
from appliance.model.cluster import ConfirmCluster, JoinCluster, Member, NodeRole, SetRef
from appliance.model.ids import ImageName, MachineName
from appliance.model.site import ShellAccess
from appliance.plan import Plan, merge
from appliance.scores.cluster import KubernetesCluster
from appliance.scores.install_linux import InstallLinux
from appliance.site import Site, plan_site
from appliance.topology import Rack
from images.artifact_set import Engine
from tests.unit.appliance.scores.test_scores import FACTS, IMAGE, KEY, installed

SET = SetRef(engine=Engine.KUBEADM, version="v1.20.2", sha256="a" * 64)
NAMES = tuple(MachineName(f"node-{number}") for number in range(5))
PLANES, WORKERS = NAMES[:3], NAMES[3:]
SCORE = KubernetesCluster(
    cluster="prod",
    set="kubeadm v1.20.2",
    endpoint=IPv4Address("10.77.0.2"),
    registry="10.77.0.1:5000",
    control_planes=PLANES,
    workers=WORKERS,
)


@pytest.fixture
def rack(monkeypatch: pytest.MonkeyPatch) -> Rack:
    monkeypatch.delenv("INNERVATE_LAB", raising=False)
    lab = lab_rack()
    servers = tuple(
        replace(lab.servers[0], name=name, bmc=replace(lab.servers[0].bmc, url=f"https://127.77.9.{at + 1}"), mac=None, address=None)
        for at, name in enumerate(NAMES)
    )
    return replace(lab, servers=servers, shell=ShellAccess(authorized_keys=(KEY,)))


def record(name: MachineName, **changes: object) -> MachineRecord:
    return replace(MachineRecord(name=name, facts=FACTS, installed=installed(confirmed=True)), **changes)  # type: ignore[arg-type]


def inventory(*records: MachineRecord) -> Inventory:
    changed = {one.name: one for one in records}
    machines = {name: changed.get(name) or record(name) for name in NAMES}
    return Inventory(machines=machines, images={ImageName(IMAGE.name): IMAGE}, sets={"kubeadm v1.20.2": SET})


def member(name: MachineName, role: NodeRole = NodeRole.CONTROL_PLANE, *, confirmed: bool = False) -> MachineRecord:
    cluster = SCORE._spec(lab_rack(), SET)
    return record(name, member=Member(cluster=cluster, role=role, since=1.0, confirmed=confirmed))


def needs(plan: Plan) -> dict[str, tuple[str, ...]]:
    return {step.id: tuple(step.needs) for step in plan.steps}


def test_one_founds_and_the_others_join_control_planes_one_after_the_other(rack: Rack) -> None:
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


def test_nothing_is_left_to_do_once_it_is_confirmed(rack: Rack) -> None:
    whole = inventory(
        member(NAMES[0], confirmed=True),
        *(member(name) for name in NAMES[1:3]),
        *(member(name, NodeRole.WORKER) for name in WORKERS),
    )
    assert not plan_site(Site(name="lab", topology=rack, scores=[SCORE]), whole).steps
    unsure = replace(whole, machines={**whole.machines, NAMES[0]: member(NAMES[0])})
    (step,) = plan_site(Site(name="lab", topology=rack, scores=[SCORE]), unsure).steps
    assert step.id == "cluster.node-0.confirm-cluster"


def test_a_machine_that_was_replaced_joins_and_the_cluster_is_looked_at_again(rack: Rack) -> None:
    here = inventory(
        member(NAMES[1]), member(NAMES[2]), member(NAMES[3], NodeRole.WORKER), member(NAMES[4], NodeRole.WORKER)
    )
    plan = plan_site(Site(name="lab", topology=rack, scores=[SCORE]), here)
    assert needs(plan) == {
        "cluster.node-0.prepare-node": (),
        "cluster.node-0.join-cluster": ("cluster.node-0.prepare-node",),
        "cluster.node-1.confirm-cluster": ("cluster.node-0.join-cluster",),
    }


def test_a_machine_that_is_not_installed_yet_waits_for_that(rack: Rack) -> None:
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


def test_what_is_not_known_yet_puts_it_off(rack: Rack) -> None:
    dark = inventory(record(NAMES[4], facts=None, installed=None))
    (deferred,) = SCORE.plan(rack, dark).deferred
    assert deferred.reason == "prod: the hardware of node-4 is not known yet"
    by_role = replace(SCORE, control_planes="control-plane", workers="worker")
    (deferred,) = by_role.plan(rack, inventory()).deferred
    assert deferred.reason == "prod: no machine has the role of a control plane yet"


@pytest.mark.parametrize(
    ("score", "here", "says"),
    [
        (replace(SCORE, set="kubeadm v1.99.0"), inventory(), "is not at hand"),
        (replace(SCORE, control_planes=NAMES[:2]), inventory(), "2 control planes survive no more failures than 1"),
        (replace(SCORE, workers=("node-2",)), inventory(), "node-2 cannot be control plane and worker"),
        (replace(SCORE, workers=("node-77",)), inventory(), "node-77"),
        (replace(SCORE, cluster="other"), inventory(member(NAMES[0])), "node-0 belongs to the cluster prod"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(
    rack: Rack, score: KubernetesCluster, here: Inventory, says: str
) -> None:
    with pytest.raises(PlanError, match=says) as caught:
        score.plan(rack, here)
    assert caught.value.next_action


def test_another_version_is_refused_loudly(rack: Rack) -> None:
    newer = replace(SET, version="v1.21.0", sha256="b" * 64)
    here = replace(inventory(member(NAMES[0])), sets={"kubeadm v1.20.2": newer})
    with pytest.raises(PlanError, match=r"node-0 runs kubeadm v1\.20\.2; v1\.21\.0 is wanted"):
        SCORE.plan(rack, here)


def test_a_name_that_is_no_label_is_refused(rack: Rack) -> None:
    for name in ("", "Prod", "a b", "-a", "x" * 41):
        with pytest.raises(SiteError):
            replace(SCORE, cluster=name).plan(rack, inventory())
