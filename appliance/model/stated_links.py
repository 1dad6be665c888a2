"""What a site program says of a machine's links: NICs by MAC, or by a rule that the machine's facts answer."""

from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import assert_never

from appliance.errors import SiteError
from appliance.model.links import Address, BondMode, HashPolicy, Interface, Ip, LacpRate, Network, Route
from pxe.client import Mac
from pxe.errors import PacketError


@dataclass(frozen=True, slots=True)
class ByMac:
    mac: Mac

    def __str__(self) -> str:
        return f"the NIC {self.mac}"


@dataclass(frozen=True, slots=True)
class BootNic:
    """The NIC that the machine boots from: the MAC that its server states, else the one that the ramdisk came by."""

    def __str__(self) -> str:
        return "the boot NIC"


@dataclass(frozen=True, slots=True)
class CabledTo:
    """By LLDP. `switch` is its system name, with or without the domain, or its chassis ID; `port` its port ID."""

    switch: str
    port: str

    def __str__(self) -> str:
        return f"the NIC cabled to {self.switch} port {self.port}"


@dataclass(frozen=True, slots=True)
class Fastest:
    """The `count` fastest NICs with a link that no other rule of the machine takes."""

    count: int = 1

    def __str__(self) -> str:
        return "the fastest NIC with link" if self.count == 1 else f"the {self.count} fastest NICs with link"


NicRule = ByMac | BootNic | CabledTo | Fastest


def by_mac(text: str) -> ByMac:
    """`text` in any usual form. Raises `SiteError`."""
    try:
        return ByMac(Mac.parse(text))
    except PacketError as error:
        raise SiteError(f"network: {text[:40]!r} is no MAC address", next_action=error.next_action) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """A port that is no member of a bond."""

    name: str
    on: NicRule = field(default_factory=BootNic)
    mtu: int | None = None
    ip: Ip = field(default_factory=Ip)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bond:
    """`primary` (active-backup only) is one of `members`. With LACP, `switch_falls_back` promises that the switch lets
    a port through that speaks no LACP, as firmware and ramdisk do."""

    name: str
    members: tuple[NicRule, ...]
    mode: BondMode = BondMode.ACTIVE_BACKUP
    primary: NicRule | None = None
    lacp_rate: LacpRate = LacpRate.SLOW
    hash_policy: HashPolicy = HashPolicy.LAYER2_3
    switch_falls_back: bool = False
    mtu: int | None = None
    ip: Ip = field(default_factory=Ip)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vlan:
    name: str
    id: int
    parent: str
    mtu: int | None = None
    ip: Ip = field(default_factory=Ip)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    name: str
    ports: tuple[str, ...]
    mtu: int | None = None
    ip: Ip = field(default_factory=Ip)


Stated = Nic | Bond | Vlan | Bridge


def static(*addresses: str, gateway: str = "", dns: tuple[str, ...] = (), search: tuple[str, ...] = ()) -> Ip:
    """Addresses with their prefix length: `static("10.0.0.5/24", gateway="10.0.0.1")`. A gateway of each family may be
    given, with a blank between them; routes are added with `with_routes`. Raises `SiteError`."""
    return Ip(
        addresses=tuple(_interface(text) for text in addresses),
        gateways=tuple(_address(text) for text in gateway.split()),
        dns=tuple(_address(text) for text in dns),
        search=search,
    )


def with_routes(ip: Ip, *routes: tuple[str, str]) -> Ip:
    """Pairs of a network and the router to it. Raises `SiteError`."""
    added = tuple(Route(to=_network(to), via=_address(via)) for to, via in routes)
    return replace(ip, routes=(*ip.routes, *added))


DHCP = Ip(dhcp=True)


def rules_of(link: Stated) -> tuple[NicRule, ...]:
    """Those that name NICs of their own."""
    match link:
        case Nic():
            return (link.on,)
        case Bond():
            return link.members
        case Vlan() | Bridge():
            return ()
        case _:
            assert_never(link)


def _interface(text: str) -> Interface:
    if "/" not in text:
        raise faulty(f"{text[:60]!r} has no prefix length", "", "write the address as 10.0.0.5/24")
    try:
        return ip_interface(text)
    except ValueError as error:
        raise faulty(f"{text[:60]!r} is no address", str(error)[:120], "write it as 10.0.0.5/24") from error


def _address(text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError as error:
        raise faulty(f"{text[:60]!r} is no address", str(error)[:120], "write it as 10.0.0.1") from error


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise faulty(f"{text[:60]!r} is no network", str(error)[:120], "write it as 10.9.0.0/16") from error


def faulty(what: str, evidence: str, action: str) -> SiteError:
    return SiteError(f"network: {what}", evidence=evidence, next_action=action)
