"""From answers to the appliance's own files. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from appliance.bmc.discovery import Found
from appliance.setup.answers import Answers

HTTPS_PORT = 443
_STATE = "/data/state"
_IMAGES = "/usr/share/innervate/images"


class File(Enum):
    """Below the configuration folder of the data partition."""

    SITE = "site.py"
    CONFIGURATION = "innervate.toml"
    NETWORK = "network/10-provisioning.network"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    name: str
    bmc: Found


def files_of(answers: Answers, found: Sequence[Found], *, ramdisk: str, own_key: str) -> Mapping[File, str]:
    """`own_key` enters installed machines beside the keys of the answers.

    The configuration comes last: where it is, the first boot is over."""
    return {
        File.NETWORK: network_of(answers),
        File.SITE: _site(answers, found, (own_key, *answers.keys)),
        File.CONFIGURATION: _configuration(answers, ramdisk),
    }


def network_of(answers: Answers) -> str:
    """For systemd-networkd (systemd.network(5))."""
    return (
        f"[Match]\nName={answers.device}\n\n"
        f"[Network]\nAddress={answers.address}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nLLDP=yes\n"
        "ConfigureWithoutCarrier=yes\n"
    )


def _configuration(answers: Answers, ramdisk: str) -> str:
    hosts = [str(answers.address.ip), f"innervate.{answers.rack}.internal"]
    return (
        f'state_dir = "{_STATE}"\nsocket = "/run/innervate/api.sock"\nsite = "/data/config/site.py"\n'
        f'images_dir = "{_IMAGES}"\nramdisk = "{ramdisk}"\n'
        f"https_port = {HTTPS_PORT}\nhttps_hosts = {json.dumps(hosts)}\n"
    )


def _site(answers: Answers, found: Sequence[Found], keys: Sequence[str]) -> str:
    servers = [_Server(name=f"node-{number}", bmc=bmc) for number, bmc in enumerate(found, start=1)]
    first, last = answers.pool
    return _SITE.format(
        servers="\n".join(map(_server, servers)),
        rack=answers.rack,
        device=answers.device,
        network=answers.address.network,
        address=answers.address.ip,
        first=first,
        last=last,
        keys="".join(f"\n    {json.dumps(key)}," for key in keys),
    )


def _server(server: _Server) -> str:
    return _SERVER.format(name=server.name, url=server.bmc.url, fingerprint=server.bmc.fingerprint)


_SERVER = '    server("{name}", "{url}", "{fingerprint}"),'
_SITE = '''\
"""Written at the first boot. Change it as you like; `innervate check FILE` says whether it still makes sense."""

from ipaddress import IPv4Address, IPv4Network

from appliance.model.bmc import BmcEndpoint
from appliance.model.ids import ImageName, machine_name
from appliance.model.secret import Secret
from appliance.model.site import BootNetwork, Server, ShellAccess
from appliance.roles.disk import Overwrite, SmallestDisk
from appliance.scores.discover import Discover
from appliance.scores.install_linux import InstallLinux
from appliance.scores.smoke_test import SmokeTest
from appliance.site import Site
from appliance.topology import Rack

GB = 10**9


def server(name: str, url: str, fingerprint: str) -> Server:
    """The vault knows the log-in of its BMC."""
    bmc = BmcEndpoint(url=url, user="", password=Secret(""), fingerprint=fingerprint)
    return Server(name=machine_name(name), bmc=bmc)


SERVERS = (
{servers}
)
# Who may enter installed machines as root: the appliance itself, which has to prove that they work, comes first.
KEYS = ({keys}
)

site = Site(
    name="{rack}",
    topology=Rack(
        name="{rack}",
        servers=SERVERS,
        boot_network=BootNetwork(
            device="{device}",
            network=IPv4Network("{network}"),
            address=IPv4Address("{address}"),
            first=IPv4Address("{first}"),
            last=IPv4Address("{last}"),
            domain="{rack}.internal",
        ),
        image_names=(ImageName("debian-13"),),
        shell=ShellAccess(authorized_keys=KEYS),
    ),
    scores=[
        Discover(),
        InstallLinux(
            image="debian-13",
            disk=SmallestDisk(minimum_bytes=2 * GB),
            overwrite=Overwrite.BLANK_ONLY,
        ),
        SmokeTest(),
    ],
)
'''
