"""From bare machines to the steps that make them an OKD, in the documented order, and to none where it is."""

from dataclasses import replace
from ipaddress import IPv4Address
from itertools import pairwise

import pytest

from appliance.errors import PlanError, SiteError
from appliance.inventory.model import Installed, Inventory, MachineRecord
from appliance.model.balancer import Balancer, BalancerPlace
from appliance.model.cluster import ClusterSpec, Member, NodeRole
from appliance.model.hardware import Disk
from appliance.model.ids import MachineName
from appliance.model.okd import JoinOkd
from appliance.model.site import ShellAccess
from appliance.plan import Plan, RunInstaller
from appliance.scores.cluster_life import NoCluster, leave_first
from appliance.scores.okd import OkdCluster
from appliance.site import Site, plan_site
from appliance.topology import ClusterRack
from images.engine import Provenance
from pxe.client import Mac
from tests.unit.appliance.okd.samples import KEY, described
from tests.unit.appliance.scores.test_cluster import PLACE, cluster_rack, rack
from tests.unit.appliance.scores.test_scores import FACTS

__all__ = ["cluster_rack", "rack"]
NAMES = tuple(MachineName(f"node-{number}") for number in range(5))
BOOT, PLANES, WORKER = NAMES[0], NAMES[1:4], NAMES[4]
SET = described()
SCORE = OkdCluster(
    cluster="prod",
    set=SET.name,
    endpoint=IPv4Address("10.77.0.2"),
    bootstrap=(BOOT,),
    control_planes=PLANES,
    workers=(WORKER,),
)


@pytest.fixture
def site(rack: ClusterRack) -> ClusterRack:
    servers = tuple(
        replace(server, address=IPv4Address("10.77.0.50") + at, mac=Mac.parse(f"52:54:00:77:01:{at:02x}"))
        for at, server in enumerate(rack.servers)
    )
    return replace(rack, servers=servers, shell=ShellAccess(user="core", authorized_keys=(KEY,)))


def disk(at: int) -> Disk:
    wwn = f"naa.5002538c407123{at:02x}"
    return replace(FACTS.disks[0], name="sda", serial=f"S{at}", wwn=wwn, size_bytes=200 * 10**9, contents="blank")


def record(name: MachineName, **changes: object) -> MachineRecord:
    facts = replace(FACTS, memory_bytes=16 << 30, disks=(disk(NAMES.index(name)),))
    return replace(MachineRecord(name=name, facts=facts, facts_current=True), **changes)  # type: ignore[arg-type]


def inventory(*records: MachineRecord) -> Inventory:
    machines = {name: record(name) for name in NAMES} | {one.name: one for one in records}
    return Inventory(machines=machines, images={}, sets={SET.name: SET}, registry=PLACE)


def planned(score: OkdCluster, site: ClusterRack, here: Inventory) -> Plan:
    return plan_site(Site(name="lab", topology=site, scores=[score]), here)


def member(name: MachineName, cluster: ClusterSpec, *, confirmed: bool = False) -> MachineRecord:
    role = NodeRole.WORKER if name == WORKER else NodeRole.CONTROL_PLANE
    return record(name, member=Member(cluster=cluster, role=role, since=1.0, confirmed=confirmed))


def cluster_of(plan: Plan) -> ClusterSpec:
    return next(step.do.spec.cluster for step in plan.steps if isinstance(step.do, JoinOkd))


def before(plan: Plan, early: str, late: str) -> bool:
    """Whether `late` cannot begin before `early` is done."""
    needs = {str(step.id): [str(need) for need in step.needs] for step in plan.steps}

    def reaches(step: str) -> bool:
        return early in needs[step] or any(reaches(need) for need in needs[step])

    return reaches(late)


def test_steps_stand_in_the_documented_order(site: ClusterRack) -> None:
    plan = planned(SCORE, site, inventory())
    lead, worker = PLANES[0], WORKER
    order = [
        f"okd.{lead}.check-okd",
        f"okd.{lead}.serve-okd",
        f"okd.{lead}.make-okd",
        f"okd.{lead}.run-installer",
        f"okd.{lead}.boot-disk",
        f"okd.{lead}.start-okd",
        f"okd.{BOOT}.lead-okd",
        f"okd.{worker}.run-installer",
        f"okd.{worker}.boot-disk",
        f"okd.{worker}.join-okd",
        f"okd.{lead}.confirm-okd",
    ]
    for early, late in pairwise(order):
        assert before(plan, early, late), (early, late)
    for name in (BOOT, *PLANES[1:]):
        assert before(plan, order[2], f"okd.{name}.run-installer")
        assert before(plan, f"okd.{name}.boot-disk", order[5])
        assert not before(plan, f"okd.{lead}.run-installer", f"okd.{name}.run-installer"), "they wait for each other"
    (told,) = {step.do.okd for step in plan.steps if isinstance(step.do, RunInstaller)}
    assert told is not None
    assert [host.device.rpartition("/")[2] for host in told.hosts[:2]] == [
        "wwn-0x5002538c40712300",
        "wwn-0x5002538c40712301",
    ]
    assert told.api == f"api.prod.{site.domain}"


def test_a_plan_says_whose_work_the_set_is(site: ClusterRack) -> None:
    stand_in = described(provenance=Provenance.STAND_IN)
    here = replace(inventory(), sets={SET.name: stand_in})
    first = planned(SCORE, site, here).steps[0]
    assert first.summary == "look whether prod can be: STAND-IN: its programs are none of OKD's"


def test_nothing_is_left_to_do_once_it_is_confirmed(site: ClusterRack) -> None:
    cluster = cluster_of(planned(SCORE, site, inventory()))
    there = [member(name, cluster, confirmed=name == PLANES[0]) for name in (*PLANES, WORKER)]
    assert not planned(SCORE, site, inventory(*there)).steps


def test_a_worker_that_comes_later_needs_nobody_to_start_the_cluster(site: ClusterRack) -> None:
    cluster = cluster_of(planned(SCORE, site, inventory()))
    there = [member(name, cluster, confirmed=name == PLANES[0]) for name in PLANES]
    plan = planned(SCORE, site, inventory(*there))
    assert [step.id.split(".", 1)[1] for step in plan.steps] == [
        f"{PLANES[0]}.check-okd",
        f"{PLANES[0]}.serve-okd",
        f"{PLANES[0]}.make-okd",
        f"{WORKER}.run-installer",
        f"{WORKER}.boot-disk",
        f"{WORKER}.join-okd",
        f"{PLANES[0]}.confirm-okd",
    ]
    (run,) = (step.do for step in plan.steps if isinstance(step.do, RunInstaller))
    there.append(record(WORKER, installed=_installed(run)))
    again = planned(SCORE, site, inventory(*there))
    assert not any(isinstance(step.do, RunInstaller) for step in again.steps), "it only has to come in"


def _installed(run: RunInstaller) -> Installed:
    address = IPv4Address("10.77.0.54")
    return Installed(image=run.installer, hostname=run.hostname, address=address, host_keys=(), disk=run.disk)


SMALL = [record(PLANES[0], facts=replace(FACTS, memory_bytes=8 << 30, disks=(disk(1),)))]


@pytest.mark.parametrize(
    ("changes", "records", "why"),
    [
        ({"set": "okd-4.20.0-okd-scos.1-amd64"}, [], "is not at hand"),
        ({"bootstrap": ()}, [], "0 bootstrap machines"),
        ({"control_planes": PLANES[:2]}, [], "2 control planes"),
        ({"control_planes": PLANES[:1], "bootstrap": (), "workers": ()}, [], "a single node has no steps yet"),
        ({"endpoint": None}, [], "both want port 80"),
        ({}, SMALL, "too small for a master"),
    ],
    ids=["no set", "no bootstrap", "two", "single", "port", "memory"],
)
def test_what_cannot_be_is_refused_before_anything_is_started(
    site: ClusterRack, changes: dict[str, object], records: list[MachineRecord], why: str
) -> None:
    with pytest.raises((PlanError, SiteError), match=why):
        planned(replace(SCORE, **changes), site, inventory(*records))  # type: ignore[arg-type]


def test_a_site_that_cannot_have_one_says_why(site: ClusterRack) -> None:
    nameless = replace(site, servers=tuple(replace(server, address=None) for server in site.servers))
    with pytest.raises(PlanError, match="an address and a name of its own"):
        planned(SCORE, nameless, inventory())
    with pytest.raises(PlanError, match="nobody could enter"):
        planned(SCORE, replace(site, shell=ShellAccess()), inventory())
    shared = replace(site, balancer=Balancer(place=BalancerPlace.CONTROL_PLANES, address=IPv4Address("10.77.0.9")))
    with pytest.raises(PlanError, match="do not share an address"):
        planned(replace(SCORE, endpoint=None), shared, inventory())


def test_a_release_before_boot_images_of_scos_is_refused(site: ClusterRack) -> None:
    old = described("4.18.0-okd-scos.9")
    here = replace(inventory(), sets={old.name: old})
    with pytest.raises(SiteError, match=r"OKD 4\.18 has no boot images"):
        planned(replace(SCORE, set=old.name), site, here)


def test_another_release_is_not_installed_over_a_cluster(site: ClusterRack) -> None:
    cluster = cluster_of(planned(SCORE, site, inventory()))
    newer = described("4.20.0-okd-scos.1")
    here = replace(inventory(member(PLANES[0], cluster)), sets={SET.name: SET, newer.name: newer})
    with pytest.raises(PlanError, match="upgraded by itself"):
        planned(replace(SCORE, set=newer.name), site, here)


def test_no_step_takes_a_machine_out_of_it(site: ClusterRack) -> None:
    cluster = cluster_of(planned(SCORE, site, inventory()))
    there = [member(name, cluster, confirmed=name == PLANES[0]) for name in (*PLANES, WORKER)]
    fewer = planned(replace(SCORE, workers=()), site, inventory(*there))
    assert not fewer.steps
    assert fewer.missing == (f"{WORKER} stays in prod: taking nodes out of an OKD is yours",)
    with pytest.raises(PlanError, match="belongs to the OKD prod"):
        leave_first(there[-1], site, inventory(*there))
    with pytest.raises(PlanError, match="belongs to the OKD prod"):
        plan_site(Site(name="lab", topology=site, scores=[NoCluster(cluster="prod")]), inventory(*there))


def test_what_is_not_known_yet_puts_it_off(site: ClusterRack) -> None:
    (deferred,) = planned(SCORE, site, inventory(MachineRecord(name=WORKER))).deferred
    assert deferred.reason == f"prod: the hardware of {WORKER} is not known yet"
