"""The identity ladder on real firmware: a token that the BMC carried, and a code that a person compared."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.bmc.dialler import Dialler
from appliance.conductor.memory import Memory
from appliance.errors import BmcUnsupportedError
from appliance.identity.drive import Drives
from appliance.identity.key import kept_key
from appliance.identity.tokens import BmcTokens
from appliance.lab.demo import daemon, daemon_config, make_key, wait_until_ready
from appliance.lab.rack import Rack
from appliance.lab.spec import BmcKind, RackFirmware, RackNode, RackSpec
from appliance.lab.topology import lab_rack
from appliance.model.hardware import Firmware
from appliance.model.ids import Nonce
from appliance.model.views import RunState
from appliance.store.identity_records import TokenPlaced
from appliance.store.log import Log
from appliance.store.records import HoldPlaced
from appliance.system import SystemClock, SystemRng
from images.agent.medium import DESCRIPTOR_AT, SECTOR, parse
from tests.rack.fleet import Fleet

pytestmark = [
    pytest.mark.rack,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="a rack needs root"),
]

ROOT = Path(__file__).parents[2]
CANARY = "canary-7d1e55c0"
CODE = re.compile(rb"identity code (\d{3}) (\d{3})")
SITE = """
from appliance.lab.topology import lab_rack
from appliance.model.seed_secret import SeedSecret
from appliance.roles.disk import Overwrite, SmallestDisk
from appliance.scores.discover import Discover
from appliance.scores.install_linux import InstallLinux
from appliance.site import Site

site = Site(
    name="lab",
    topology=lab_rack(),
    scores=[
        Discover(),
        InstallLinux(
            image="debian-13",
            disk=SmallestDisk(minimum_bytes=2 * 10**9),
            overwrite=Overwrite.BLANK_ONLY,
            secrets=(SeedSecret(name="app.token", file="{folder}/{{machine}}.token"),),
        ),
    ],
)
"""


def secret_of(fleet: Fleet, node: RackNode) -> str:
    """What the installed machine itself has."""
    argv = [sys.executable, "-m", "appliance.main", "--socket", str(fleet.folder / "api.sock"), "ssh", node.spec.name]
    command = ["--", "cat", "/etc/innervate/secrets/app.token"]
    done = subprocess.run([*argv, *command], capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def identity(fleet: Fleet, node: RackNode) -> tuple[str, bool]:
    shown = fleet.client.machine(node.spec.name).identity
    assert shown is not None
    return shown.rung, shown.secrets


def waits_for_proof(fleet: Fleet, node: RackNode) -> bool:
    step = fleet.client.machine(node.spec.name).step
    return step is not None and "its secrets need L1" in step.waiting


def is_active(fleet: Fleet, node: RackNode) -> bool:
    return fleet.client.machine(node.spec.name).phase.value == "active"


def shown_on_its_console(fleet: Fleet, node: RackNode) -> str:
    found = CODE.findall(fleet.rack.console(node).read_bytes())
    assert found, "the agent shows its code"
    return b"".join(found[-1]).decode()


async def place_and_take_out(folder: Path) -> None:
    rack, clock, rng = lab_rack(folder), SystemClock(), SystemRng()
    log = Log(folder / "records.db", clock)
    memory = Memory(log)
    memory.open()
    key, dialler = kept_key(folder / "identity.vault", rng), Dialler(clock, rng)
    tokens = BmcTokens(
        key=key,
        drives=Drives(closed=rack.boot_network.networks, port=rack.identity.port, clock=clock, rng=rng),
        memory=memory,
        bmc_of=lambda name: dialler.dial(rack.bmc_of(name)),
        endpoint_of=rack.bmc_of,
    )
    redfish, ipmi = rack.machines
    drive, nonce = folder / redfish / "cd.iso", Nonce("n" * 32)
    try:
        assert await tokens.place(redfish, nonce, 1) == "in drive Cd, for 15 minutes"
        assert parse(drive.read_bytes()[DESCRIPTOR_AT : DESCRIPTOR_AT + SECTOR]) == key.medium(redfish, nonce, 1)
        await tokens.place(redfish, nonce, 2)
        assert parse(drive.read_bytes()[DESCRIPTOR_AT : DESCRIPTOR_AT + SECTOR]) == key.medium(redfish, nonce, 2)
        placed = TokenPlaced(machine=redfish, nonce=nonce, number=2)
        await memory.remember(placed, HoldPlaced(machine=redfish, reason="enough"))
        bmc = dialler.dial(rack.bmc_of(redfish))
        while any(slot.inserted for slot in await bmc.media()):  # noqa: ASYNC110  each turn asks the BMC
            await asyncio.sleep(0)
        assert not drive.exists()
        with pytest.raises(BmcUnsupportedError, match="no virtual media"):
            await tokens.place(ipmi, nonce, 1)
    finally:
        tokens.close()
        await dialler.close()
        log.close()


def test_a_redfish_bmc_fetches_the_medium_into_its_drive_and_an_ipmi_bmc_has_none(tmp_path: Path) -> None:
    """With the machines off: what they make of it is the next test's matter."""
    spec = RackSpec(nodes=2, firmware=Firmware.BIOS, workdir=tmp_path, bmcs=(BmcKind.REDFISH, BmcKind.IPMI))
    with Rack.start(spec) as rack:
        rack.inside(lambda: asyncio.run(asyncio.wait_for(place_and_take_out(tmp_path), 60)))


@pytest.mark.long
def test_a_token_through_virtual_media_and_a_code_over_serial(rack_firmware: RackFirmware, tmp_path: Path) -> None:
    site = tmp_path / "site.py"
    site.write_text(SITE.format(folder=tmp_path))
    for name in ("node-0", "node-1"):
        secret = tmp_path / f"{name}.token"
        secret.write_text(f"{CANARY}-{name}")
        secret.chmod(0o600)
    key = make_key(tmp_path)
    bmcs = (BmcKind.REDFISH, BmcKind.IPMI)
    spec = RackSpec(nodes=2, firmware=Firmware.UEFI, workdir=tmp_path, files=rack_firmware, bmcs=bmcs)
    with Rack.start(spec) as rack:
        config = daemon_config(tmp_path, socket=tmp_path / "api.sock", key=key, site=site)
        with daemon(rack, config, tmp_path) as process:
            fleet = Fleet(rack, tmp_path)
            wait_until_ready(fleet.client.health, lambda: process.poll() is None, tmp_path / "daemon.log")
            play(fleet)
    for file in (tmp_path / "daemon.log", *(tmp_path / "state").glob("records.db*")):
        assert CANARY.encode() not in file.read_bytes(), file


def play(fleet: Fleet) -> None:
    redfish, ipmi = fleet.rack.nodes
    discovery = fleet.client.apply(fleet.client.make_plan().digest)
    fleet.until(lambda: fleet.client.run(discovery.id).state is RunState.DONE, "discovery", 240)
    assert identity(fleet, redfish) == ("L1", True)
    assert identity(fleet, ipmi) == ("L0", False)
    run = fleet.client.apply(fleet.client.make_plan().digest)
    fleet.until(lambda: is_active(fleet, redfish), "the machine that read its token", 300)
    assert secret_of(fleet, redfish) == f"{CANARY}-node-0"
    fleet.until(lambda: waits_for_proof(fleet, ipmi), "the other one waiting", 120)
    assert fleet.client.run(run.id).state is RunState.RUNNING
    code = shown_on_its_console(fleet, ipmi)
    shown = fleet.client.machine(ipmi.spec.name).identity
    assert shown is not None
    assert shown.code == code
    fleet.client.confirm(ipmi.spec.name, code)
    fleet.until(lambda: is_active(fleet, ipmi), "the machine whose code was compared", 240)
    assert identity(fleet, ipmi) == ("L3", True)
    assert secret_of(fleet, ipmi) == f"{CANARY}-node-1"
