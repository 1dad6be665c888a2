"""What the ramdisk with Ignition is told: by which score, in which files, and that no secret comes into a plan."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.errors import PlanError, UsageError
from appliance.install.answers import answer_files, kernel_words
from appliance.inventory.model import Inventory, MachineRecord
from appliance.lab.topology import boot_network, lab_rack
from appliance.model.cloud_init import CloudInit
from appliance.model.codec import from_json, to_json
from appliance.model.hardware import HardwareFacts
from appliance.model.ids import ImageName, MachineName, Nonce
from appliance.model.ignition import Config, File, Passwd, Storage, User, inline, parse, sha512
from appliance.model.site import ShellAccess
from appliance.plan import AnswerKind, BootDisk, ImageRef, InstallerRef, Plan, RunInstaller
from appliance.scores.install_linux import InstallLinux
from appliance.site import Site, configs_of, plan_site
from appliance.topology import Rack
from pxe.boot import Endpoints, RunKernel
from pxe.client import Client, Mac, Stage
from pxe.script import boot_script

GOLDEN = Path(__file__).parents[3] / "golden"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBQ1Ctl0oCSIvIZYbtdxvWEjYC3x5mDSbKKzLkSKSSPX operator@desk"
NODE = MachineName("node-0")
NONCE = Nonce("0f1e2d3c4b5a69788796a5b4c3d2e1f0")
ORIGIN = "http://10.77.0.1"
SECRET = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7"
FACTS = from_json(HardwareFacts, (GOLDEN / "facts/qemu/facts.json").read_bytes())
IMAGE = ImageRef(name=ImageName("debian-13"), manifest_sha256="a1" * 32, blob_sha256="b2" * 32, raw_bytes=2 << 30)
ENGINE = InstallerRef(
    name=ImageName("ignition"),
    answers=AnswerKind.IGNITION,
    kernel_sha256="c3" * 32,
    initrd_sha256="d4" * 32,
    files_sha256="",
    raw_bytes=0,
)
FIRST = Config(storage=Storage(files=(File(path="/etc/motd", contents=inline("of all\n")),)))
SECOND = Config(passwd=Passwd(users=(User(name="ops", password_hash=SECRET),)))


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site[Rack]:
    monkeypatch.delenv("INNERVATE_LAB", raising=False)
    rack = replace(lab_rack(), shell=ShellAccess(authorized_keys=(KEY,)))
    score = InstallLinux(image="debian-13", machines=(NODE,), ignition=(FIRST, SECOND))
    return Site(name="lab", topology=rack, scores=[score])


def planned(site: Site[Rack], engine: InstallerRef | None = ENGINE) -> Plan:
    record = MachineRecord(name=NODE, facts=FACTS)
    return plan_site(site, Inventory(machines={NODE: record}, images={IMAGE.name: IMAGE}, ignition=engine))


def configuring(site: Site[Rack]) -> RunInstaller:
    return next(step.do for step in planned(site).steps if isinstance(step.do, RunInstaller))


def files(site: Site[Rack]) -> dict[str, bytes]:
    return dict(answer_files(configuring(site), NONCE, ORIGIN, boot_network(), configs_of(site)))


def test_the_image_is_written_then_configured_then_started(site: Site[Rack]) -> None:
    plan = planned(site)
    actions = [step.do.action for step in plan.steps]
    assert actions == ["boot-agent", "write-image", "run-installer", "boot-disk", "confirm-shell"]
    summary = plan.steps[2].summary
    assert FACTS.disks[0].serial in summary
    assert "files /etc/motd" in summary
    assert "users ops" in summary
    boot = plan.steps[3].do
    assert isinstance(boot, BootDisk)
    assert (boot.image, boot.by_itself) == (IMAGE, True)


def test_a_plan_holds_no_secret_and_another_config_is_another_plan(site: Site[Rack]) -> None:
    text = to_json(planned(site))
    assert SECRET.encode() not in text
    assert FIRST.text.encode() not in text
    other = replace(SECOND, passwd=Passwd(users=(User(name="ops", password_hash="!"),)))
    score = InstallLinux(image="debian-13", machines=(NODE,), ignition=(FIRST, other))
    assert planned(replace(site, scores=[score])).digest != planned(site).digest


def test_the_pointer_names_all_in_order_with_their_hashes(site: Site[Rack]) -> None:
    served = files(site)
    assert list(served) == ["config.ign", "0.ign", "1.ign", "own.ign"]
    merged = json.loads(served["config.ign"])["ignition"]["config"]["merge"]
    assert [one["source"] for one in merged] == [f"{ORIGIN}/install/{NONCE}/{name}" for name in list(served)[1:]]
    assert [one["verification"]["hash"] for one in merged] == [sha512(served[name]) for name in list(served)[1:]]
    assert parse(served["0.ign"].decode(), "0.ign") == FIRST
    assert parse(served["1.ign"].decode(), "1.ign") == SECOND


def test_the_appliance_s_own_part(site: Site[Rack]) -> None:
    own = parse(files(site)["own.ign"].decode(), "own.ign")
    assert all(file.overwrite for file in own.storage.files)
    paths = {file.path: file for file in own.storage.files}
    assert paths["/etc/hostname"].contents == inline("node-0\n")
    assert paths["/root/.ssh/authorized_keys"].contents == inline(f"{KEY}\n")
    assert paths["/root/.ssh/authorized_keys"].mode == 0o600
    assert paths["/var/lib/innervate/report.url"].contents == inline(f"{ORIGIN}/report\n")
    assert paths["/etc/hosts"].contents == inline(
        "127.0.0.1 localhost\n127.0.1.1 node-0.rack.test node-0\n::1 localhost ip6-localhost\n"
    )


def test_debians_own_validator_takes_all_of_them(site: Site[Rack], tmp_path: Path) -> None:
    if (program := shutil.which("ignition-validate")) is None:
        pytest.skip("NOT TESTED: ignition-validate (Debian's ignition) is not installed, see tests/packages.txt")
    for name, content in files(site).items():
        (tmp_path / name).write_bytes(content)
        argv = [program, str(tmp_path / name)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
        assert (done.returncode, done.stdout) == (0, ""), name


def test_the_disk_is_named_by_words_that_every_boot_script_can_hold(site: Site[Rack]) -> None:
    do = configuring(site)
    strange = replace(do, disk=replace(do.disk, serial="WD &&\n boot", wwn=""))
    words = kernel_words(strange, NONCE, ORIGIN)
    intent = RunKernel(kernel="/artifact/k", initrd="/artifact/i", arguments=words, attempt=NONCE)
    client = Client(mac=Mac.parse("52:54:00:77:00:01"), stage=Stage.IPXE)
    script = boot_script(intent, client, Endpoints(address=boot_network().address))
    assert f"ignition.config.url={ORIGIN}/install/{NONCE}/config.ign" in words
    assert f"innervate.tell={ORIGIN}/install/{NONCE}" in words
    assert " ".join(words) in script


def test_a_site_program_that_changed_since_asks_for_a_new_plan(site: Site[Rack]) -> None:
    with pytest.raises(UsageError, match="something else to Ignition") as caught:
        answer_files(configuring(site), NONCE, ORIGIN, boot_network(), {FIRST.sha256: FIRST})
    assert "plan again" in caught.value.next_action


def test_what_cannot_be_is_refused(site: Site[Rack]) -> None:
    with pytest.raises(PlanError, match="not in the artefact store") as caught:
        planned(site, engine=None)
    assert "./run image ignition" in caught.value.next_action
    both = InstallLinux(image="debian-13", ignition=(FIRST,), cloud_init=CloudInit(meta_data={"a": 1}))
    with pytest.raises(PlanError, match="both cloud_init and ignition"):
        planned(replace(site, scores=[both]))
