"""Links -> files for systemd-networkd and udev (systemd.link(5), systemd.netdev(5), systemd.network(5)). Pure.

NICs are matched by their permanent address, which stays theirs in a bond, and `Kind=!*`, which no VLAN on them has.
Names come by .link files; nothing here relies on them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

from appliance.model.links import BondLink, BondMode, BridgeLink, Ip, LacpRate, Link, MachineNetwork, NicLink, VlanLink

PREFIX = "10-innervate-"
OTHERS = "70-innervate-others.network"
"""Before the image's own 80-dhcp.network: a port that nobody named is left alone."""

Section = tuple[str, Sequence[tuple[str, str]]]


def networkd_files(network: MachineNetwork) -> Mapping[str, bytes]:
    """File name -> content, for /etc/systemd/network."""
    files: dict[str, bytes] = {}
    for link in network.links:
        if isinstance(link, NicLink):
            files[f"{PREFIX}{link.name}.link"] = _text(_naming(link))
        else:
            files[f"{PREFIX}{link.name}.netdev"] = _text(_device(link))
        files[f"{PREFIX}{link.name}.network"] = _text(_network(link, network))
    return {**files, OTHERS: _text([("Match", [("Type", "ether"), ("Kind", "!*")]), ("Link", [("Unmanaged", "yes")])])}


def resolv_conf(network: MachineNetwork) -> bytes:
    """resolv.conf(5), for systems without a resolver of their own; empty where nothing is stated."""
    search = [f"search {' '.join(network.search)}"] if network.search else []
    return "".join(f"{line}\n" for line in (*search, *(f"nameserver {server}" for server in network.dns))).encode()


def _naming(link: NicLink) -> list[Section]:
    return [
        ("Match", [("PermanentMACAddress", str(link.mac)), ("Kind", "!*")]),
        ("Link", [("NamePolicy", ""), ("Name", link.name)]),
    ]


def _device(link: BondLink | VlanLink | BridgeLink) -> list[Section]:
    head = [("Name", link.name), ("Kind", link.link), *_mtu(link)]
    match link:
        case BondLink():
            return [("NetDev", [*head, ("MACAddress", str(link.mac))]), ("Bond", list(_bond(link)))]
        case VlanLink():
            return [("NetDev", head), ("VLAN", [("Id", str(link.id))])]
        case BridgeLink():
            return [("NetDev", head), ("Bridge", [("STP", "no"), ("ForwardDelaySec", "0")])]
        case _:
            assert_never(link)


def _bond(bond: BondLink) -> Iterator[tuple[str, str]]:
    yield "Mode", bond.mode.value
    yield "MIIMonitorSec", "100ms"
    match bond.mode:
        case BondMode.ACTIVE_BACKUP:
            yield "PrimaryReselectPolicy", "always"
        case BondMode.LACP:
            yield "LACPTransmitRate", "fast" if bond.lacp_rate is LacpRate.FAST else "slow"
            yield "TransmitHashPolicy", bond.hash_policy.value
        case _:
            assert_never(bond.mode)


def _network(link: Link, network: MachineNetwork) -> list[Section]:
    sections: list[Section] = [_match(link)]
    if isinstance(link, NicLink) and link.mtu is not None:
        sections.append(("Link", list(_mtu(link))))
    sections.append(("Network", [*_uppers(link, network), *_ip(link.ip)]))
    sections += [("Route", list(_route(str(r.to), str(r.via), r.metric))) for r in link.ip.routes]
    return [*sections, ("DHCPv4", [("ClientIdentifier", "mac"), ("UseMTU", "no")])] if link.ip.dhcp else sections


def _match(link: Link) -> Section:
    if isinstance(link, NicLink):
        return "Match", [("PermanentMACAddress", str(link.mac)), ("Kind", "!*")]
    return "Match", [("Name", link.name)]


def _uppers(link: Link, network: MachineNetwork) -> Iterator[tuple[str, str]]:
    """What it is a part of, and which VLANs it carries."""
    if (bond := network.bond_of(link.name)) is not None:
        yield "Bond", bond.name
        if bond.primary == link.name:
            yield "PrimarySlave", "yes"
    if (bridge := network.bridge_of(link.name)) is not None:
        yield "Bridge", bridge.name
    for vlan in network.vlans_on(link.name):
        yield "VLAN", vlan.name


def _ip(ip: Ip) -> Iterator[tuple[str, str]]:
    yield "DHCP", "ipv4" if ip.dhcp else "no"
    yield "LinkLocalAddressing", "ipv6" if ip.has(6) else "no"
    yield "IPv6AcceptRA", "no"
    yield from (("Address", str(address)) for address in ip.addresses)
    yield from (("Gateway", str(gateway)) for gateway in ip.gateways)
    yield from (("DNS", str(server)) for server in ip.dns)
    if ip.search:
        yield "Domains", " ".join(ip.search)


def _route(to: str, via: str, metric: int | None) -> Iterator[tuple[str, str]]:
    yield "Destination", to
    yield "Gateway", via
    if metric is not None:
        yield "Metric", str(metric)


def _mtu(link: Link) -> Iterator[tuple[str, str]]:
    if link.mtu is not None:
        yield "MTUBytes", str(link.mtu)


def _text(sections: Sequence[Section]) -> bytes:
    blocks = ("\n".join((f"[{name}]", *(f"{key}={value}" for key, value in pairs))) for name, pairs in sections)
    return ("\n\n".join(blocks) + "\n").encode()
