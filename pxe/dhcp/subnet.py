"""The configuration of one DHCP segment."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from types import MappingProxyType

from pxe.client import Mac
from pxe.dhcp.packet import Option
from pxe.errors import ConfigError

INFINITE_LEASE = 0xFFFFFFFF
_SHORTEST_LEASE = 60
_LARGEST_POOL = 65536
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = re.compile(_LABEL)
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """`hostname` is one DNS label, or empty for none."""

    address: IPv4Address
    hostname: str = ""

    def __post_init__(self) -> None:
        _require(not self.hostname or bool(_HOSTNAME.fullmatch(self.hostname)), "bad host name", self.hostname)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """`lease_seconds` may be INFINITE_LEASE. Reservations may lie inside the pool or outside it."""

    network: IPv4Network
    server: IPv4Address
    pool_first: IPv4Address
    pool_last: IPv4Address
    router: IPv4Address | None = None
    dns_servers: tuple[IPv4Address, ...] = ()
    domain: str = ""
    lease_seconds: int = 3600
    reservations: Mapping[Mac, Reservation] = field(default_factory=lambda: MappingProxyType({}))
    fixed_options: Mapping[int, bytes] = field(init=False, repr=False, compare=False)
    _reserved: frozenset[IPv4Address] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        hosts = range(int(self.network.network_address) + 1, int(self.network.broadcast_address))
        reserved = [reservation.address for reservation in self.reservations.values()]
        for address in (self.server, self.pool_first, self.pool_last, *reserved):
            _require(int(address) in hosts, "address outside of the network", f"{address}, {self.network}")
        size = int(self.pool_last) - int(self.pool_first) + 1
        _require(1 <= size <= _LARGEST_POOL, "pool must have 1 to 65536 addresses", str(size))
        for own in (self.server, self.router):
            taken = own is not None and (self.pool_first <= own <= self.pool_last or own in reserved)
            _require(not taken, "the server and the router cannot be leased", str(own))
        _require(len(set(reserved)) == len(reserved), "address reserved twice", str(sorted(reserved))[:200])
        in_range = _SHORTEST_LEASE <= self.lease_seconds <= INFINITE_LEASE
        _require(in_range, "lease time out of range", str(self.lease_seconds))
        good = not self.domain or (len(self.domain) < 254 and bool(_DOMAIN.fullmatch(self.domain)))
        _require(good, "bad domain", self.domain)
        _require(len(self.dns_servers) <= 8, "too many DNS servers", str(len(self.dns_servers)))
        object.__setattr__(self, "reservations", MappingProxyType(dict(self.reservations)))
        object.__setattr__(self, "_reserved", frozenset(reserved))
        object.__setattr__(self, "fixed_options", MappingProxyType(_fixed_options(self)))

    def dynamic(self, address: IPv4Address) -> bool:
        """In the pool and reserved for nobody."""
        return self.pool_first <= address <= self.pool_last and address not in self._reserved

    def dynamic_addresses(self) -> Iterator[IPv4Address]:
        everything = map(IPv4Address, range(int(self.pool_first), int(self.pool_last) + 1))
        return (address for address in everything if address not in self._reserved)


def _fixed_options(subnet: Subnet) -> dict[int, bytes]:
    """What every client of the segment is told; the mask goes before the router (RFC 2132 section 3.3)."""
    options: dict[int, bytes] = {Option.SUBNET_MASK: subnet.network.netmask.packed}
    if subnet.router is not None:
        options[Option.ROUTER] = subnet.router.packed
    if subnet.dns_servers:
        options[Option.DNS_SERVERS] = b"".join(address.packed for address in subnet.dns_servers)
    if subnet.domain:
        options[Option.DOMAIN_NAME] = subnet.domain.encode()
    options[Option.BROADCAST_ADDRESS] = subnet.network.broadcast_address.packed
    return options


def _require(condition: bool, message: str, evidence: str) -> None:
    if not condition:
        raise ConfigError(message, evidence=evidence[:200], next_action="correct the segment's configuration")
