"""Static addresses on a bond of two NICs, and a VLAN for storage on top: the network of each machine of the lab.

innervate check examples/lab_bond.py
"""

from dataclasses import replace

from appliance.lab.topology import lab_rack
from appliance.model.host_network import HostNetwork
from appliance.model.site import Server
from appliance.model.stated_links import Bond, BootNic, Fastest, Vlan, static
from appliance.scores.discover import Discover
from appliance.scores.install_linux import InstallLinux
from appliance.scores.smoke_test import SmokeTest
from appliance.site import Site

rack = lab_rack()
boot = rack.boot_network


def bonded(number: int, server: Server) -> Server:
    network = HostNetwork(
        links=(
            Bond(
                name="bond0",
                members=(BootNic(), Fastest()),
                primary=BootNic(),
                ip=static(f"10.77.0.{50 + number}/24", dns=(str(boot.address),), search=(boot.domain,)),
            ),
            Vlan(name="storage", id=20, parent="bond0", ip=static(f"10.20.0.{50 + number}/24")),
        )
    )
    return replace(server, network=network)


site = Site(
    name="lab",
    topology=replace(rack, servers=tuple(bonded(number, server) for number, server in enumerate(rack.servers))),
    scores=[Discover(), InstallLinux(image="debian-13"), SmokeTest()],
)
