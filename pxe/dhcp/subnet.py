"""What one DHCP server serves: subnets, reservations, classes of clients."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from itertools import chain, combinations
from types import MappingProxyType
from typing import NamedTuple

from pxe.client import Arch, Mac
from pxe.dhcp.packet import FILE_SIZE, Option
from pxe.errors import ConfigError

INFINITE_LEASE = 0xFFFFFFFF
_SHORTEST_LEASE = 60
_LARGEST_POOL = 65536
_SMALLEST_MTU = 68  # RFC 2132 section 5.1
_LARGEST_OPTION = 1024
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = re.compile(_LABEL)
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
# The protocol itself needs them, or they answer what the client sent.
_NOT_CONFIGURABLE = frozenset(
    {0, 255, 1, 12, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 61, 66, 67, 82, Option.CLIENT_UUID, Option.CLIENT_ARCH}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """`hostname` is one DNS label, or empty for none."""

    address: IPv4Address
    hostname: str = ""

    def __post_init__(self) -> None:
        _require(not self.hostname or bool(_HOSTNAME.fullmatch(self.hostname)), "bad host name", self.hostname)


class StaticRoute(NamedTuple):
    destination: IPv4Network
    gateway: IPv4Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """`lease_seconds` may be INFINITE_LEASE. Reservations may lie inside the pool or outside it.

    `server` identifies us to the clients: they send their renewals there. `options` are further ones by number;
    one of the same number replaces what the other fields say.
    """

    network: IPv4Network
    server: IPv4Address
    pool_first: IPv4Address
    pool_last: IPv4Address
    router: IPv4Address | None = None
    dns_servers: tuple[IPv4Address, ...] = ()
    ntp_servers: tuple[IPv4Address, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    mtu: int | None = None
    routes: tuple[StaticRoute, ...] = ()
    lease_seconds: int = 3600
    reservations: Mapping[Mac, Reservation] = field(default_factory=lambda: MappingProxyType({}))
    options: Mapping[int, bytes] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        hosts = range(int(self.network.network_address) + 1, int(self.network.broadcast_address))
        reserved = [reservation.address for reservation in self.reservations.values()]
        for address in (self.pool_first, self.pool_last, *reserved):
            _require(int(address) in hosts, "address outside of the network", f"{address}, {self.network}")
        size = int(self.pool_last) - int(self.pool_first) + 1
        _require(1 <= size <= _LARGEST_POOL, "pool must have 1 to 65536 addresses", str(size))
        for own in (self.server, self.router):
            taken = own is not None and (self.pool_first <= own <= self.pool_last or own in reserved)
            _require(not taken, "the server and the router cannot be leased", str(own))
        _require(len(set(reserved)) == len(reserved), "address reserved twice", str(sorted(reserved))[:200])
        _require_lease_time(self.lease_seconds)
        for domain in (self.domain, *self.search):
            _require(len(domain) < 254 and bool(_DOMAIN.fullmatch(domain or "x")), "bad domain", domain)
        _require("" not in self.search, "bad domain", str(self.search))
        for servers in (self.dns_servers, self.ntp_servers, self.search, self.routes):
            _require(len(servers) <= 8, "more than 8 of one kind", str(servers))
        _require(self.mtu is None or _SMALLEST_MTU <= self.mtu <= 65535, "MTU out of range", str(self.mtu))
        _require_options(self.options)
        object.__setattr__(self, "reservations", MappingProxyType(dict(self.reservations)))
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientClass:
    """A machine belongs to the first class that matches it; the order is the site's, as in a packet filter.

    It matches when all of these do: its architecture is among `archs`, its vendor class (option 60), user class
    (option 77) and MAC address begin with these bytes. What is left empty matches every machine.

    The rest is what becomes of it: `ignore` it, give no address to strangers (`known_only`), or change what it is told.
    """

    name: str
    archs: frozenset[Arch] = frozenset()
    vendor_class: bytes = b""
    user_class: bytes = b""
    mac_prefix: bytes = b""
    ignore: bool = False
    known_only: bool = False
    lease_seconds: int | None = None
    next_server: IPv4Address | None = None
    boot_file: str | None = None
    options: Mapping[int, bytes] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        _require(len(self.mac_prefix) <= 6, "longer than a MAC address", self.mac_prefix.hex())
        if self.lease_seconds is not None:
            _require_lease_time(self.lease_seconds)
        file = self.boot_file or "x"
        _require(file.isascii() and file.isprintable() and len(file) < FILE_SIZE, "bad boot file", file)
        _require_options(self.options)
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))


Link = tuple[Subnet, ...]
"""The subnets of one link (a shared network), in the order in which their pools are used up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DhcpConfig:
    """`local` is the link of the served interface, `relayed` are those behind relays.

    The last `kept_percent` of each pool are for machines that are known: by a reservation, by a lease that they
    have or had, or by name in `known`.
    """

    local: Link
    relayed: tuple[Link, ...] = ()
    classes: tuple[ClientClass, ...] = ()
    known: frozenset[Mac] = frozenset()
    kept_percent: int = 10

    def __post_init__(self) -> None:
        _require(all((self.local, *self.relayed)), "a link without a subnet", str(self.relayed)[:200])
        server = self.local[0].server
        _require(server in self.local[0].network, "we are not on the served network", str(server))
        _require(0 <= self.kept_percent <= 90, "kept share out of range", str(self.kept_percent))
        for one, other in combinations((subnet.network for subnet in chain(self.local, *self.relayed)), 2):
            _require(not one.overlaps(other), "subnets overlap", f"{one}, {other}")


def _require_lease_time(seconds: int) -> None:
    _require(_SHORTEST_LEASE <= seconds <= INFINITE_LEASE, "lease time out of range", str(seconds))


def _require_options(options: Mapping[int, bytes]) -> None:
    for code, value in options.items():
        _require(0 < code < 255 and code not in _NOT_CONFIGURABLE, "option cannot be configured", str(code))
        _require(0 < len(value) <= _LARGEST_OPTION, "option of 1 to 1024 bytes", f"{code}: {len(value)}")


def _require(condition: bool, message: str, evidence: str) -> None:
    if not condition:
        raise ConfigError(message, evidence=evidence[:200], next_action="correct the segment's configuration")
