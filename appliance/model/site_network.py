"""The networks of machines beside each other, and beside the boot network: what no machine shows alone."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from itertools import combinations

from appliance.errors import SiteError
from appliance.model.host_network import HostNetwork
from appliance.model.links import BondMode, Network
from appliance.model.site import BootNetwork, Server
from appliance.model.stated_links import Bond, BootNic, ByMac, Stated, rules_of
from pxe.boot import Mode


def check_networks(servers: Sequence[Server], boot: BootNetwork) -> None:
    """Raises `SiteError` that names the machine."""
    stated = [(server, server.network) for server in servers if server.network is not None]
    for server, network in stated:
        _check_boot_addresses(server, network, boot)
        _check_way_home(server, network, boot)
    _check_macs(servers)
    _check_addresses(servers, boot)
    _check_subnets(stated, boot)


def cautions(servers: Sequence[Server]) -> tuple[str, ...]:
    """What is not wrong, and may still keep a machine from booting: one sentence each."""
    return tuple(sentence for server in servers if server.network is not None for sentence in _cautions(server))


def _cautions(server: Server) -> Iterator[str]:
    for link in server.network.links if server.network is not None else ():
        if isinstance(link, Bond) and link.mode is BondMode.LACP and not link.switch_falls_back:
            boots = "boots" if _boots_by(server, link) else "may boot"
            yield (
                f"{server.name}: {link.name} speaks LACP on a port that the machine {boots} from, and firmware speaks"
                " none: where the switch holds such ports down, it never boots from the network again. Let the switch"
                " fall back (LACP fallback, no suspend-individual, force-up) and say so with switch_falls_back=True, or"
                " use active-backup"
            )


def _boots_by(server: Server, link: Stated) -> bool:
    rules = rules_of(link)
    return BootNic() in rules or (server.mac is not None and ByMac(server.mac) in rules)


def _check_boot_addresses(server: Server, network: HostNetwork, boot: BootNetwork) -> None:
    for address in network.addresses:
        for served in boot.networks:
            if address.ip not in served:
                continue
            if address.network != served:
                raise _error(
                    server,
                    f"{address} is in the boot network {served}, with another prefix length",
                    "machines of one network would not agree on who is their neighbour",
                    f"write it as {address.ip}/{served.prefixlen}",
                )
            if server.address is not None and server.address in served and server.address != address.ip:
                raise _error(
                    server,
                    f"two addresses in the boot network: {server.address} by DHCP and {address.ip} when installed",
                    "its name would stand for one that it has half of the time",
                    f"leave `address` out of the server: {address.ip} is reserved for it",
                )
    for address in network.addresses:
        for first, last in _pools(boot):
            if isinstance(address.ip, IPv4Address) and first <= address.ip <= last:
                raise _error(
                    server,
                    f"address {address.ip} lies in the DHCP pool",
                    f"{first} to {last} are given to whoever asks",
                    "choose an address outside of the pool, or make the pool smaller",
                )


def _pools(boot: BootNetwork) -> Iterator[tuple[IPv4Address, IPv4Address]]:
    if boot.mode is Mode.FULL:
        yield boot.first, boot.last
        yield from ((relayed.first, relayed.last) for relayed in boot.relayed)


def _check_way_home(server: Server, network: HostNetwork, boot: BootNetwork) -> None:
    """An installed system reports to the appliance, which then enters it."""
    for link in network.links:
        near = link.ip.dhcp or any(boot.address in address.network for address in link.ip.addresses)
        routed = any(boot.address in route.to for route in link.ip.routes)
        if near or routed or any(gateway.version == 4 for gateway in link.ip.gateways):
            return
    raise _error(
        server,
        f"once installed it could not reach the appliance at {boot.address}",
        f"addresses: {', '.join(map(str, network.addresses)) or 'none'}; no IPv4 gateway and no route that leads there",
        f"give a link an address in {boot.network} or DHCP, or state a route to {boot.network}",
    )


def _check_macs(servers: Sequence[Server]) -> None:
    owners: dict[str, Server] = {}
    for server in servers:
        stated = server.network.macs if server.network is not None else ()
        boots = (server.mac,) if server.mac is not None else ()
        for mac in (*stated, *boots):
            if (first := owners.setdefault(str(mac), server)) is not server:
                raise _error(
                    server, f"MAC {mac} is of {first.name}, too", "", "correct it in one of the two: `ip link` shows it"
                )


def _check_addresses(servers: Sequence[Server], boot: BootNetwork) -> None:
    owners = {str(boot.address): "the appliance", **{str(one.router): "a relay's router" for one in boot.relayed}}
    if boot.router is not None:
        owners[str(boot.router)] = "the router"
    for server in servers:
        stated = {str(address.ip) for address in server.network.addresses} if server.network is not None else set()
        if server.address is not None:
            stated.add(str(server.address))
        for address in sorted(stated):
            if (first := owners.setdefault(address, server.name)) != server.name:
                raise _error(server, f"address {address} is of {first}, too", "", "give one of the two another address")


def _check_subnets(stated: Sequence[tuple[Server, HostNetwork]], boot: BootNetwork) -> None:
    """Subnets of the site are the same or apart. One of each is compared: a site may have thousands of machines."""
    seen: dict[Network, tuple[str, str]] = {served: ("the appliance", str(served)) for served in boot.networks}
    for server, network in stated:
        for address in network.addresses:
            seen.setdefault(address.network, (server.name, str(address)))
    for (one, (first, shown)), (other, (second, also)) in combinations(seen.items(), 2):
        if one.version == other.version and one.overlaps(other):
            raise SiteError(
                f"networks overlap: {shown} of {first} and {also} of {second}",
                evidence=f"{one} and {other} hold the same addresses",
                next_action="use one prefix length for the subnet, or subnets that lie apart",
            )


def _error(server: Server, what: str, evidence: str, action: str) -> SiteError:
    return SiteError(f"{server.name}: network: {what}", evidence=evidence, next_action=action)
