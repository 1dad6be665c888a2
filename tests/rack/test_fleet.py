"""The rack through the appliance's own Redfish service: one machine with a Redfish BMC, one that knows IPMI only."""

import os

import pytest

from appliance.lab.spec import RackNode
from tests.rack.cd import BANNER, bootable_cd
from tests.rack.fleet import APPLIANCE, IMAGES, ISO, Fleet, serving_images, system

pytestmark = [pytest.mark.rack, pytest.mark.timeout(300), pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

PXE = b"ipxe.org"


def test_every_machine_is_there_whatever_its_bmc_speaks(fleet: Fleet) -> None:
    members = fleet.get("/redfish/v1/Systems")["Members"]
    assert [member["@odata.id"] for member in members] == [system(node) for node in fleet.rack.nodes]
    for node, protocol in zip(fleet.rack.nodes, ("Redfish", "IPMI"), strict=True):
        shown = fleet.system(node)
        assert shown["PowerState"] == "Off"
        enabled = fleet.get(f"/redfish/v1/Managers/{node.spec.name}/NetworkProtocol")["IPMI"]["ProtocolEnabled"]
        assert enabled is (protocol == "IPMI")


def test_an_ipmi_only_machine_boots_from_the_network_for_a_redfish_client(fleet: Fleet) -> None:
    node = fleet.rack.nodes[1]
    fleet.boot_once(node, "Pxe")
    fleet.reset(node, "On")
    fleet.until(lambda: fleet.system(node)["PowerState"] == "On", "power")
    fleet.until(fleet.says(node, PXE), "the firmware's PXE client")
    fleet.until(lambda: "dhcp" in stages(fleet, node), "the DHCP packet that the appliance saw")
    recorded = fleet.folder / "state" / "logs" / f"{node.spec.name}.console"
    fleet.until(lambda: PXE in recorded.read_bytes(), "serial over LAN, recorded")
    fleet.reset(node, "ForceOff")
    fleet.until(lambda: fleet.system(node)["PowerState"] == "Off", "power off")


def stages(fleet: Fleet, node: RackNode) -> set[str]:
    shown = fleet.client.machine(node.spec.name).stages
    return {name for name, seconds in shown.items() if seconds is not None}


def test_a_machine_boots_an_iso_from_its_virtual_drive_once(fleet: Fleet) -> None:
    node = fleet.rack.nodes[0]
    drive = f"/redfish/v1/Managers/{node.spec.name}/VirtualMedia/Cd"
    with serving_images(fleet.rack, bootable_cd()) as asked:
        fleet.send("post", f"{drive}/Actions/VirtualMedia.InsertMedia", {"Image": ISO})
    assert asked == ["/cd.iso"]
    shown = fleet.get(drive)
    assert (shown["Image"], shown["Inserted"]) == (ISO, True)
    fleet.boot_once(node, "Cd")
    assert fleet.system(node)["Boot"]["BootSourceOverrideTarget"] == "Cd"
    fleet.reset(node, "On")
    fleet.until(fleet.says(node, BANNER), "the program of the CD")
    fleet.until(lambda: fleet.system(node)["Boot"]["BootSourceOverrideEnabled"] == "Disabled", "the override used up")
    fleet.reset(node, "ForceRestart")
    fleet.until(fleet.says(node, PXE), "the network, which comes before the drive")
    fleet.send("post", f"{drive}/Actions/VirtualMedia.EjectMedia", {})
    assert fleet.get(drive)["Inserted"] is False
    fleet.reset(node, "ForceOff")


def test_what_cannot_be_done_is_refused_with_its_reason(fleet: Fleet) -> None:
    redfish_node, ipmi_node = fleet.rack.nodes
    drive = f"/redfish/v1/Managers/{redfish_node.spec.name}/VirtualMedia/Cd/Actions/VirtualMedia.InsertMedia"
    nobody = {"Image": f"http://{APPLIANCE}:{IMAGES + 1}/none.iso"}
    answer = fleet.as_client(lambda client: client.post(drive, body=nobody))
    assert answer.status in (409, 503)
    assert "refused" in answer.text
    target = {"Boot": {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "UefiHttp"}}
    answer = fleet.as_client(lambda client: client.patch(system(ipmi_node), body=target))
    assert answer.status == 400
    assert "UefiHttp" in answer.text


def test_a_machine_at_work_or_held_has_one_master(fleet: Fleet) -> None:
    node = fleet.rack.nodes[0]
    fleet.client.hold(node.spec.name, "fan is being replaced")
    try:
        body = {"ResetType": "On"}
        path = f"{system(node)}/Actions/ComputerSystem.Reset"
        answer = fleet.as_client(lambda client: client.post(path, body=body))
        assert answer.status == 409
        assert "fan is being replaced" in answer.text
    finally:
        fleet.client.release(node.spec.name)
