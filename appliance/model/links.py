"""The network of one machine with no choices left: links by MAC, in the order in which they are stated.

What a site program states, with rules in place of MACs, is in `appliance.model.host_network`. Words are those of
Linux's bonding and of networkd; addresses are of either family.
"""

from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Literal, assert_never

from pxe.client import Mac

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network

DEFAULT_MTU = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`metric` None: the system's own."""

    to: Network
    via: Address
    metric: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ip:
    """What one link has: static addresses, or `dhcp` (IPv4), or nothing, as a link has that only carries others.

    `gateways`: at most one of each family. Router advertisements are never followed.
    """

    addresses: tuple[Interface, ...] = ()
    gateways: tuple[Address, ...] = ()
    dns: tuple[Address, ...] = ()
    search: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    dhcp: bool = False

    def has(self, version: int) -> bool:
        """Whether it speaks IP of this version, 4 or 6."""
        return (self.dhcp and version == 4) or any(address.version == version for address in self.addresses)


class BondMode(Enum):
    ACTIVE_BACKUP = "active-backup"
    LACP = "802.3ad"


class LacpRate(Enum):
    SLOW = "slow"
    FAST = "fast"


class HashPolicy(Enum):
    LAYER2 = "layer2"
    LAYER2_3 = "layer2+3"
    LAYER3_4 = "layer3+4"


@dataclass(frozen=True, slots=True, kw_only=True)
class NicLink:
    """A port of the machine, by its permanent address; `name` is what the installed system calls it."""

    name: str
    mac: Mac
    mtu: int | None = None
    ip: Ip = field(default_factory=Ip)
    link: Literal["nic"] = "nic"


@dataclass(frozen=True, slots=True, kw_only=True)
class BondLink:
    """`members` are names of NICs, `primary` is one of them or "". `mac` is a member's: the bond is known by it."""

    name: str
    members: tuple[str, ...]
    mode: BondMode
    mac: Mac
    primary: str = ""
    lacp_rate: LacpRate = LacpRate.SLOW
    hash_policy: HashPolicy = HashPolicy.LAYER2_3
    mtu: int | None = None
    ip: Ip = field(default_factory=Ip)
    link: Literal["bond"] = "bond"


@dataclass(frozen=True, slots=True, kw_only=True)
class VlanLink:
    name: str
    id: int
    parent: str
    mtu: int | None = None
    ip: Ip = field(default_factory=Ip)
    link: Literal["vlan"] = "vlan"


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeLink:
    """Without spanning tree: its ports forward at once."""

    name: str
    ports: tuple[str, ...]
    mtu: int | None = None
    ip: Ip = field(default_factory=Ip)
    link: Literal["bridge"] = "bridge"


Link = NicLink | BondLink | VlanLink | BridgeLink


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineNetwork:
    """A link stands behind those that it is made of."""

    links: tuple[Link, ...]

    @property
    def addresses(self) -> tuple[Interface, ...]:
        return tuple(address for link in self.links for address in link.ip.addresses)

    @property
    def dns(self) -> tuple[Address, ...]:
        return tuple(dict.fromkeys(server for link in self.links for server in link.ip.dns))

    @property
    def search(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(domain for link in self.links for domain in link.ip.search))

    def bond_of(self, name: str) -> BondLink | None:
        """The bond that has this link as a member."""
        bonds = (link for link in self.links if isinstance(link, BondLink))
        return next((bond for bond in bonds if name in bond.members), None)

    def bridge_of(self, name: str) -> BridgeLink | None:
        bridges = (link for link in self.links if isinstance(link, BridgeLink))
        return next((bridge for bridge in bridges if name in bridge.ports), None)

    def vlans_on(self, name: str) -> tuple[VlanLink, ...]:
        return tuple(link for link in self.links if isinstance(link, VlanLink) and link.parent == name)


def described(network: MachineNetwork) -> str:
    """In one line, as a plan shows it. Members of a bond are told with the bond."""
    macs = {link.name: str(link.mac) for link in network.links if isinstance(link, NicLink)}
    told = (_link(link, macs) for link in network.links if network.bond_of(link.name) is None)
    return "; ".join(told)


def _link(link: Link, macs: dict[str, str]) -> str:
    mtu = f" MTU {link.mtu}" if link.mtu is not None else ""
    return f"{link.name} ({_kind(link, macs)}{mtu}) {_ip(link.ip)}"


def _kind(link: Link, macs: dict[str, str]) -> str:
    match link:
        case NicLink():
            return str(link.mac)
        case BondLink():
            members = (f"{macs[name]}{', primary' if name == link.primary else ''}" for name in link.members)
            options = ""
            if link.mode is BondMode.LACP:
                options = f" rate {link.lacp_rate.value} hash {link.hash_policy.value}"
            return f"{link.mode.value}{options} of {' and '.join(members)}"
        case VlanLink():
            return f"VLAN {link.id} on {link.parent}"
        case BridgeLink():
            return f"bridge of {' and '.join(link.ports)}"
        case _:
            assert_never(link)


def _ip(ip: Ip) -> str:
    parts = [
        *(["DHCP"] if ip.dhcp else []),
        *map(str, ip.addresses),
        *(f"gateway {gateway}" for gateway in ip.gateways),
        *(f"route {r.to} via {r.via}{'' if r.metric is None else f' metric {r.metric}'}" for r in ip.routes),
        *([f"DNS {' '.join(map(str, ip.dns))}"] if ip.dns else []),
        *([f"search {' '.join(ip.search)}"] if ip.search else []),
    ]
    return " ".join(parts) or "no address"
