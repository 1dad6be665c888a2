"""The rack's zones and what they answer: pure functions of the zones and one query.

A Zone is a domain, further domains beside it, and the reverse zones of its networks; `table_of` prepares every answer.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from types import MappingProxyType
from typing import assert_never

from pxe.dns.packet import (
    ANY_CLASS,
    HEADER,
    INTERNET,
    RESPONSE,
    TCP_SIZE,
    Address,
    Alias,
    Authority,
    Kind,
    NameServer,
    Pointer,
    Prepared,
    Rcode,
    Record,
    Service,
    Shape,
    Text,
    pack,
    pack_bare,
    question_end,
    shape_of,
)
from pxe.dns.table import Node, Table, build
from pxe.errors import ConfigError, PacketError

ZoneRecord = Address | Alias | Text | Service

_HOST = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_OWNER = re.compile(r"(\*|[a-z0-9_][a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*")
_NAME = 253
_SERVER = "ns"
_TRANSFERS = (Kind.AXFR.to_bytes(2), Kind.IXFR.to_bytes(2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """Host names are relative to `domain`, lower case, and get their PTR. `networks` are those whose reverse zones are
    ours even where no host is; the /24 of each host always is. `server` answers as ns.<domain>. `ttl` in seconds, also
    for negatives. `records` have whole names in `domain` or one of `domains`; "*" may be the first label."""

    domain: str
    server: IPv4Address
    hosts: Mapping[str, IPv4Address] = field(default_factory=dict)
    networks: tuple[IPv4Network, ...] = ()
    serial: int = 1
    ttl: int = 60
    domains: tuple[str, ...] = ()
    records: tuple[ZoneRecord, ...] = ()

    def __post_init__(self) -> None:
        for name in (self.domain, *self.domains, *(f"{host}.{self.domain}" for host in self.hosts)):
            _check_name(name, _HOST)
        for record in self.records:
            _check_name(record.name, _OWNER)
            _check_record(record)
            if not any(f".{record.name}".endswith(f".{domain}") for domain in (self.domain, *self.domains)):
                raise ConfigError(
                    "a record outside the zone's domains",
                    evidence=record.name[:80],
                    next_action="add its domain to `domains`",
                )
        object.__setattr__(self, "hosts", MappingProxyType(dict(self.hosts)))


def _check_name(name: str, pattern: re.Pattern[str]) -> None:
    if not pattern.fullmatch(name) or len(name) > _NAME:
        raise ConfigError("not a DNS name", evidence=name[:80], next_action="use a-z, 0-9, hyphens and dots")


def _check_record(record: ZoneRecord) -> None:
    match record:
        case Address():
            return
        case Alias():
            _check_name(record.target, _OWNER)
        case Text():
            fits = record.strings and all(len(text) <= 255 for text in record.strings)
            _check_data(bool(fits) and sum(map(len, record.strings)) <= 16_384, record)
        case Service():
            _check_name(record.target, _OWNER)
            numbers = (record.priority, record.weight, record.port)
            _check_data(all(0 <= number <= 0xFFFF for number in numbers), record)
        case _:
            assert_never(record)


def _check_data(valid: bool, record: ZoneRecord) -> None:
    if not valid:
        raise ConfigError(
            "a record with data that does not fit",
            evidence=record.name[:80],
            next_action="numbers are 0 to 65535, texts have 1 string or more of up to 255 bytes, 16 KiB in all",
        )


def table_of(zone: Zone, *, recursive: bool = False) -> Table:
    """`recursive` says RA in every answer. ConfigError for aliases that cannot be."""
    apexes = {name: _authority(name, zone) for name in (zone.domain, *zone.domains, *_reverse_apexes(zone))}
    return build(_records(zone, apexes), apexes, ttl=zone.ttl, recursive=recursive)


def _records(zone: Zone, apexes: Mapping[str, Authority]) -> Iterable[Record]:
    server = f"{_SERVER}.{zone.domain}"
    yield Address(name=server, address=zone.server)
    for name, soa in apexes.items():
        yield soa
        yield NameServer(name=name, target=server)
    for host, address in sorted(zone.hosts.items()):
        name = f"{host}.{zone.domain}"
        if name != server:
            yield Address(name=name, address=address)
        yield Pointer(name=address.reverse_pointer, target=name)
    if zone.server not in zone.hosts.values():
        yield Pointer(name=zone.server.reverse_pointer, target=server)
    yield from zone.records


def _authority(name: str, zone: Zone) -> Authority:
    return Authority(
        name=name,
        server=f"{_SERVER}.{zone.domain}",
        contact=f"hostmaster.{zone.domain}",
        serial=zone.serial,
        negative_ttl=zone.ttl,
    )


def _reverse_apexes(zone: Zone) -> Iterable[str]:
    """Reverse zones are cut at octets: a /22 is four zones, a /28 the one around it."""
    wide: set[IPv4Network] = set()
    for network in zone.networks:
        if network.prefixlen >= 24:
            wide.add(network.supernet(new_prefix=24))
        else:
            wide.update(network.subnets(new_prefix=max(8, -(-network.prefixlen // 8) * 8)))
    for address in (zone.server, *zone.hosts.values()):
        if not any(address in network for network in wide):
            wide.add(IPv4Network((address, 24), strict=False))
    return sorted(_reverse_name(network) for network in wide)


def _reverse_name(network: IPv4Network) -> str:
    octets = str(network.network_address).split(".")[: network.prefixlen // 8]
    return ".".join([*reversed(octets), "in-addr", "arpa"])


def respond(table: Table, raw: bytes, *, tcp: bool) -> bytes | None:
    """Total. None is silence: for what has no header and for answers, which would start a ping-pong.

    A question about a name that exists ends at its first zero byte, since names that exist have no zero in a label: all
    else takes the careful way.
    """
    end = raw.find(b"\0", HEADER) + 5
    node = table.nodes.get(raw[HEADER : end - 4].lower())
    if node is None or len(raw) < end or raw[2] & 0x80:
        return _respond_carefully(table, raw, tcp=tcp)
    return _answer(table, raw, end, node, tcp=tcp)


def _respond_carefully(table: Table, raw: bytes, *, tcp: bool) -> bytes | None:
    if len(raw) < HEADER or int.from_bytes(raw[2:4]) & RESPONSE:
        return None
    try:
        end = question_end(raw)
    except PacketError:
        # With another opcode, or no question at all, the header decides.
        shape = shape_of(raw[2:HEADER], b"")
        return pack_bare(raw, Rcode.NOTIMP if shape is Rcode.NOTIMP else Rcode.FORMERR, flags=table.flags)
    return _answer(table, raw, end, None, tcp=tcp)


def _answer(table: Table, raw: bytes, end: int, node: Node | None, *, tcp: bool) -> bytes:
    shape = shape_of(raw[2:HEADER], raw[end:])
    if not isinstance(shape, Shape):
        return pack_bare(raw, shape, flags=table.flags)
    found = node.sets.get(raw[end - 4 : end]) if node is not None else None
    if found is None or shape.bad_version:
        found = _decide(table, raw, end, node, shape)
    return pack(raw, end, shape, found, TCP_SIZE if tcp else shape.limit)


def _decide(table: Table, raw: bytes, end: int, node: Node | None, shape: Shape) -> Prepared:
    """What is neither an error nor a record set at hand."""
    kind, klass = raw[end - 4 : end - 2], raw[end - 2 : end]
    if shape.bad_version:
        return table.bad_version
    if klass not in (INTERNET, ANY_CLASS) or kind in _TRANSFERS:
        return table.refused
    if node is None:
        encloser = table.encloser(raw[HEADER : end - 4].lower())
        if encloser is None:
            return table.refused
        if encloser.wildcard is None:
            return encloser.absent
        node = encloser.wildcard
    return node.sets.get(kind + INTERNET, node.otherwise)
