"""The answers for debian-installer: golden, checked by debconf itself, and closed to hostile values."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.errors import UsageError
from appliance.install.answers import answer_files, kernel_words
from appliance.lab.topology import lab_rack
from appliance.model.ids import ImageName, Nonce
from appliance.plan import AnswerKind, DiskRef, InstallerRef, RunInstaller
from pxe.boot import Endpoints, RunKernel
from pxe.client import Client, Mac, Stage
from pxe.script import boot_config, boot_script

GOLDEN = Path(__file__).parents[3] / "golden/preseed"
SCRIPTS = Path(__file__).parents[4] / "images/installer/files/innervate"
NONCE = Nonce("0123456789abcdef0123456789abcdef")
ORIGIN = "http://10.77.0.1"
NETWORK = lab_rack().boot_network
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBQ1Ctl0oCSIvIZYbtdxvWEjYC3x5mDSbKKzLkSKSSPX operator@desk"
INSTALLER = InstallerRef(
    name=ImageName("debian-13-installer"),
    answers=AnswerKind.PRESEED,
    kernel_sha256="aa" * 32,
    initrd_sha256="bb" * 32,
    files_sha256="cc" * 32,
    raw_bytes=3 << 30,
    kernel_package="linux-image-cloud-amd64",
)
DO = RunInstaller(
    installer=INSTALLER,
    disk=DiskRef(serial="DISK0001", wwn="eui.0001", size_bytes=4 << 30, contents="blank"),
    hostname="node-0",
    domain="rack.test",
    authorized_keys=(KEY,),
)


def files(do: RunInstaller = DO) -> dict[str, bytes]:
    return dict(answer_files(do, NONCE, ORIGIN, NETWORK))


def test_golden() -> None:
    assert sorted(files()) == ["authorized_keys", "disk", "preseed.cfg", "report.json", "report.url"]
    for name, content in files().items():
        assert (GOLDEN / name).read_bytes() == content


def test_debconf_reads_it(tmp_path: Path) -> None:
    checker = shutil.which("debconf-set-selections")
    assert checker, "debconf is on every Debian"
    answers = tmp_path / "preseed.cfg"
    answers.write_bytes(files()["preseed.cfg"])
    said = subprocess.run([checker, "-c", str(answers)], capture_output=True, text=True, timeout=30, check=False)
    assert (said.returncode, said.stdout + said.stderr) == (0, "")
    answers.write_bytes(b"d-i partman/confirm bolean true\n")
    wrong = subprocess.run([checker, "-c", str(answers)], capture_output=True, text=True, timeout=30, check=False)
    assert wrong.stdout + wrong.stderr


def test_each_command_in_it_is_a_script_in_the_ramdisk() -> None:
    called = re.findall(r"_command string (.*)", files()["preseed.cfg"].decode())
    assert sorted(called) == ["/innervate/disk", "/innervate/early", "/innervate/late"]
    assert all((SCRIPTS / Path(name).name).read_text().startswith("#!/bin/sh\n") for name in called)


@pytest.mark.parametrize("path", sorted(SCRIPTS.iterdir()), ids=lambda path: path.name)
def test_the_scripts_are_shell(path: Path) -> None:
    said = subprocess.run(["sh", "-n", str(path)], capture_output=True, text=True, timeout=30, check=False)
    assert said.stderr == ""


HOSTILE = "x\nd-i preseed/late_command string reboot"


@pytest.mark.parametrize(
    "do",
    [
        replace(DO, hostname=HOSTILE),
        replace(DO, hostname="node-0 quiet"),
        replace(DO, domain=HOSTILE),
        replace(DO, authorized_keys=(f"{KEY}\n{KEY}",)),
        replace(DO, installer=replace(INSTALLER, kernel_package=HOSTILE)),
        replace(DO, installer=replace(INSTALLER, kernel_package="")),
        replace(DO, installer=replace(INSTALLER, files_sha256="../" * 21)),
        replace(DO, disk=replace(DO.disk, serial="A\nB")),
        replace(DO, disk=replace(DO.disk, wwn="\x1b[2J")),
    ],
)
def test_hostile_values_are_refused(do: RunInstaller) -> None:
    with pytest.raises(UsageError):
        files(do)


def test_the_mirror_is_our_own_server() -> None:
    with pytest.raises(UsageError):
        answer_files(DO, NONCE, "http://evil.test/x", NETWORK)


def test_ipxe_and_grub_take_the_kernel_arguments() -> None:
    intent = RunKernel(
        kernel="/artifact/k", initrd="/artifact/i", arguments=kernel_words(DO, NONCE, ORIGIN), attempt=NONCE
    )
    client = Client(mac=Mac.parse("52:54:00:77:00:01"), stage=Stage.IPXE)
    endpoints = Endpoints(address=NETWORK.address)
    assert f"url={ORIGIN}/install/{NONCE}/preseed.cfg --- ||" in boot_script(intent, client, endpoints)
    assert "'hostname=node-0' 'domain=rack.test'" in boot_config(intent, client, endpoints)
