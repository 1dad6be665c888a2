"""What the configuration becomes in options: values of each code."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network

from pxe.dhcp.packet import Option
from pxe.dhcp.subnet import StaticRoute, Subnet

NO_DISCOVERY = bytes((6, 1, 8))
"""For option 43: sub-option 6 PXE_DISCOVERY_CONTROL = 8, use the boot file of this packet, look for no boot server."""

_EVERYWHERE = IPv4Network("0.0.0.0/0")
_FARTHEST_POINTER = 0x3FFF


def options_of(subnet: Subnet) -> dict[int, bytes]:
    """The mask goes before the router (RFC 2132 section 3.3)."""
    options: dict[int, bytes] = {
        Option.SUBNET_MASK: subnet.network.netmask.packed,
        Option.ROUTER: b"" if subnet.router is None else subnet.router.packed,
        Option.DNS_SERVERS: _addresses(subnet.dns_servers),
        Option.DOMAIN_NAME: subnet.domain.encode(),
        Option.MTU: b"" if subnet.mtu is None else subnet.mtu.to_bytes(2),
        Option.BROADCAST_ADDRESS: subnet.network.broadcast_address.packed,
        Option.NTP_SERVERS: _addresses(subnet.ntp_servers),
        Option.DOMAIN_SEARCH: search_list(subnet.search),
        Option.CLASSLESS_ROUTES: _routes(subnet),
        **subnet.options,
    }
    return {code: value for code, value in options.items() if value}


def _addresses(addresses: Iterable[IPv4Address]) -> bytes:
    return b"".join(address.packed for address in addresses)


def _routes(subnet: Subnet) -> bytes:
    """A client that takes these ignores option 3 (RFC 3442), so the default route is among them."""
    routes = subnet.routes
    if routes and subnet.router is not None and all(route.destination != _EVERYWHERE for route in routes):
        routes = (*routes, StaticRoute(_EVERYWHERE, subnet.router))
    return b"".join(map(_route, routes))


def _route(route: StaticRoute) -> bytes:
    """RFC 3442: the width, as many bytes of the destination as matter, the gateway."""
    width = route.destination.prefixlen
    significant = route.destination.network_address.packed[: (width + 7) // 8]
    return bytes((width,)) + significant + route.gateway.packed


def search_list(domains: Sequence[str]) -> bytes:
    """RFC 3397: names as in DNS, compressed against the ones before."""
    encoded = bytearray()
    known: dict[tuple[str, ...], int] = {}
    for domain in domains:
        labels = tuple(domain.lower().split("."))
        while labels and labels not in known:
            if len(encoded) <= _FARTHEST_POINTER:
                known[labels] = len(encoded)
            encoded += bytes((len(labels[0]),)) + labels[0].encode()
            labels = labels[1:]
        encoded += (0xC000 | known[labels]).to_bytes(2) if labels else b"\0"
    return bytes(encoded)
