"""A real rack of two servers, to begin with: docs/guide/first-rack.md.

innervate check examples/first_rack.py
"""

from ipaddress import IPv4Address, IPv4Network

from appliance.model.bmc import BmcEndpoint
from appliance.model.ids import ImageName, machine_name
from appliance.model.place import Place
from appliance.model.secret import Secret
from appliance.model.site import BootNetwork, Server, ShellAccess
from appliance.roles.disk import Overwrite, SmallestDisk
from appliance.scores.discover import Discover
from appliance.scores.install_linux import InstallLinux
from appliance.scores.smoke_test import SmokeTest
from appliance.site import Site
from appliance.topology import Rack

GB = 10**9
BMCS = {1: "10.0.1.11", 2: "10.0.1.12"}

site = Site(
    name="rack-1",
    topology=Rack(
        name="rack-1",
        servers=tuple(
            Server(
                name=machine_name(f"node-{unit}"),
                bmc=BmcEndpoint(url=f"ipmi://{address}", user="admin", password=Secret("change-me"), fingerprint=""),
                place=Place(rack="r1", unit=unit),
            )
            for unit, address in BMCS.items()
        ),
        boot_network=BootNetwork(
            device="eth1",
            network=IPv4Network("10.9.0.0/24"),
            address=IPv4Address("10.9.0.1"),
            first=IPv4Address("10.9.0.100"),
            last=IPv4Address("10.9.0.199"),
            domain="rack.example",
        ),
        image_names=(ImageName("debian-13"),),
        shell=ShellAccess(authorized_keys=("ssh-ed25519 AAAA... you@desk",)),
    ),
    scores=[
        Discover(),
        InstallLinux(image="debian-13", disk=SmallestDisk(minimum_bytes=20 * GB), overwrite=Overwrite.BLANK_ONLY),
        SmokeTest(),
    ],
)
