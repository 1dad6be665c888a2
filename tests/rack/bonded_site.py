"""The lab's first machine on a bond, with an address that DHCP knows nothing of, and a VLAN, for `test_network.py`.

Firmware and ramdisk boot with 10.77.0.50; the installed system is 10.30.0.50, and reaches the appliance by a route.
"""

from dataclasses import replace

from appliance.lab.topology import lab_rack
from appliance.model.host_network import HostNetwork
from appliance.model.stated_links import Bond, BootNic, Fastest, Vlan, static, with_routes
from appliance.scores.discover import Discover
from appliance.scores.install_linux import InstallLinux
from appliance.scores.smoke_test import SmokeTest
from appliance.site import Site

ROUTER, NETWORK = "10.30.0.1", "10.30.0.0/24"

rack = lab_rack()
network = HostNetwork(
    links=(
        Bond(
            name="bond0",
            members=(BootNic(), Fastest()),
            primary=BootNic(),
            ip=with_routes(
                static("10.30.0.50/24", dns=("10.77.0.1",), search=("rack.test",)),
                (str(rack.boot_network.network), ROUTER),
            ),
        ),
        Vlan(name="storage", id=20, parent="bond0", mtu=1400, ip=static("10.20.0.50/24", "fd00:20::50/64")),
    )
)

site = Site(
    name="lab",
    topology=replace(rack, servers=(replace(rack.servers[0], network=network),)),
    scores=[Discover(), InstallLinux(image="debian-13"), SmokeTest()],
)
