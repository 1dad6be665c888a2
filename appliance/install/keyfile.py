"""Links -> keyfiles of NetworkManager (nm-settings-keyfile(5)), for /etc/NetworkManager/system-connections. Pure.

NICs are matched by permanent address. Names of NICs come by the .link files of `appliance.install.networkd`, which udev
reads whoever manages the network. A connection's UUID follows from the machine and the link: writing twice changes
nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never
from uuid import UUID, uuid5

from appliance.model.links import (
    Address,
    BondLink,
    BondMode,
    BridgeLink,
    Interface,
    Ip,
    LacpRate,
    Link,
    MachineNetwork,
    NicLink,
    Route,
    VlanLink,
)

_SPACE = UUID("6a3a1f0e-7f1d-4f3c-9f6d-0f6f7e3b5a11")
_TYPES = {"nic": "ethernet", "bond": "bond", "vlan": "vlan", "bridge": "bridge"}
_METHODS = {4: "ipv4", 6: "ipv6"}


def keyfiles(machine: str, network: MachineNetwork) -> Mapping[str, bytes]:
    """File name -> content; NetworkManager wants them with mode 600 and of root."""
    return {f"{link.name}.nmconnection": _text(list(_sections(machine, link, network))) for link in network.links}


def _sections(machine: str, link: Link, network: MachineNetwork) -> Iterator[tuple[str, Sequence[tuple[str, str]]]]:
    yield "connection", list(_connection(machine, link, network))
    if ethernet := list(_ethernet(link)):
        yield "ethernet", ethernet
    match link:
        case NicLink():
            pass
        case BondLink():
            yield "bond", list(_bond(link))
        case VlanLink():
            yield "vlan", [("flags", "1"), ("id", str(link.id)), ("parent", _uuid(machine, link.parent))]
        case BridgeLink():
            yield "bridge", [("forward-delay", "0"), ("stp", "false")]
        case _:
            assert_never(link)
    if network.bond_of(link.name) is None and network.bridge_of(link.name) is None:
        yield "ipv4", list(_ip(link.ip, 4))
        yield "ipv6", list(_ip(link.ip, 6))


def _connection(machine: str, link: Link, network: MachineNetwork) -> Iterator[tuple[str, str]]:
    yield "id", link.name
    yield "uuid", _uuid(machine, link.name)
    yield "type", _TYPES[link.link]
    if not isinstance(link, NicLink):
        yield "interface-name", link.name
    if (bond := network.bond_of(link.name)) is not None:
        yield "master", _uuid(machine, bond.name)
        yield "slave-type", "bond"
    elif (bridge := network.bridge_of(link.name)) is not None:
        yield "master", _uuid(machine, bridge.name)
        yield "slave-type", "bridge"


def _ethernet(link: Link) -> Iterator[tuple[str, str]]:
    if isinstance(link, NicLink):
        yield "mac-address", str(link.mac)
    if isinstance(link, BondLink):
        yield "cloned-mac-address", str(link.mac)
    if link.mtu is not None:
        yield "mtu", str(link.mtu)


def _bond(bond: BondLink) -> Iterator[tuple[str, str]]:
    yield "miimon", "100"
    yield "mode", bond.mode.value
    match bond.mode:
        case BondMode.ACTIVE_BACKUP:
            yield "primary_reselect", "always"
            if bond.primary:
                yield "primary", bond.primary
        case BondMode.LACP:
            yield "lacp_rate", "fast" if bond.lacp_rate is LacpRate.FAST else "slow"
            yield "xmit_hash_policy", bond.hash_policy.value
        case _:
            assert_never(bond.mode)


def _ip(ip: Ip, version: int) -> Iterator[tuple[str, str]]:
    """A family that is not spoken is off. Search domains stand with the first family that is."""
    if not ip.has(version):
        yield "method", "disabled"
        return
    yield "method", "auto" if ip.dhcp and version == 4 else "manual"
    if ip.dhcp and version == 4:
        yield "dhcp-client-id", "mac"
    yield from _numbered("address", [str(address) for address in _of(ip.addresses, version)])
    for gateway in _of(ip.gateways, version):
        yield "gateway", str(gateway)
    if servers := [str(server) for server in _of(ip.dns, version)]:
        yield "dns", _list(servers)
    if ip.search and version == (4 if ip.has(4) else 6):
        yield "dns-search", _list(ip.search)
    routes = [route for route in ip.routes if route.to.version == version]
    yield from _numbered("route", [_route(route) for route in routes])


def _of(values: Sequence[Address] | Sequence[Interface], version: int) -> Iterator[Address | Interface]:
    return (value for value in values if value.version == version)


def _numbered(key: str, values: Sequence[str]) -> Iterator[tuple[str, str]]:
    return ((f"{key}{number}", value) for number, value in enumerate(values, start=1))


def _route(route: Route) -> str:
    metric = () if route.metric is None else (str(route.metric),)
    return ",".join((str(route.to), str(route.via), *metric))


def _list(values: Sequence[str]) -> str:
    return "".join(f"{value};" for value in values)


def _uuid(machine: str, link: str) -> str:
    return str(uuid5(_SPACE, f"{machine}/{link}"))


def _text(sections: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> bytes:
    blocks = ("\n".join((f"[{name}]", *(f"{key}={value}" for key, value in pairs))) for name, pairs in sections)
    return ("\n\n".join(blocks) + "\n").encode()
