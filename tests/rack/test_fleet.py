"""The rack through the appliance's own Redfish service: one machine with a Redfish BMC, one that knows IPMI only."""

import http.server
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redfish

from appliance.client import Client
from appliance.lab.demo import daemon, daemon_config, make_key, wait_until_ready
from appliance.lab.rack import Rack
from appliance.lab.spec import BRIDGE_ADDRESS, BmcKind, RackFirmware, RackNode, RackSpec
from appliance.model.hardware import Firmware
from tests.rack.cd import BANNER, bootable_cd

pytestmark = [pytest.mark.rack, pytest.mark.timeout(300), pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

APPLIANCE = str(BRIDGE_ADDRESS.ip)
PORT, IMAGES = 443, 8000
URL = f"https://{APPLIANCE}"
ISO = f"http://{APPLIANCE}:{IMAGES}/cd.iso"
PXE = b"ipxe.org"


class Fleet:
    """The running rack and daemon."""

    def __init__(self, rack: Rack, folder: Path) -> None:
        self.rack, self.folder = rack, folder
        self.client = Client(folder / "api.sock")

    @property
    def password(self) -> str:
        return (self.folder / "state" / "redfish" / "first-password").read_text().strip()

    def as_client(self, use: Callable[[Any], Any]) -> Any:
        """Calls `use` with a logged-in client of DMTF's synchronous library, in the rack's network."""

        def inside() -> Any:
            authority = str(self.folder / "state" / "redfish" / "server.crt")
            client = redfish.redfish_client(URL, "admin", self.password, timeout=20, max_retry=1, cafile=authority)
            client.login(auth="session")
            try:
                return use(client)
            finally:
                client.logout()

        return self.rack.inside(inside)

    def get(self, path: str) -> dict[str, Any]:
        answer = self.as_client(lambda client: client.get(path))
        assert answer.status == 200, answer.text
        document: dict[str, Any] = answer.dict
        return document

    def send(self, method: str, path: str, body: dict[str, Any]) -> None:
        answer = self.as_client(lambda client: getattr(client, method)(path, body=body))
        assert answer.status in (200, 202, 204), answer.text

    def system(self, node: RackNode) -> dict[str, Any]:
        return self.get(system(node))

    def reset(self, node: RackNode, kind: str) -> None:
        self.send("post", f"{system(node)}/Actions/ComputerSystem.Reset", {"ResetType": kind})

    def boot_once(self, node: RackNode, target: str) -> None:
        boot = {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": target}
        self.send("patch", system(node), {"Boot": boot})

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 40.0) -> None:
        pace, deadline = threading.Event(), time.monotonic() + seconds
        while not condition():
            log = (self.folder / "daemon.log").read_text(errors="replace")[-2000:]
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}; {log}"
            pace.wait(0.1)

    def says(self, node: RackNode, text: bytes, times: int = 1) -> Callable[[], bool]:
        console = self.rack.console(node)
        return lambda: console.exists() and console.read_bytes().count(text) >= times


def system(node: RackNode) -> str:
    return f"/redfish/v1/Systems/{node.spec.name}"


@pytest.fixture(scope="module")
def fleet(rack_firmware: RackFirmware, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    key = make_key(folder)
    bmcs = (BmcKind.REDFISH, BmcKind.IPMI)
    spec = RackSpec(nodes=2, firmware=Firmware.BIOS, workdir=folder, files=rack_firmware, bmcs=bmcs, memory_mib=128)
    with Rack.start(spec) as rack:
        config = daemon_config(folder, socket=folder / "api.sock", key=key, redfish_port=PORT)
        with daemon(rack, config, folder) as process:
            made = Fleet(rack, folder)
            wait_until_ready(made.client.health, lambda: process.poll() is None, folder / "daemon.log")
            yield made


@contextmanager
def serving_images(rack: Rack) -> Iterator[list[str]]:
    """An HTTP server in the rack's network; the paths that it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = bootable_cd()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = rack.inside(lambda: http.server.ThreadingHTTPServer((APPLIANCE, IMAGES), Handler))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


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
    fleet.reset(node, "ForceOff")
    fleet.until(lambda: fleet.system(node)["PowerState"] == "Off", "power off")


def stages(fleet: Fleet, node: RackNode) -> set[str]:
    shown = fleet.client.machine(node.spec.name).stages
    return {name for name, seconds in shown.items() if seconds is not None}


def test_a_machine_boots_an_iso_from_its_virtual_drive_once(fleet: Fleet) -> None:
    node = fleet.rack.nodes[0]
    drive = f"/redfish/v1/Managers/{node.spec.name}/VirtualMedia/Cd"
    with serving_images(fleet.rack) as asked:
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
