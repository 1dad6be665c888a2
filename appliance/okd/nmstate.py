"""A machine's stated network as nmstate reads it (nmstate.io, "Network State"), for agents. Pure."""

from collections.abc import Iterator, Mapping
from typing import assert_never

from appliance.model.links import BondLink, BondMode, BridgeLink, Ip, Link, MachineNetwork, NicLink, VlanLink

_MAIN_TABLE = 254


def state_of(network: MachineNetwork) -> Mapping[str, object]:
    state: dict[str, object] = {"interfaces": [_interface(link, network) for link in network.links]}
    if network.dns:
        search = {"search": list(network.search)} if network.search else {}
        state["dns-resolver"] = {"config": {"server": [str(server) for server in network.dns], **search}}
    if routes := [route for link in network.links for route in _routes(link)]:
        state["routes"] = {"config": routes}
    return state


def _interface(link: Link, network: MachineNetwork) -> Mapping[str, object]:
    said: dict[str, object] = {"name": link.name, "state": "up", **_kind(link)}
    if link.mtu is not None:
        said["mtu"] = link.mtu
    is_part = network.bond_of(link.name) is not None or network.bridge_of(link.name) is not None
    return {**said, "ipv4": _ip(link.ip, 4, is_part=is_part), "ipv6": _ip(link.ip, 6, is_part=is_part)}


def _kind(link: Link) -> Mapping[str, object]:
    match link:
        case NicLink():
            return {"type": "ethernet", "mac-address": str(link.mac)}
        case BondLink():
            bond = {"mode": link.mode.value, "port": list(link.members), "options": _options(link)}
            return {"type": "bond", "link-aggregation": bond}
        case VlanLink():
            return {"type": "vlan", "vlan": {"base-iface": link.parent, "id": link.id}}
        case BridgeLink():
            ports = [{"name": port} for port in link.ports]
            return {"type": "linux-bridge", "bridge": {"options": {"stp": {"enabled": False}}, "port": ports}}
        case _:
            assert_never(link)


def _options(bond: BondLink) -> Mapping[str, object]:
    options: dict[str, object] = {"miimon": 100}
    match bond.mode:
        case BondMode.ACTIVE_BACKUP:
            return {**options, "primary": bond.primary} if bond.primary else options
        case BondMode.LACP:
            return {**options, "lacp_rate": bond.lacp_rate.value, "xmit_hash_policy": bond.hash_policy.value}
        case _:
            assert_never(bond.mode)


def _ip(ip: Ip, version: int, *, is_part: bool) -> Mapping[str, object]:
    if is_part or not ip.has(version):
        return {"enabled": False}
    addresses = [
        {"ip": str(one.ip), "prefix-length": one.network.prefixlen} for one in ip.addresses if one.version == version
    ]
    by_dhcp = ip.dhcp and version == 4
    return {"enabled": True, "dhcp": by_dhcp, **({"address": addresses} if addresses else {})}


def _routes(link: Link) -> Iterator[Mapping[str, object]]:
    for gateway in link.ip.gateways:
        everywhere = "0.0.0.0/0" if gateway.version == 4 else "::/0"
        yield _route(everywhere, str(gateway), link.name)
    for route in link.ip.routes:
        metric = {"metric": route.metric} if route.metric is not None else {}
        yield {**_route(str(route.to), str(route.via), link.name), **metric}


def _route(to: str, via: str, link: str) -> Mapping[str, object]:
    said = {"destination": to, "next-hop-address": via, "next-hop-interface": link}
    return {**said, "table-id": _MAIN_TABLE}
