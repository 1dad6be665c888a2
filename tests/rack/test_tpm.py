"""Rung L2 on real firmware: a machine proves its TPM by itself, and is held when it comes with another.

Beside it is one without a TPM, which gets no further than its BMC brings it.
"""

import asyncio
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.bmc.dialler import Dialler
from appliance.lab.demo import daemon, daemon_config, ensure_images, make_key, wait_until_ready
from appliance.lab.rack import Rack
from appliance.lab.spec import RackFirmware, RackNode, RackSpec, UefiKind
from appliance.model.bmc import PowerCommand
from appliance.model.hardware import Firmware
from appliance.model.views import Errand, MachineView, RunState
from appliance.system import SystemClock, SystemRng
from tests.rack.fleet import Fleet
from tests.rack.test_identity import CANARY, identity, is_active, secret_of

pytestmark = [
    pytest.mark.rack,
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: rung L2 on real firmware, a rack needs root"),
    pytest.mark.skipif(shutil.which("swtpm") is None, reason="NOT TESTED: rung L2 on real firmware, without swtpm"),
]

PCRS = re.compile(r"PCRs (.*)$")
SITE = """
from dataclasses import replace

from appliance.lab.topology import lab_rack
from appliance.model.identity import IdentityPolicy, Release, Rung
from appliance.model.seed_secret import SeedSecret
from appliance.roles.disk import Overwrite, SmallestDisk
from appliance.scores.discover import Discover
from appliance.scores.install_linux import InstallLinux
from appliance.site import Site

site = Site(
    name="lab",
    topology=replace(lab_rack(), identity=IdentityPolicy(cluster=Rung.L2)),
    scores=[
        Discover(),
        InstallLinux(
            image="debian-13",
            disk=SmallestDisk(minimum_bytes=2 * 10**9),
            overwrite=Overwrite.BLANK_ONLY,
            secrets=(SeedSecret(name="app.token", file="{folder}/{{machine}}.token", release=Release.CLUSTER),),
        ),
    ],
)
"""


def told(fleet: Fleet, kind: str) -> list[str]:
    events = fleet.client.events(after=0, limit=1000).events
    return [event.text for event in events if event.kind == kind]


def held(machine: MachineView) -> str:
    return next((c.reason + " | " + c.next_action for c in machine.conditions if c.kind.value == "hold"), "")


@contextmanager
def running(files: RackFirmware, folder: Path, nodes: int) -> Iterator[Fleet]:
    """The first of so many machines has a TPM."""
    site = folder / "site.py"
    site.write_text(SITE.format(folder=folder))
    for index in range(nodes):
        secret = folder / f"node-{index}.token"
        secret.write_text(f"{CANARY}-node-{index}")
        secret.chmod(0o600)
    key = make_key(folder)
    spec = RackSpec(nodes=nodes, firmware=Firmware.UEFI, workdir=folder, files=files, tpms=(0,))
    with Rack.start(spec) as rack:
        config = daemon_config(folder, socket=folder / "api.sock", key=key, site=site)
        with daemon(rack, config, folder) as process:
            fleet = Fleet(rack, folder)
            wait_until_ready(fleet.client.health, lambda: process.poll() is None, folder / "daemon.log")
            yield fleet


def test_a_machine_with_a_tpm_reaches_l2_by_itself_and_with_another_one_it_is_held(
    rack_firmware: RackFirmware, tmp_path: Path
) -> None:
    with running(rack_firmware, tmp_path, 2) as fleet:
        node, other = fleet.rack.nodes
        reaches_l2(fleet, node)
        stays_on_l1(fleet, other)
        gets_what_is_the_cluster_s(fleet, node, other)
        is_held_with_another_tpm(fleet, node)
        is_believed_again_with_its_own(fleet, node)
    for file in (tmp_path / "daemon.log", *(tmp_path / "state").glob("records.db*")):
        assert CANARY.encode() not in file.read_bytes(), file


def test_secure_boot_keys_that_changed_are_told_and_stop_nothing(rack_firmware: RackFirmware, tmp_path: Path) -> None:
    with running(rack_firmware, tmp_path, 1) as fleet:
        (node,) = fleet.rack.nodes
        reaches_l2(fleet, node)
        off(fleet, node)
        shutil.copyfile(ensure_images(uefi=UefiKind.SECURE).ovmf_vars, node.spec.nvram)
        run = fleet.client.apply(fleet.client.plan_errand(node.spec.name, Errand.RESCUE).digest)
        fleet.until(lambda: fleet.client.run(run.id).state is RunState.DONE, "the rescue", 300)
        shown = fleet.client.machine(node.spec.name)
        assert shown.identity is not None
        assert shown.identity.rung == "L2"
        (condition,) = shown.conditions
        assert condition.kind.value == "degraded"
        assert "PCR 7 (Secure Boot and its keys)" in condition.reason
        assert "PCR 0" not in condition.reason


def reaches_l2(fleet: Fleet, node: RackNode) -> None:
    discovery = fleet.client.apply(fleet.client.make_plan().digest)
    fleet.until(lambda: fleet.client.run(discovery.id).state is RunState.DONE, "discovery", 240)
    fleet.until(lambda: identity(fleet, node) == ("L2", True), "rung L2", 60)
    (proven,) = told(fleet, "tpm-proven")
    assert PCRS.search(proven), "a quote over what the firmware measured came with it"
    assert any("rung L1" in text for text in told(fleet, "agent-bound"))


def stays_on_l1(fleet: Fleet, other: RackNode) -> None:
    fleet.until(lambda: told(fleet, "tpm-lacking") != [], "the other one saying that it has none", 60)
    shown = fleet.client.machine(other.spec.name).identity
    assert shown is not None
    assert (shown.rung, shown.secrets) == ("L1", True)
    assert "a TPM 2.0 would, but it has no TPM, or its firmware hides it" in shown.higher


def gets_what_is_the_cluster_s(fleet: Fleet, node: RackNode, other: RackNode) -> None:
    run = fleet.client.apply(fleet.client.make_plan().digest)
    fleet.until(lambda: is_active(fleet, node), "the machine with a TPM installed", 400)
    assert secret_of(fleet, node) == f"{CANARY}-node-0"
    fleet.until(lambda: waits_for_a_tpm(fleet, other), "the other one waiting", 200)
    fleet.client.cancel(run.id)
    off(fleet, other)


def waits_for_a_tpm(fleet: Fleet, other: RackNode) -> bool:
    step = fleet.client.machine(other.spec.name).step
    return step is not None and "it stands on L1, and its secrets need L2: a TPM 2.0 would" in step.waiting


def is_held_with_another_tpm(fleet: Fleet, node: RackNode) -> None:
    off(fleet, node)
    state = node.spec.tpm_state
    state.rename(state.with_name("tpm of its own"))
    fleet.client.apply(fleet.client.plan_errand(node.spec.name, Errand.RESCUE).digest)
    fleet.until(lambda: bool(held(fleet.client.machine(node.spec.name))), "the machine held", 240)
    why = held(fleet.client.machine(node.spec.name))
    assert "its TPM is another than the one that it proved itself with" in why
    assert "endorsement_keys=(" in why
    assert len(told(fleet, "tpm-proven")) == 1


def is_believed_again_with_its_own(fleet: Fleet, node: RackNode) -> None:
    off(fleet, node)
    state = node.spec.tpm_state
    state.rename(state.with_name("tpm of somebody else"))
    state.with_name("tpm of its own").rename(state)
    fleet.client.release(node.spec.name)
    fleet.until(lambda: identity(fleet, node)[0] == "L2", "rung L2 again", 300)
    first, again = (PCRS.search(text) for text in told(fleet, "tpm-proven"))
    assert first is not None
    assert again is not None
    assert first[1].split(",")[0] == again[1].split(",")[0], "the same firmware measures the same"
    shown = fleet.client.machine(node.spec.name)
    assert not [c for c in shown.conditions if c.kind.value == "degraded"]


def off(fleet: Fleet, node: RackNode) -> None:
    """A power cut, past the appliance."""

    async def cut() -> None:
        dialler = Dialler(SystemClock(), SystemRng())
        try:
            await dialler.dial(node.bmc).command(PowerCommand.FORCE_OFF)
        finally:
            await dialler.close()

    fleet.rack.inside(lambda: asyncio.run(asyncio.wait_for(cut(), 30)))
