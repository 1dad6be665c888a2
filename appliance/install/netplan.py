"""Links -> network configuration version 2, as cloud-init and netplan read it (their documentation, "Networking config
version 2" and "YAML configuration"). Pure; for netplan itself it stands below the key `network`."""

from collections.abc import Iterator, Mapping
from typing import assert_never

from appliance.model.cloud_init import Json
from appliance.model.links import BondLink, BondMode, BridgeLink, Ip, Link, MachineNetwork, NicLink, VlanLink

_EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
_SECTIONS = {"nic": "ethernets", "bond": "bonds", "vlan": "vlans", "bridge": "bridges"}


def netplan_document(network: MachineNetwork) -> dict[str, Json]:
    sections: dict[str, dict[str, Json]] = {}
    for link in network.links:
        sections.setdefault(_SECTIONS[link.link], {})[link.name] = dict(_link(link))
    return {"version": 2, **sections}


def _link(link: Link) -> Iterator[tuple[str, Json]]:
    match link:
        case NicLink():
            yield "match", {"macaddress": str(link.mac)}
            yield "set-name", link.name
        case BondLink():
            yield "interfaces", list(link.members)
            yield "macaddress", str(link.mac)
            yield "parameters", _parameters(link)
        case VlanLink():
            yield "id", link.id
            yield "link", link.parent
        case BridgeLink():
            yield "interfaces", list(link.ports)
            yield "parameters", {"stp": False, "forward-delay": 0}
        case _:
            assert_never(link)
    if link.mtu is not None:
        yield "mtu", link.mtu
    yield from _ip(link.ip)


def _parameters(bond: BondLink) -> Mapping[str, Json]:
    shared: dict[str, Json] = {"mode": bond.mode.value, "mii-monitor-interval": 100}
    match bond.mode:
        case BondMode.ACTIVE_BACKUP:
            primary: dict[str, Json] = {"primary": bond.primary} if bond.primary else {}
            return {**shared, "primary-reselect-policy": "always", **primary}
        case BondMode.LACP:
            return {**shared, "lacp-rate": bond.lacp_rate.value, "transmit-hash-policy": bond.hash_policy.value}
        case _:
            assert_never(bond.mode)


def _ip(ip: Ip) -> Iterator[tuple[str, Json]]:
    yield "dhcp4", ip.dhcp
    yield "accept-ra", False
    yield "link-local", ["ipv6"] if ip.has(6) else []
    if ip.dhcp:
        yield "dhcp-identifier", "mac"
    if ip.addresses:
        yield "addresses", [str(address) for address in ip.addresses]
    if ip.dns or ip.search:
        yield "nameservers", {"addresses": [str(server) for server in ip.dns], "search": list(ip.search)}
    if ip.gateways or ip.routes:
        yield "routes", list(_routes(ip))


def _routes(ip: Ip) -> Iterator[Json]:
    yield from ({"to": _EVERYWHERE[gateway.version], "via": str(gateway)} for gateway in ip.gateways)
    for route in ip.routes:
        metric: dict[str, Json] = {} if route.metric is None else {"metric": route.metric}
        yield {"to": str(route.to), "via": str(route.via), **metric}
