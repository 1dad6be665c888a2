"""Other people's Redfish clients drive machines through the appliance: power, boot override, the virtual drive."""

import json
import os
from pathlib import Path

import pytest

from appliance.lab.spec import RackNode
from tests.foreign import ANSIBLE, REDFISH_CLIENTS, environment
from tests.rack.cd import BANNER, bootable_cd
from tests.rack.fleet import APPLIANCE, ISO, URL, Fleet, serving_images

pytestmark = [pytest.mark.rack, pytest.mark.timeout(900), pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

SUSHY = """
import sys, sushy
url, password, name, iso = sys.argv[1:]
root = sushy.Sushy(url, username="admin", password=password, verify=False)
system = next(s for s in root.get_system_collection().get_members() if s.name == name)
manager = next(m for m in root.get_manager_collection().get_members() if m.identity == name)
print("power", system.power_state)
if iso:
    drive = next(v for v in manager.virtual_media.get_members() if "CD" in [str(t.value) for t in v.media_types])
    drive.insert_media(iso, inserted=True, write_protected=True)
    drive.refresh()
    assert drive.inserted and drive.image == iso, drive.image
    target = sushy.BOOT_SOURCE_TARGET_CD
else:
    target = sushy.BOOT_SOURCE_TARGET_PXE
system.set_system_boot_options(target=target, enabled=sushy.BOOT_SOURCE_ENABLED_ONCE)
system.refresh()
print("boot", system.boot.target, system.boot.enabled)
system.reset_system(sushy.RESET_ON)
"""


def starts(fleet: Fleet, node: RackNode) -> int:
    """How often the firmware greeted on the serial console."""
    console = fleet.rack.console(node)
    return console.read_bytes().count(b"SeaBIOS (version") if console.exists() else 0


def off(fleet: Fleet, node: RackNode) -> None:
    fleet.until(lambda: fleet.system(node)["PowerState"] == "Off", f"{node.spec.name} off")


@pytest.mark.parametrize("number", [0, 1], ids=["redfish", "ipmi"])
def test_redfishtool(fleet: Fleet, number: int) -> None:
    node, tool = fleet.rack.nodes[number], environment(*REDFISH_CLIENTS) / "redfishtool"
    before = starts(fleet, node)

    def systems(*command: str) -> str:
        login = ("-r", APPLIANCE, "-u", "admin", "-p", fleet.password, "-S", "Always", "-A", "Session")
        return fleet.run(str(tool), *login, "Systems", "-I", node.spec.name, *command)

    assert node.spec.name in systems("get")
    systems("setBootOverride", "Once", "Pxe")
    systems("reset", "On")
    fleet.until(lambda: starts(fleet, node) > before, "the firmware")
    systems("reset", "ForceOff")
    off(fleet, node)


@pytest.mark.parametrize("number", [0, 1], ids=["redfish", "ipmi"])
def test_sushy(fleet: Fleet, number: int) -> None:
    """Where there is a virtual drive, it boots a CD from it."""
    node, python = fleet.rack.nodes[number], environment(*REDFISH_CLIENTS) / "python"
    console, before = fleet.rack.console(node), starts(fleet, node)
    banners = console.read_bytes().count(BANNER) if console.exists() else 0
    with serving_images(fleet.rack, bootable_cd()):
        said = fleet.run(str(python), "-c", SUSHY, URL, fleet.password, node.spec.name, "" if number else ISO)
    assert "boot" in said
    fleet.until(lambda: starts(fleet, node) > before, "the firmware")
    if not number:
        fleet.until(fleet.says(node, BANNER, banners + 1), "the program of the CD")
        drive = f"/redfish/v1/Managers/{node.spec.name}/VirtualMedia/Cd"
        fleet.send("post", f"{drive}/Actions/VirtualMedia.EjectMedia", {})
    fleet.reset(node, "ForceOff")
    off(fleet, node)


@pytest.mark.long
@pytest.mark.parametrize("number", [0, 1], ids=["redfish", "ipmi"])
def test_ansible(fleet: Fleet, number: int, tmp_path: Path) -> None:
    node, tools = fleet.rack.nodes[number], environment(*ANSIBLE)
    name, before = node.spec.name, starts(fleet, node)
    env = {**os.environ, "ANSIBLE_HOME": str(tmp_path), "ANSIBLE_LOCALHOST_WARNING": "false"}
    login = {"baseuri": APPLIANCE, "username": "admin", "password": fleet.password}

    def module(kind: str, **arguments: object) -> str:
        text = json.dumps({**login, **arguments})
        argv = (str(tools / "ansible"), "localhost", "-m", f"community.general.redfish_{kind}", "-a", text)
        return fleet.run(*argv, "-e", f"ansible_python_interpreter={tools / 'python'}", env=env)

    def command(category: str, what: str, **arguments: object) -> None:
        module("command", category=category, command=what, resource_id=name, **arguments)

    assert f'"Name": "{name}"' in module("info", category="Systems", command="GetSystemInventory")
    if not number:
        with serving_images(fleet.rack, bootable_cd()):
            command("Manager", "VirtualMediaInsert", virtual_media={"image_url": ISO})
        command("Manager", "VirtualMediaEject", virtual_media={"image_url": ISO})
    command("Systems", "SetOneTimeBoot", bootdevice="Pxe")
    command("Systems", "PowerOn")
    fleet.until(lambda: starts(fleet, node) > before, "the firmware")
    command("Systems", "PowerForceOff")
    off(fleet, node)
