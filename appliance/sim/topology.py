"""A site program of any size: half of the servers are named by MAC and have an address of their own, the others are
what their BMCs say and take an address of the pool."""

from collections.abc import Container
from ipaddress import IPv4Address, IPv4Network

from appliance.model.bmc import BmcEndpoint
from appliance.model.host_network import HostNetwork
from appliance.model.ids import ImageName, machine_name
from appliance.model.links import Ip
from appliance.model.secret import Secret
from appliance.model.site import BootNetwork, Server, ShellAccess
from appliance.model.stated_links import ByMac, Nic
from appliance.roles.disk import Overwrite
from appliance.scores.discover import Discover
from appliance.scores.install_linux import InstallLinux
from appliance.scores.smoke_test import SmokeTest
from appliance.site import Site
from appliance.topology import Rack
from pxe.client import Mac

IMAGE = ImageName("debian-13")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBQ1Ctl0oCSIvIZYbtdxvWEjYC3x5mDSbKKzLkSKSSPX operator@desk"
_NETWORK = IPv4Network("10.80.0.0/20")
_RESERVED_FROM = 256
_POOL_FROM, _POOL_TO = 2048, 4000


def mac_of(number: int, nic: int = 0) -> Mac:
    return Mac(f"52:54:{nic:02x}:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}")


def address_of(number: int) -> IPv4Address:
    return _NETWORK.network_address + _RESERVED_FROM + number


def is_stated(number: int) -> bool:
    return number % 2 == 1


def endpoint_of(number: int) -> BmcEndpoint:
    return BmcEndpoint(
        url=f"https://10.81.{number >> 8}.{number & 255}", user="admin", password=Secret("sim"), fingerprint="00" * 32
    )


def site_of(machines: int, *, alone: bool = True, on_second: Container[int] = ()) -> Site[Rack]:
    """`alone`: no other DHCP server is looked for. `on_second`: whose network is stated, on the second NIC."""
    rack = Rack(
        name="sim",
        servers=tuple(_server(number, on_second=number in on_second) for number in range(1, machines + 1)),
        boot_network=BootNetwork(
            device="sim0",
            network=_NETWORK,
            address=_NETWORK.network_address + 1,
            first=_NETWORK.network_address + _POOL_FROM,
            last=_NETWORK.network_address + _POOL_TO,
            domain="sim.test",
            alone=alone,
        ),
        image_names=(IMAGE,),
        shell=ShellAccess(authorized_keys=(KEY,)),
    )
    install = InstallLinux(image=IMAGE, overwrite=Overwrite.ANYTHING)
    return Site(name="sim", topology=rack, scores=[Discover(), install, SmokeTest()])


def _server(number: int, *, on_second: bool) -> Server:
    second = Nic(name="lan0", on=ByMac(mac_of(number, 1)), ip=Ip(dhcp=True))
    return Server(
        name=machine_name(f"node-{number:04d}"),
        bmc=endpoint_of(number),
        network=HostNetwork(links=(second,)) if on_second else None,
        address=address_of(number) if is_stated(number) else None,
        mac=mac_of(number) if is_stated(number) else None,
    )
