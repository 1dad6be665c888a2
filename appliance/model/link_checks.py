"""What can be wrong with the links of one machine, as they are stated. Each error names its cause and what to do.

A link is stated behind those that it is made of, so that one walk sees everything.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import assert_never

from appliance.model.links import DEFAULT_MTU, Address, BondMode, HashPolicy, Interface, Ip, LacpRate
from appliance.model.stated_links import Bond, Bridge, Fastest, Nic, NicRule, Stated, Vlan, faulty, rules_of

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,14}")  # IFNAMSIZ is 16, with the NUL
_TAKEN = re.compile(r"lo|all|default|(?:eth|en|wl|ww|ib|sl)[0-9a-z]*")
_BOND_NAME = 12  # members are called NAMEp0, NAMEp1, ...
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_VLANS = range(1, 4095)  # IEEE 802.1Q table 9-2: 0 is no VLAN, 4095 is reserved
_MTUS = range(68, 9217)  # RFC 791; what switches carry at most
_IPV6_MTU = 1280  # RFC 8200 section 5
_DNS_SERVERS, _SEARCH = 3, 6  # resolv.conf(5), as it was before glibc 2.26
_MOST_MEMBERS = 8


def check_links(links: Sequence[Stated]) -> None:
    """Raises `SiteError`."""
    if not links:
        raise faulty("no link", "", "state at least one, or leave `network` out")
    known: dict[str, Stated] = {}
    for link in links:
        _check_name(link, known)
        _check_parts(link, known)
        _check_mtu(link, known)
        _check_ip(link)
        known[link.name] = link
    _check_rules(links)
    _check_vlan_ids(links)
    _check_ways(links)
    _check_resolver(links)
    _check_subnets(links)


def _check_name(link: Stated, known: Mapping[str, Stated]) -> None:
    if not _NAME.fullmatch(link.name) or _TAKEN.fullmatch(link.name):
        raise faulty(
            f"{link.name[:40]!r} cannot be the name of a link",
            "the kernel and udev give eth*, en* and such themselves" if _TAKEN.fullmatch(link.name) else "",
            "use a-z, 0-9, hyphen, a letter first, 15 at most: lan0, storage, bond0",
        )
    if isinstance(link, Bond) and len(link.name) > _BOND_NAME:
        raise faulty(
            f"{link.name} is too long for a bond", f"its members are called {link.name}p0, ...", "use 12 characters"
        )
    if clash := sorted(_names(link) & {name for one in known.values() for name in _names(one)}):
        raise faulty(f"two links are called {clash[0]}", "", "name one of them otherwise")


def _names(link: Stated) -> frozenset[str]:
    members = (f"{link.name}p{number}" for number in range(_MOST_MEMBERS)) if isinstance(link, Bond) else ()
    return frozenset({link.name, *members})


def _check_parts(link: Stated, known: Mapping[str, Stated]) -> None:
    """What it is made of is there, stands before it, and is nobody else's."""
    match link:
        case Nic():
            if isinstance(link.on, Fastest) and link.on.count != 1:
                raise faulty(f"{link.name} is one NIC, not {link.on.count}", "", "use Fastest(), or a Bond")
        case Bond():
            _check_bond(link)
        case Vlan():
            if link.id not in _VLANS:
                raise faulty(f"{link.name}: there is no VLAN {link.id}", "", "use 1 to 4094")
            _known(link.name, link.parent, known)
            if isinstance(known[link.parent], Vlan):
                raise faulty(f"{link.name}: a VLAN in a VLAN", f"{link.parent} is one", "put it on the NIC or bond")
            _free(link.name, link.parent, known)
        case Bridge():
            if not link.ports or len(set(link.ports)) != len(link.ports):
                raise faulty(f"{link.name}: a bridge has ports, each once", "", "name NICs, bonds or VLANs")
            for port in link.ports:
                _check_port(link, port, known)
        case _:
            assert_never(link)


def _check_bond(bond: Bond) -> None:
    count = sum(rule.count if isinstance(rule, Fastest) else 1 for rule in bond.members)
    if not 1 <= count <= _MOST_MEMBERS:
        raise faulty(f"{bond.name} has {count} members", "", "give it 1 to 8; 2 are usual")
    if bond.primary is not None and (bond.mode is not BondMode.ACTIVE_BACKUP or bond.primary not in bond.members):
        raise faulty(
            f"{bond.name}: {bond.primary} cannot be its primary",
            "only active-backup has one, and it is a member",
            "name one of its members, or leave it out",
        )
    if isinstance(bond.primary, Fastest) and bond.primary.count != 1:
        raise faulty(f"{bond.name}: one NIC is primary", str(bond.primary), "name the primary by another rule")
    if bond.mode is BondMode.ACTIVE_BACKUP and (bond.lacp_rate, bond.hash_policy, bond.switch_falls_back) != (
        LacpRate.SLOW,
        HashPolicy.LAYER2_3,
        False,
    ):
        raise faulty(f"{bond.name}: that is for LACP only", "active-backup sends by one port", "leave it out")


def _check_port(bridge: Bridge, port: str, known: Mapping[str, Stated]) -> None:
    _known(bridge.name, port, known)
    _free(bridge.name, port, known)
    if isinstance(known[port], Bridge):
        raise faulty(f"{bridge.name}: {port} is a bridge itself", "", "name its ports")
    if known[port].ip != Ip():
        raise faulty(
            f"{bridge.name}: its port {port} has addresses", "they would not answer", f"give them to {bridge.name}"
        )
    if any(isinstance(link, Vlan) and link.parent == port for link in known.values()):
        raise faulty(
            f"{bridge.name}: its port {port} carries a VLAN", "", f"put the VLAN on {bridge.name}, stated behind it"
        )


def _known(name: str, part: str, known: Mapping[str, Stated]) -> None:
    if part not in known:
        raise faulty(
            f"{name}: there is no link {part[:40]!r} before it",
            f"before it: {', '.join(known) or 'none'}",
            f"state {part[:40]} first, or correct the name",
        )


def _free(name: str, part: str, known: Mapping[str, Stated]) -> None:
    taken = [link.name for link in known.values() if isinstance(link, Bridge) and part in link.ports]
    if taken:
        raise faulty(f"{name}: {part} is a port of {taken[0]}", "", f"use {taken[0]} instead")


def _check_mtu(link: Stated, known: Mapping[str, Stated]) -> None:
    mtu = mtu_of(link, known)
    if mtu not in _MTUS or (mtu < _IPV6_MTU and link.ip.has(6)):
        raise faulty(
            f"{link.name}: MTU {mtu}", "IPv6 needs 1280 and more" if link.ip.has(6) else "", "use 1280 to 9216"
        )
    parts = (link.parent,) if isinstance(link, Vlan) else link.ports if isinstance(link, Bridge) else ()
    for part in parts:
        below = mtu_of(known[part], known)
        if mtu > below:
            raise faulty(
                f"{link.name}: MTU {mtu} is greater than that of {part}",
                f"{part} has {below}",
                f"give {part} an MTU of {mtu}, or {link.name} one of {below}",
            )


def mtu_of(link: Stated, known: Mapping[str, Stated]) -> int:
    """What it will have where none is stated: a VLAN its parent's, a bridge the least of its ports'."""
    if link.mtu is not None:
        return link.mtu
    match link:
        case Nic() | Bond():
            return DEFAULT_MTU
        case Vlan():
            return mtu_of(known[link.parent], known)
        case Bridge():
            return min(mtu_of(known[port], known) for port in link.ports)
        case _:
            assert_never(link)


def _check_ip(link: Stated) -> None:
    ip = link.ip
    for address in ip.addresses:
        _check_host(link.name, address)
    if ip.dhcp and any(address.version == 4 for address in ip.addresses):
        raise faulty(f"{link.name}: both DHCP and a static IPv4 address", "", "leave one of them out")
    if len({gateway.version for gateway in ip.gateways}) != len(ip.gateways):
        raise faulty(f"{link.name}: two gateways of one family", "", "keep one; state routes for the rest")
    for router in (*ip.gateways, *(route.via for route in ip.routes)):
        _check_router(link.name, router, ip)
    for route in ip.routes:
        if route.to.version != route.via.version or not (route.metric is None or 0 < route.metric < 1 << 32):
            raise faulty(f"{link.name}: route {route.to} via {route.via}", "", "use one family, and a metric above 0")
        if route.to.prefixlen == 0:
            raise faulty(f"{link.name}: the route to everywhere is the gateway", str(route.via), "state it as gateway")
    _check_names(link)


def _check_names(link: Stated) -> None:
    ip = link.ip
    for server in ip.dns:
        if not ip.has(server.version):
            raise faulty(
                f"{link.name}: DNS server {server} is of a family that the link does not speak",
                f"addresses: {', '.join(map(str, ip.addresses)) or 'none'}",
                "state it on a link that has such an address",
            )
    if ip.search and not (ip.has(4) or ip.has(6)):
        raise faulty(f"{link.name}: search domains without an address", "", "state them on a link that has one")
    for domain in ip.search:
        if not _DOMAIN.fullmatch(domain):
            raise faulty(f"{link.name}: {domain[:60]!r} is no domain", "", "use a-z, 0-9, hyphens and dots")


def _check_host(name: str, address: Interface) -> None:
    ip, network = address.ip, address.network
    special = ip.is_multicast or ip.is_loopback or ip.is_unspecified or ip.is_link_local
    ends = network.num_addresses > 2 and ip in (network.network_address, network.broadcast_address)
    if special or (ends and ip.version == 4) or network.prefixlen == 0:
        raise faulty(
            f"{name}: {address} cannot be a machine's address",
            "it is the network or broadcast address of its subnet" if ends else "",
            "give the address of a host, with the prefix length of its subnet: 10.0.0.5/24",
        )


def _check_router(name: str, router: Address, ip: Ip) -> None:
    subnets = [address for address in ip.addresses if address.version == router.version]
    if not any(router in subnet.network for subnet in subnets):
        raise faulty(
            f"{name}: gateway {router} lies outside of its subnets",
            f"subnets: {', '.join(str(subnet.network) for subnet in subnets) or 'none'}",
            "correct the gateway, or the prefix length of the address",
        )
    if any(router == subnet.ip for subnet in subnets):
        raise faulty(f"{name}: gateway {router} is the machine itself", "", "name the router of the subnet")


def _check_rules(links: Sequence[Stated]) -> None:
    rules = [(link.name, rule) for link in links for rule in rules_of(link)]
    if sum(isinstance(rule, Fastest) for _, rule in rules) > 1:
        raise faulty("two rules ask for the fastest NIC", "which is whose is not said", "name one by another rule")
    owners: dict[NicRule, str] = {}
    for name, rule in rules:
        if isinstance(rule, Fastest) and rule.count < 1:
            raise faulty(f"{name}: {rule}", "", "ask for one at least")
        if rule in owners:
            both = name if owners[rule] == name else f"{owners[rule]} and {name}"
            raise faulty(f"{rule} is used twice, in {both}", "", "name another NIC in one of them")
        owners[rule] = name


def _check_vlan_ids(links: Sequence[Stated]) -> None:
    owners: dict[tuple[str, int], str] = {}
    for link in links:
        if isinstance(link, Vlan) and (first := owners.setdefault((link.parent, link.id), link.name)) != link.name:
            raise faulty(f"VLAN {link.id} of {link.parent} is both {first} and {link.name}", "", "keep one of them")


def _check_ways(links: Sequence[Stated]) -> None:
    for version in (4, 6):
        ways = [link.name for link in links for gateway in link.ip.gateways if gateway.version == version]
        if len(ways) > 1:
            raise faulty(
                f"two links have an IPv{version} gateway: {' and '.join(ways)}",
                "which one is taken would be chance",
                "keep one; state routes on the other",
            )


def _check_resolver(links: Sequence[Stated]) -> None:
    for what, found, most in (
        ("DNS servers", {server for link in links for server in link.ip.dns}, _DNS_SERVERS),
        ("search domains", {domain for link in links for domain in link.ip.search}, _SEARCH),
    ):
        if len(found) > most:
            raise faulty(f"{len(found)} {what}", "resolvers read no more of them", f"keep {most}")


def _check_subnets(links: Sequence[Stated]) -> None:
    stated = [(link.name, address) for link in links for address in link.ip.addresses]
    for (one, first), (other, second) in combinations(stated, 2):
        if first.ip == second.ip:
            raise faulty(f"address {first.ip} is stated twice, on {one} and {other}", "", "keep one of them")
        if one != other and first.version == second.version and first.network.overlaps(second.network):
            raise faulty(
                f"{one} and {other} are in one subnet",
                f"{first} and {second}: answers would leave by the other link",
                "bond the ports, or give one of them another subnet",
            )
