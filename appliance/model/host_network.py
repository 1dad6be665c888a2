"""The whole network of one machine, as a site program states it.

What only shows beside other machines is in `appliance.model.site_network`.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address

from appliance.model.link_checks import check_links
from appliance.model.links import Interface
from appliance.model.stated_links import ByMac, CabledTo, Stated, rules_of
from pxe.client import Mac


@dataclass(frozen=True, slots=True, kw_only=True)
class HostNetwork:
    """The whole network of one machine: ports that no link names stay down. Raises `SiteError`."""

    links: tuple[Stated, ...]

    def __post_init__(self) -> None:
        check_links(self.links)

    @property
    def addresses(self) -> tuple[Interface, ...]:
        return tuple(address for link in self.links for address in link.ip.addresses)

    @property
    def macs(self) -> tuple[Mac, ...]:
        return tuple(rule.mac for link in self.links for rule in rules_of(link) if isinstance(rule, ByMac))

    @property
    def asks_switches(self) -> bool:
        return any(isinstance(rule, CabledTo) for link in self.links for rule in rules_of(link))

    @property
    def primary(self) -> IPv4Address | None:
        """What the machine's name stands for: on the link with the IPv4 gateway, else the first. None: DHCP decides."""
        ways = sorted(self.links, key=lambda link: all(gateway.version == 6 for gateway in link.ip.gateways))
        found = (a.ip for link in ways for a in link.ip.addresses)
        return next((ip for ip in found if isinstance(ip, IPv4Address)), None)
