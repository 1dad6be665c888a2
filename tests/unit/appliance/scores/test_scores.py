"""Plans of the scores for machines in every state, compared with golden plans where the whole matters."""

import itertools
import json
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.errors import PlanError
from appliance.inventory.model import Installed, Inventory, MachineRecord
from appliance.lab.topology import lab_rack
from appliance.model.cloud_init import CloudDocuments, CloudInit
from appliance.model.codec import from_json, to_json
from appliance.model.hardware import HardwareFacts
from appliance.model.host_network import HostNetwork
from appliance.model.ids import ImageName, MachineName
from appliance.model.links import MachineNetwork
from appliance.model.site import ShellAccess
from appliance.model.stated_links import CabledTo, Nic, Stated, by_mac, static
from appliance.plan import (
    AnswerKind,
    BootDisk,
    ConfirmShell,
    ImageRef,
    InstallerRef,
    Plan,
    RunInstaller,
    ShellCheck,
    WriteSeed,
    check,
)
from appliance.roles.disk import DiskBySerial, Overwrite
from appliance.scores.discover import Discover
from appliance.scores.install_linux import InstallLinux
from appliance.scores.score import Score
from appliance.scores.smoke_test import SmokeTest
from appliance.site import Site, plan_site
from appliance.topology import Rack

GOLDEN = Path(__file__).parents[3] / "golden"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBQ1Ctl0oCSIvIZYbtdxvWEjYC3x5mDSbKKzLkSKSSPX operator@desk"
A, B = MachineName("node-0"), MachineName("node-1")
IMAGE = ImageRef(name=ImageName("debian-13"), manifest_sha256="a1" * 32, blob_sha256="b2" * 32, raw_bytes=2 << 30)
FACTS = from_json(HardwareFacts, (GOLDEN / "facts/qemu/facts.json").read_bytes())
INSTALL = InstallLinux(image="debian-13")
SCORES: list[Score[Rack]] = [Discover(), INSTALL, SmokeTest()]


@pytest.fixture
def rack(monkeypatch: pytest.MonkeyPatch) -> Rack:
    monkeypatch.delenv("INNERVATE_LAB", raising=False)
    return replace(lab_rack(), shell=ShellAccess(authorized_keys=(KEY,)))


def known(name: MachineName, facts: HardwareFacts | None = FACTS, installed: Installed | None = None) -> MachineRecord:
    return MachineRecord(name=name, facts=facts, installed=installed)


def installed(image: ImageRef = IMAGE, *, confirmed: bool = False, smoke_passed: bool = False) -> Installed:
    return Installed(
        image=image,
        hostname="node-0",
        address=IPv4Address("10.77.0.50"),
        host_keys=(),
        confirmed=confirmed,
        smoke_passed=smoke_passed,
    )


def inventory(*records: MachineRecord) -> Inventory:
    return Inventory(machines={record.name: record for record in records}, images={IMAGE.name: IMAGE})


FINISHED = inventory(*(known(name, installed=installed(confirmed=True, smoke_passed=True)) for name in (A, B)))


def ids(plan: Plan) -> list[str]:
    return [step.id for step in plan.steps]


@pytest.mark.parametrize(
    ("golden", "here"),
    [
        ("unknown-rack", inventory()),
        ("discovered-rack", inventory(known(A), known(B))),
        ("one-of-each", inventory(known(A))),
    ],
)
def test_golden_plans(golden: str, here: Inventory, rack: Rack) -> None:
    plan = plan_site(Site(name="lab", topology=rack, scores=SCORES), here)
    text = (GOLDEN / f"plans/{golden}.json").read_text()
    assert json.loads(to_json(plan)) == json.loads(text)
    assert from_json(Plan, text).digest == plan.digest


@pytest.mark.parametrize("here", [inventory(), inventory(known(A)), inventory(known(A), known(B)), FINISHED])
def test_the_order_of_scores_means_nothing(here: Inventory, rack: Rack) -> None:
    orders = [
        plan_site(Site(name="lab", topology=rack, scores=scores), here) for scores in itertools.permutations(SCORES)
    ]
    assert len({plan.digest for plan in orders}) == 1
    assert all(plan == orders[0] for plan in orders)


@pytest.mark.parametrize("score", SCORES, ids=lambda score: score.name)
def test_nothing_to_do(score: Score[Rack], rack: Rack) -> None:
    plan = score.plan(rack, FINISHED)
    assert (plan.steps, plan.deferred) == ((), ())


def test_discover_leaves_known_machines_alone(rack: Rack) -> None:
    plan = check(Discover().plan(rack, inventory(known(A))))
    assert ids(plan) == ["discover.node-1.enrol", "discover.node-1.boot-agent", "discover.node-1.inspect"]


def test_install_waits_for_facts(rack: Rack) -> None:
    plan = INSTALL.plan(rack, inventory())
    assert plan.steps == ()
    assert plan.deferred[0].reason == "node-0: its hardware is not known yet; Discover must run first"


def test_install_of_some_machines(rack: Rack) -> None:
    plan = InstallLinux(image="debian-13", machines=("node-1",)).plan(rack, inventory(known(A), known(B)))
    assert {step.machine for step in plan.steps} == {B}


def test_each_score_says_its_own_to_cloud_init(rack: Rack) -> None:
    machines = rack.machines
    scores = [
        InstallLinux(image="debian-13", machines=(name,), cloud_init=CloudInit(meta_data={"n": at}))
        for at, name in enumerate(machines)
    ]
    plan = plan_site(Site(name="lab", topology=rack, scores=scores), inventory(*map(known, machines)))
    seeds = [step for step in plan.steps if isinstance(step.do, WriteSeed)]
    said = {step.machine: step.do.cloud_init for step in seeds if isinstance(step.do, WriteSeed)}
    assert said == {name: CloudDocuments(meta_data=f'{{"n": {at}}}') for at, name in enumerate(machines)}
    assert all(step.summary.endswith("and data for cloud-init") for step in seeds)


def networked(rack: Rack, *links: Stated) -> Rack:
    first, *others = rack.servers
    return replace(rack, servers=(replace(first, network=HostNetwork(links=links)), *others))


def network_in(plan: Plan, machine: MachineName) -> MachineNetwork | None:
    (seed,) = (step.do for step in plan.steps if step.machine == machine and isinstance(step.do, WriteSeed))
    return seed.network


LAN = Nic(name="lan0", ip=static("10.77.0.50/24"))


def test_the_plan_shows_the_network_and_changes_with_it(rack: Rack) -> None:
    here = inventory(known(A), known(B))
    plan = INSTALL.plan(networked(rack, LAN), here)
    found = network_in(plan, A)
    assert found is not None
    assert (found.links[0].name, network_in(plan, B)) == ("lan0", None)
    told = next(step.summary for step in plan.steps if step.id == "install-linux.node-0.write-seed")
    assert told.endswith(f"network of node-0: lan0 ({FACTS.nics[0].mac}) 10.77.0.50/24")
    other = INSTALL.plan(networked(rack, replace(LAN, mtu=9000)), here)
    assert len({plan.digest, other.digest, INSTALL.plan(rack, here).digest}) == 3
    assert from_json(Plan, to_json(plan)) == plan


def test_a_nic_that_is_not_there_fails_the_plan(rack: Rack) -> None:
    with pytest.raises(PlanError, match="node-0: network: no NIC is the NIC 02:00:00:00:00:99") as caught:
        INSTALL.plan(networked(rack, replace(LAN, on=by_mac("02:00:00:00:00:99"))), inventory(known(A), known(B)))
    assert str(FACTS.nics[0].mac) in caught.value.evidence


def test_a_port_by_switch_waits_until_a_switch_was_heard(rack: Rack) -> None:
    here = inventory(known(A), known(B))
    plan = INSTALL.plan(networked(rack, replace(LAN, on=CabledTo("leaf-1", "7"))), here)
    assert {step.machine for step in plan.steps} == {B}
    assert plan.deferred[0].reason.startswith("node-0: no switch was heard yet")


def test_two_networks_are_one_too_many(rack: Rack) -> None:
    cloud = CloudInit(network_config={"version": 2})
    with pytest.raises(PlanError, match="node-0: two networks are stated for it"):
        replace(INSTALL, cloud_init=cloud).plan(networked(rack, LAN), inventory(known(A)))


def test_a_machine_with_another_network_than_it_shall_have_is_told(rack: Rack) -> None:
    """Nothing is done to it: who wants the new network installs it again."""
    stated = networked(rack, LAN)
    site = Site(name="lab", topology=stated, scores=SCORES)
    plan = plan_site(site, FINISHED)
    assert plan.steps == ()
    (told,) = plan.missing
    assert told.startswith("node-0 has the network it was installed with: DHCP on every port; reinstalling it")
    has = replace(
        installed(confirmed=True, smoke_passed=True), network=network_in(INSTALL.plan(stated, inventory(known(A))), A)
    )
    assert (
        plan_site(
            site, inventory(known(A, installed=has), known(B, installed=installed(confirmed=True, smoke_passed=True)))
        ).missing
        == ()
    )
    assert has.is_static
    assert not replace(has, address=IPv4Address("10.77.0.51")).is_static


def test_an_installed_machine_that_was_not_entered_is_not_written_again(rack: Rack) -> None:
    plan = INSTALL.plan(rack, inventory(known(A, installed=installed()), known(B, installed=installed(confirmed=True))))
    assert ids(check(plan)) == ["install-linux.node-0.confirm-shell"]


def test_another_image_is_installed_over_the_first(rack: Rack) -> None:
    old = installed(replace(IMAGE, blob_sha256="00" * 32), confirmed=True, smoke_passed=True)
    facts = replace(FACTS, disks=(replace(FACTS.disks[0], contents="gpt:1"),))
    here = inventory(known(A, facts, old), known(B, installed=installed(confirmed=True)))
    install = InstallLinux(image="debian-13", disk=DiskBySerial("DISK0001"), overwrite=Overwrite.ANYTHING)
    assert "install-linux.node-0.write-image" in ids(install.plan(rack, here))
    with pytest.raises(PlanError, match="node-0: no disk fits") as caught:
        INSTALL.plan(rack, here)
    assert "gpt:1" in caught.value.evidence


@pytest.mark.parametrize(
    ("score", "message", "evidence"),
    [
        (InstallLinux(image="fedora-9"), "no image 'fedora-9'", "debian-13"),
        (InstallLinux(image="debian-13", machines=("node-7",)), "no machine node-7", "node-0, node-1"),
        (InstallLinux(image="debian-13", disk=DiskBySerial("X")), "node-0: no disk fits", "DISK0001"),
    ],
)
def test_install_refuses(score: InstallLinux, message: str, evidence: str, rack: Rack) -> None:
    with pytest.raises(PlanError, match=message) as caught:
        score.plan(rack, inventory(known(A), known(B)))
    assert evidence in caught.value.evidence
    assert caught.value.next_action


def test_install_refuses_an_image_that_was_never_built(rack: Rack) -> None:
    with pytest.raises(PlanError, match="no image") as caught:
        INSTALL.plan(rack, Inventory(machines={}, images={}))
    assert "at hand: none" in caught.value.evidence


def test_install_refuses_to_lock_everybody_out(rack: Rack) -> None:
    with pytest.raises(PlanError, match="nobody could enter"):
        INSTALL.plan(replace(rack, shell=ShellAccess()), inventory(known(A)))


@pytest.mark.parametrize(
    ("facts", "argument", "expected"),
    [
        (FACTS, "/sys/class/dmi/id/product_serial", "SN0001"),
        (replace(FACTS, serial=""), "/sys/class/dmi/id/product_uuid", "00000077-0000-4000-8000-000000000001"),
        (replace(FACTS, serial="", uuid=None), "true", ""),
    ],
)
def test_the_machine_is_asked_who_it_is(facts: HardwareFacts, argument: str, expected: str, rack: Rack) -> None:
    last = INSTALL.plan(rack, inventory(known(A, facts))).steps[-1].do
    assert isinstance(last, ConfirmShell)
    assert [(c.argv[-1], c.expected) for c in last.checks] == [(argument, expected)]


def test_smoke_test_alone_waits_for_an_installation(rack: Rack) -> None:
    plan = plan_site(Site(name="lab", topology=rack, scores=[SmokeTest()]), inventory(known(A)))
    assert plan.steps == ()
    assert [d.reason for d in plan.deferred] == [
        "node-0: waits for install-linux.node-0.confirm-shell, which no score plans now",
        "node-1: nothing is installed and its hardware is not known yet",
    ]


def test_smoke_test_of_a_machine_that_was_entered(rack: Rack) -> None:
    here = inventory(known(A, installed=installed(confirmed=True)), known(B, installed=installed(confirmed=True)))
    plan = plan_site(Site(name="lab", topology=rack, scores=SCORES), here)
    assert [(step.id, step.needs) for step in plan.steps] == [
        ("smoke-test.node-0.confirm-shell", ()),
        ("smoke-test.node-1.confirm-shell", ()),
    ]


def test_smoke_test_comes_after_a_new_installation(rack: Rack) -> None:
    old = installed(replace(IMAGE, blob_sha256="00" * 32), confirmed=True)
    plan = plan_site(Site(name="lab", topology=rack, scores=SCORES), inventory(known(A, installed=old), known(B)))
    assert plan.steps[5].needs == ("install-linux.node-0.confirm-shell",)


def test_checks_of_one_s_own(rack: Rack) -> None:
    own = ShellCheck(name="kernel", argv=("uname", "-r"))
    do = SmokeTest(checks=(own,)).plan(rack, inventory(known(A))).steps[0].do
    assert isinstance(do, ConfirmShell)
    assert do.checks == (ShellCheck(name="host name", argv=("hostname",), expected="node-0"), own)


INSTALLER = InstallerRef(
    name=ImageName("debian-12-installer"),
    answers=AnswerKind.PRESEED,
    kernel_sha256="c3" * 32,
    initrd_sha256="d4" * 32,
    files_sha256="e5" * 32,
    raw_bytes=2 << 30,
    kernel_package="linux-image-amd64",
)


def by_installer(rack: Rack, score: InstallLinux) -> Plan:
    offered = replace(rack, image_names=(INSTALLER.name,))
    here = Inventory(machines={A: known(A)}, images={INSTALLER.name: INSTALLER})
    return plan_site(Site(name="lab", topology=offered, scores=[score, SmokeTest()]), here)


def test_what_is_named_says_that_an_installer_runs(rack: Rack) -> None:
    plan = by_installer(rack, InstallLinux(image="debian-12-installer", machines=("node-0",)))
    assert ids(plan)[:3] == [f"install-linux.node-0.{do}" for do in ("run-installer", "boot-disk", "confirm-shell")]
    run, boot = plan.steps[0].do, plan.steps[1].do
    assert isinstance(run, RunInstaller)
    assert (run.disk.serial, run.hostname, run.authorized_keys) == ("DISK0001", "node-0", (KEY,))
    assert isinstance(boot, BootDisk)
    assert boot.by_itself
    assert "DISK0001" in plan.steps[0].summary
    assert "which now holds" in plan.steps[0].summary
    assert from_json(Plan, to_json(plan)) == plan


def test_an_installer_takes_nothing_for_cloud_init(rack: Rack) -> None:
    told = CloudInit(meta_data={"a": "b"})
    with pytest.raises(PlanError, match="carries cloud-init"):
        by_installer(rack, InstallLinux(image="debian-12-installer", machines=("node-0",), cloud_init=told))
