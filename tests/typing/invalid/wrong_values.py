"""Values of the wrong kind in a site program."""

from appliance.model.bmc import BmcEndpoint
from appliance.model.site import BootNetwork, Server
from appliance.scores.install_linux import InstallLinux
from appliance.site import Site
from appliance.topology import Rack


def not_a_score(rack: Rack) -> None:
    Site(name="lab", topology=rack, scores=["discover"])  # rejected


def bare_password(password: str) -> BmcEndpoint:
    return BmcEndpoint(url="https://10.0.0.1", user="admin", password=password, fingerprint="")  # rejected


def bare_name(bmc: BmcEndpoint) -> Server:
    return Server(name="node-0", bmc=bmc)  # rejected


def bare_address(network: BootNetwork, server: Server) -> Rack:
    return Rack(name="rack", servers=server, boot_network=network)  # rejected


disk_as_text = InstallLinux(image="debian-13", disk="/dev/sda")  # rejected
