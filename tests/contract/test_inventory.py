"""Ansible reads our inventory in each of its formats, and carries out nothing that a machine's firmware says."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.api.fake import FakeApplication, served
from appliance.model.phase import Condition, ConditionKind, Phase
from appliance.model.place import Place
from appliance.model.views import DiskView, MachineView
from tests.foreign import ANSIBLE_CORE, environment

ROOT = Path(__file__).parents[2]
DISK = DiskView(
    name="sda", serial="0042", wwn="naa.5", size_bytes=480 * 10**9, model="Q\"3 '#", rotational=False, contents="blank"
)
WORKER = MachineView(
    name="node-0",
    phase=Phase.ACTIVE,
    since=1.0,
    serial="00123",
    address="10.77.0.50",
    product="Acme PowerThing R7",
    role="worker",
    place=Place(rack="r12", unit=1),
    bmc="10.1.0.5",
    macs=("b8:ce:f6:00:00:01",),
    cores=16,
    memory_bytes=1 << 36,
    disks=(DISK,),
)
HELD = Condition(kind=ConditionKind.HOLD, since=1.0, reason="fan")


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    """What a template in a serial number would make."""
    return tmp_path / "carried-out"


@pytest.fixture
def script(tmp_path: Path, evidence: Path) -> Iterator[Path]:
    hostile = replace(
        WORKER,
        name="node-1",
        role="",
        spare_of="worker",
        serial=f"{{{{ lookup('pipe', 'touch {evidence}') }}}}",
        product="\x1b[2J{% raw %}\n[all:vars] '\"# ü",
        conditions=(HELD,),
        disks=(),
    )
    bare = MachineView(name="node-2", phase=Phase.UNKNOWN, since=0.0)
    inventory = {machine.name: machine for machine in (WORKER, hostile, bare)}
    program = tmp_path / "inventory.sh"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m appliance.main inventory "$@"\n')
    program.chmod(0o755)
    with served(FakeApplication(inventory=inventory), tmp_path / "api.sock"):
        yield program


def ours(script: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "INNERVATE_SOCKET": str(script.with_name("api.sock"))}
    return subprocess.run([str(script), *arguments], capture_output=True, text=True, env=environ)


def told(script: Path, *arguments: str) -> str:
    done = ours(script, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_script_contract(script: Path) -> None:
    listing = json.loads(told(script, "--list"))
    assert listing["all"]["hosts"] == ["node-0", "node-1", "node-2"]
    assert listing["role_worker"] == {"hosts": ["node-0"]}
    assert listing["spare_worker"] == {"hosts": ["node-1"]}
    assert listing["state_held"] == {"hosts": ["node-1"]}
    assert listing["phase_active"] == {"hosts": ["node-0", "node-1"]}
    assert listing["product_acme_powerthing_r7"] == {"hosts": ["node-0"]}
    assert set(listing["all"]["children"]) == set(listing) - {"all", "_meta"}
    assert json.loads(told(script, "--host", "node-0")) == listing["_meta"]["hostvars"]["node-0"]
    assert listing["_meta"]["hostvars"]["node-2"] == {"innervate_state": "unknown", "innervate_phase": "unknown"}
    assert json.loads(told(script, "--list", "role:worker"))["all"]["hosts"] == ["node-0"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(("--host", "node-9"), 4), ((), 2), (("--list", "--yaml"), 2), (("--list", "stat:x"), 2)],
)
def test_refusals(script: Path, arguments: tuple[str, ...], status: int) -> None:
    done = ours(script, *arguments)
    assert (done.returncode, done.stdout) == (status, "")


def test_no_text_is_a_template_or_another_line(script: Path) -> None:
    for arguments in (("--list",), ("--yaml",), ("--ini",)):
        text = told(script, *arguments)
        assert "{{" not in text
        assert "{%" not in text
        assert "\x1b" not in text
        assert "\n[all:vars]" not in text


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["script", "yaml", "ini"])
def test_ansible_reads_it(kind: str, script: Path, evidence: Path, tmp_path: Path) -> None:
    tools = environment(*ANSIBLE_CORE)
    source = script
    if kind != "script":
        source = tmp_path / ("hosts.yml" if kind == "yaml" else "hosts.ini")
        source.write_text(told(script, f"--{kind}"))
    environ = {
        "PATH": f"{tools}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "INNERVATE_SOCKET": str(tmp_path / "api.sock"),
    }

    def ansible(program: str, *arguments: str) -> str:
        argv = [str(tools / program), *arguments, "-i", str(source)]
        done = subprocess.run(argv, capture_output=True, text=True, env=environ, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    read = json.loads(ansible("ansible-inventory", "--list"))
    assert read["role_worker"]["hosts"] == ["node-0"]
    assert read["product_acme_powerthing_r7"]["hosts"] == ["node-0"]
    variables = read["_meta"]["hostvars"]
    assert variables["node-0"] == json.loads(told(script, "--host", "node-0"))
    assert variables["node-1"] == json.loads(told(script, "--host", "node-1"))
    assert (variables["node-0"]["innervate_serial"], variables["node-0"]["innervate_cores"]) == ("00123", 16)
    shown = ansible("ansible", "node-1", "-c", "local", "-m", "debug", "-a", "msg={{ innervate_serial }}")
    assert "lookup('pipe'" in shown
    assert not evidence.exists()
