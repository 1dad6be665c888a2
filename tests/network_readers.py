"""Files of networkd, netplan and NetworkManager read back into links, as their manuals say.

These share no code with what writes the files, and read what those programs themselves write, too."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from appliance.model.links import (
    Address,
    BondLink,
    BondMode,
    BridgeLink,
    HashPolicy,
    Ip,
    LacpRate,
    Link,
    MachineNetwork,
    NicLink,
    Route,
    VlanLink,
)
from pxe.client import Mac

Section = dict[str, list[str]]
EVERYWHERE = ("0.0.0.0/0", "::/0", "default")


def by_name(network: MachineNetwork) -> dict[str, Link]:
    """The order of links, and of the ports of a bridge, is none that a file keeps."""
    return {
        link.name: replace(link, ports=tuple(sorted(link.ports))) if isinstance(link, BridgeLink) else link
        for link in network.links
    }


def sections_of(text: str) -> list[tuple[str, Section]]:
    """An INI file in which sections and keys may come again."""
    found: list[tuple[str, Section]] = []
    for line in text.splitlines():
        if line.startswith("["):
            found.append((line.strip("[]"), defaultdict(list)))
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found[-1][1][key].append(value)
    return found


def joined(sections: Iterable[tuple[str, Section]], name: str) -> Section:
    merged: Section = defaultdict(list)
    for called, section in sections:
        if called == name:
            for key, values in section.items():
                merged[key] += values
    return merged


def one(section: Mapping[str, Sequence[str]], key: str, default: str = "") -> str:
    values = section.get(key) or [default]
    assert len(values) == 1, (key, values)
    return values[0]


def mtu_of(text: str) -> int | None:
    return int(text) if text else None


# systemd-networkd --------------------------------------------------------------------------------------------------


def networkd(files: Mapping[str, str]) -> dict[str, Link]:
    read = {name: sections_of(text) for name, text in files.items() if "others" not in name}
    names = {
        one(joined(parts, "Match"), "PermanentMACAddress"): one(joined(parts, "Link"), "Name")
        for name, parts in read.items()
        if name.endswith(".link") and joined(parts, "Link")["Name"]
    }
    devices = {one(joined(parts, "NetDev"), "Name"): parts for name, parts in read.items() if name.endswith(".netdev")}
    networks: dict[str, list[tuple[str, Section]]] = {}
    for name, parts in read.items():
        if name.endswith(".network"):
            match = joined(parts, "Match")
            mac = one(match, "PermanentMACAddress")
            networks[names[mac] if mac else one(match, "Name")] = parts
    assert set(networks) == {*names.values(), *devices}
    uppers = {name: joined(parts, "Network") for name, parts in networks.items()}
    found: dict[str, Link] = {}
    for mac, name in names.items():
        mtu = one(joined(networks[name], "Link"), "MTUBytes")
        found[name] = NicLink(name=name, mac=Mac(mac), mtu=mtu_of(mtu), ip=_networkd_ip(networks[name]))
    for name, parts in devices.items():
        found[name] = _networkd_device(name, parts, uppers, _networkd_ip(networks[name]))
    return found


def _networkd_device(name: str, parts: list[tuple[str, Section]], uppers: Mapping[str, Section], ip: Ip) -> Link:
    device = joined(parts, "NetDev")
    mtu = mtu_of(one(device, "MTUBytes"))

    def below(key: str) -> tuple[str, ...]:
        return tuple(sorted(part for part, section in uppers.items() if name in section[key]))

    if one(device, "Kind") == "vlan":
        (parent,) = below("VLAN")
        return VlanLink(name=name, id=int(one(joined(parts, "VLAN"), "Id")), parent=parent, mtu=mtu, ip=ip)
    if one(device, "Kind") == "bridge":
        bridge = joined(parts, "Bridge")
        assert one(bridge, "STP") in ("no", "false")
        return BridgeLink(name=name, ports=below("Bridge"), mtu=mtu, ip=ip)
    bond = joined(parts, "Bond")
    assert one(bond, "MIIMonitorSec") in ("100ms", "100")
    primary = [part for part in below("Bond") if one(uppers[part], "PrimarySlave") in ("yes", "true")]
    return _bond(
        name,
        below("Bond"),
        one(bond, "Mode"),
        one(device, "MACAddress"),
        primary[0] if primary else "",
        one(bond, "LACPTransmitRate"),
        one(bond, "TransmitHashPolicy"),
        mtu,
        ip,
    )


def _bond(
    name: str,
    members: tuple[str, ...],
    mode: str,
    mac: str,
    primary: str,
    rate: str,
    policy: str,
    mtu: int | None,
    ip: Ip,
) -> BondLink:
    return BondLink(
        name=name,
        members=members,
        mode=BondMode(mode),
        mac=Mac(mac.lower()),
        primary=primary,
        lacp_rate=LacpRate(rate or "slow"),
        hash_policy=HashPolicy(policy or "layer2+3"),
        mtu=mtu,
        ip=ip,
    )


def _networkd_ip(parts: list[tuple[str, Section]]) -> Ip:
    network = joined(parts, "Network")
    gateways = [ip_address(gateway) for gateway in network["Gateway"]]
    routes = []
    for name, section in parts:
        if name == "Route":
            via, to = ip_address(one(section, "Gateway")), one(section, "Destination", "default")
            if to in EVERYWHERE:
                gateways.append(via)
            else:
                routes.append(Route(to=ip_network(to), via=via, metric=mtu_of(one(section, "Metric"))))
    return Ip(
        addresses=tuple(ip_interface(address) for address in network["Address"]),
        gateways=tuple(gateways),
        dns=tuple(ip_address(server) for server in network["DNS"]),
        search=tuple(one(network, "Domains").split()),
        routes=tuple(routes),
        dhcp=one(network, "DHCP", "no") == "ipv4",
    )


# netplan and cloud-init ----------------------------------------------------------------------------------------------


def netplan(document: Mapping[str, Any]) -> dict[str, Link]:
    assert document["version"] == 2
    found: dict[str, Link] = {}
    for name, said in document.get("ethernets", {}).items():
        mac = Mac(said["match"]["macaddress"])
        found[name] = NicLink(name=said["set-name"], mac=mac, mtu=said.get("mtu"), ip=_netplan_ip(said))
    for name, said in document.get("bonds", {}).items():
        options = said["parameters"]
        found[name] = _bond(
            name,
            tuple(said["interfaces"]),
            options["mode"],
            said["macaddress"],
            options.get("primary", ""),
            options.get("lacp-rate", ""),
            options.get("transmit-hash-policy", ""),
            said.get("mtu"),
            _netplan_ip(said),
        )
    for name, said in document.get("vlans", {}).items():
        found[name] = VlanLink(name=name, id=said["id"], parent=said["link"], mtu=said.get("mtu"), ip=_netplan_ip(said))
    for name, said in document.get("bridges", {}).items():
        ports = tuple(sorted(said["interfaces"]))
        found[name] = BridgeLink(name=name, ports=ports, mtu=said.get("mtu"), ip=_netplan_ip(said))
    return found


def _netplan_ip(said: Mapping[str, Any]) -> Ip:
    servers = said.get("nameservers", {})
    routes = said.get("routes", ())
    return Ip(
        addresses=tuple(ip_interface(address) for address in said.get("addresses", ())),
        gateways=tuple(ip_address(route["via"]) for route in routes if route["to"] in EVERYWHERE),
        dns=tuple(ip_address(server) for server in servers.get("addresses", ())),
        search=tuple(servers.get("search", ())),
        routes=tuple(
            Route(to=ip_network(route["to"]), via=ip_address(route["via"]), metric=route.get("metric"))
            for route in routes
            if route["to"] not in EVERYWHERE
        ),
        dhcp=said["dhcp4"],
    )


# NetworkManager ------------------------------------------------------------------------------------------------------


def keyfiles(files: Mapping[str, str]) -> dict[str, Link]:
    read = {one(joined(parts, "connection"), "id"): parts for parts in map(sections_of, files.values())}
    uuids = {one(joined(parts, "connection"), "uuid"): name for name, parts in read.items()}
    uppers: dict[str, list[str]] = defaultdict(list)
    for name, parts in sorted(read.items()):
        connection = joined(parts, "connection")
        if master := one(connection, "master") or one(connection, "controller"):
            uppers[uuids[master]].append(name)
    return {name: _connection(name, parts, tuple(uppers[name]), uuids) for name, parts in read.items()}


def _connection(name: str, parts: list[tuple[str, Section]], below: tuple[str, ...], uuids: Mapping[str, str]) -> Link:
    ethernet, ip = joined(parts, "ethernet"), _keyfile_ip(parts)
    mtu = mtu_of(one(ethernet, "mtu"))
    kind = one(joined(parts, "connection"), "type")
    if kind == "ethernet":
        return NicLink(name=name, mac=Mac(one(ethernet, "mac-address").lower()), mtu=mtu, ip=ip)
    assert one(joined(parts, "connection"), "interface-name") == name
    if kind == "vlan":
        vlan = joined(parts, "vlan")
        return VlanLink(name=name, id=int(one(vlan, "id")), parent=uuids[one(vlan, "parent")], mtu=mtu, ip=ip)
    if kind == "bridge":
        assert one(joined(parts, "bridge"), "stp") == "false"
        return BridgeLink(name=name, ports=below, mtu=mtu, ip=ip)
    bond = joined(parts, "bond")
    assert (kind, one(bond, "miimon")) == ("bond", "100")
    return _bond(
        name,
        below,
        one(bond, "mode"),
        one(ethernet, "cloned-mac-address"),
        one(bond, "primary"),
        one(bond, "lacp_rate"),
        one(bond, "xmit_hash_policy"),
        mtu,
        ip,
    )


def _keyfile_ip(parts: list[tuple[str, Section]]) -> Ip:
    whole = Ip()
    for family in ("ipv4", "ipv6"):
        section = joined(parts, family)
        whole = _with_family(whole, section)
    return whole


def _with_family(ip: Ip, section: Section) -> Ip:
    gateways: list[Address] = [ip_address(text) for text in section["gateway"]]
    addresses = []
    for number in range(1, 100):
        text, _, gateway = one(section, f"address{number}").partition(",")
        if text:
            addresses.append(ip_interface(text))
        if gateway:
            gateways.append(ip_address(gateway))
    routes = [one(section, f"route{number}").split(",") for number in range(1, 100) if section[f"route{number}"]]
    return Ip(
        addresses=(*ip.addresses, *addresses),
        gateways=(*ip.gateways, *gateways),
        dns=(*ip.dns, *(ip_address(text) for text in one(section, "dns").split(";") if text)),
        search=(*ip.search, *(text for text in one(section, "dns-search").split(";") if text)),
        routes=(
            *ip.routes,
            *(
                Route(to=ip_network(to), via=ip_address(via), metric=int(metric[0]) if metric else None)
                for to, via, *metric in routes
            ),
        ),
        dhcp=ip.dhcp or one(section, "method") == "auto",
    )
