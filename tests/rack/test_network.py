"""A bond over two NICs, a static address and a VLAN on real firmware; a cable is pulled, and the machine answers."""

import json
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.frontend.provision import provision
from appliance.lab.cable import plug
from appliance.lab.demo import daemon, daemon_config, make_key, wait_until_ready
from appliance.lab.rack import Rack
from appliance.lab.spec import BRIDGE, RackFirmware, RackSpec
from appliance.model.hardware import Firmware
from appliance.model.views import PlanView, RunState
from tests.rack.bonded_site import ROUTER
from tests.rack.person import anybody
from tests.rack.scene import Scene

pytestmark = [pytest.mark.rack, pytest.mark.long, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
SITE = Path(__file__).with_name("bonded_site.py")
FIRST, SECOND = "52:54:00:77:00:01", "52:54:00:77:01:01"
VLAN = 20
# linux/if_ether.h, linux/if_packet.h
_ETH_P_ALL, _SOL_PACKET, _PACKET_AUXDATA, _TP_STATUS_VLAN_VALID = 3, 263, 8, 1 << 4
_AUXDATA = struct.Struct("=IIIHHHH")


class Bonded(Scene):
    def there(self, *argv: str) -> str:
        """What a program says on the installed machine, entered by the appliance from outside of the rack's network."""
        ssh = [sys.executable, "-m", "appliance.main", "--socket", str(self.folder / "api.sock"), "ssh", "node-0", "--"]
        done = subprocess.run([*ssh, *argv], capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def here(self, *argv: str) -> str:
        """The same in the rack's own network."""
        with self.rack.run(list(argv), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.folder) as program:
            return program.communicate(timeout=60)[0].decode(errors="replace")

    def bond(self) -> str:
        return self.there("cat", "/proc/net/bonding/bond0")


@contextmanager
def running(files: RackFirmware, folder: Path) -> Iterator[Bonded]:
    config = daemon_config(folder, socket=folder / "api.sock", key=make_key(folder), site=SITE)
    spec = RackSpec(nodes=1, nics=2, firmware=Firmware.UEFI, workdir=folder, files=files)
    with Rack.start(spec) as rack:
        scene = Bonded(rack, folder)
        scene.here("ip", "address", "add", f"{ROUTER}/24", "dev", BRIDGE)
        with daemon(rack, config, folder) as process:
            wait_until_ready(scene.client.health, lambda: process.poll() is None, folder / "daemon.log")
            yield scene


def test_a_bond_with_a_static_address_and_a_vlan_outlives_a_cable(rack_firmware: RackFirmware, tmp_path: Path) -> None:
    plans: list[PlanView] = []
    with running(rack_firmware, tmp_path) as scene:
        outcome = provision(scene.client, anybody(scene.to_the_end, plans.append))
        assert [run.state for run in outcome.runs] == [RunState.DONE, RunState.DONE], scene.client.machine("node-0")
        again = scene.client.make_plan()
        assert (again.steps, again.missing) == ((), ())
        the_plan_told_the_network(plans)
        it_is_reached_where_it_is(scene)
        its_links_are_as_stated(scene)
        frames_of_the_vlan_are_tagged(scene)
        a_cable_is_pulled(scene)


def the_plan_told_the_network(plans: list[PlanView]) -> None:
    told = [step.summary for plan in plans for step in plan.steps if step.summary.startswith("write host name")]
    assert f"bond0 (active-backup of {FIRST}, primary and {SECOND}) 10.30.0.50/24" in told[0]
    assert "storage (VLAN 20 on bond0 MTU 1400) 10.20.0.50/24" in told[0]


def it_is_reached_where_it_is(scene: Bonded) -> None:
    machine = scene.client.machine("node-0")
    assert (machine.phase.value, machine.address) == ("active", "10.30.0.50")
    leased = [event.text for event in scene.client.events(after=0, limit=1000).events if "leased" in event.text]
    assert leased
    assert all("10.77.0.50" in text for text in leased)
    assert scene.here("dig", "+short", "@10.77.0.1", "node-0.rack.test").strip() == "10.30.0.50"
    assert scene.there("hostname").strip() == "node-0"


def its_links_are_as_stated(scene: Bonded) -> None:
    scene.until(lambda: "10.20.0.50" in scene.there("ip", "address"), "the VLAN has its address", 30)
    links = {link["ifname"]: link for link in json.loads(scene.there("ip", "-j", "-d", "address"))}
    assert set(links) == {"lo", "bond0", "bond0p0", "bond0p1", "storage"}
    addresses = {
        name: {f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"] if a["scope"] == "global"}
        for name, link in links.items()
        if name != "lo"
    }
    assert addresses == {
        "bond0": {"10.30.0.50/24"},
        "bond0p0": set(),
        "bond0p1": set(),
        "storage": {"10.20.0.50/24", "fd00:20::50/64"},
    }
    assert links["bond0"]["address"] == FIRST
    assert links["bond0p1"]["permaddr"] == SECOND
    assert (links["storage"]["link"], links["storage"]["mtu"]) == ("bond0", 1400)
    assert links["storage"]["linkinfo"]["info_data"]["id"] == VLAN
    said = scene.bond()
    assert "Bonding Mode: fault-tolerance (active-backup)" in said
    assert "Primary Slave: bond0p0 (primary_reselect always)" in said
    assert "Currently Active Slave: bond0p0" in said
    assert said.count("MII Status: up") == 3
    assert scene.there("cat", "/etc/resolv.conf") == "search rack.test\nnameserver 10.77.0.1\n"
    journal = scene.there("journalctl", "--no-pager", "--boot", "--unit", "systemd-networkd", "--output", "cat")
    assert not [line for line in journal.splitlines() if line.startswith("/etc/systemd/network")], journal


def frames_of_the_vlan_are_tagged(scene: Bonded) -> None:
    """As they come out of the machine's cable; the host's kernel knows no VLANs."""
    listener = scene.rack.inside(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL)))
    with listener:
        listener.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        listener.settimeout(10)
        scene.there("busybox ping -c 1 -W 1 10.20.0.1 || true")
        assert arp_for(listener, bytes([10, 20, 0, 1])) == VLAN


def arp_for(listener: socket.socket, target: bytes) -> int:
    """The VLAN in which somebody asks who has the address (RFC 826); 0: in none."""
    while True:
        frame, extras, _, _ = listener.recvmsg(2048, socket.CMSG_SPACE(_AUXDATA.size))
        if frame[12:14] == b"\x08\x06" and frame[38:42] == target:
            break
        if frame[12:14] == b"\x81\x00" and frame[16:18] == b"\x08\x06" and frame[42:46] == target:
            return int.from_bytes(frame[14:16], "big") & 0xFFF
    status, *_, tci, _ = _AUXDATA.unpack(extras[0][2])
    return tci & 0xFFF if status & _TP_STATUS_VLAN_VALID else 0


def a_cable_is_pulled(scene: Bonded) -> None:
    node = scene.rack.node("node-0").spec
    plug(node, "nic0", plugged=False)
    scene.until(lambda: "Currently Active Slave: bond0p1" in scene.bond(), "the second port took over", 30)
    assert scene.bond().count("MII Status: down") == 1
    assert scene.there("hostname").strip() == "node-0"
    plug(node, "nic0", plugged=True)
    scene.until(lambda: "Currently Active Slave: bond0p0" in scene.bond(), "the primary is back", 30)
