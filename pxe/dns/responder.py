"""The rack's zone and what it answers: pure functions of the zone and one query.

A zone is a forward domain and the reverse zones of its networks. `ZoneTable` is computed once per zone, so a query is
two look-ups. A name that exists only because something is below it has no records but is no NXDOMAIN (RFC 8020).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from types import MappingProxyType

from pxe.dns.packet import (
    EDNS_SIZE,
    PLAIN_SIZE,
    Address,
    Answer,
    Authority,
    Kind,
    NameServer,
    Pointer,
    Query,
    Rcode,
    Record,
    pack,
    pack_bare,
    parse_header,
    parse_query,
)
from pxe.errors import ConfigError, PacketError

_HOST = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_INTERNET = (1, 255)
_SERVER = "ns"
_TCP_SIZE = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """Host names are relative to `domain`, lower case. `networks` are those whose reverse zones are ours even where no
    host is; the /24 of each host always is. `server` answers as ns.<domain>. `ttl` in seconds, also for negatives."""

    domain: str
    server: IPv4Address
    hosts: Mapping[str, IPv4Address] = field(default_factory=dict)
    networks: tuple[IPv4Network, ...] = ()
    serial: int = 1
    ttl: int = 60

    def __post_init__(self) -> None:
        for name in (self.domain, *(f"{host}.{self.domain}" for host in self.hosts)):
            if not _HOST.fullmatch(name) or len(name) > 253:
                raise ConfigError(
                    "not a DNS host name", evidence=name[:80], next_action="use a-z, 0-9, hyphens and dots"
                )
        object.__setattr__(self, "hosts", MappingProxyType(dict(self.hosts)))


@dataclass(frozen=True, slots=True)
class ZoneTable:
    """`nodes` maps each existing name to its records by type; `apexes` each zone's top name to its SOA."""

    nodes: Mapping[str, Mapping[int, tuple[Record, ...]]]
    apexes: Mapping[str, Authority]
    server: Address
    ttl: int

    @classmethod
    def from_zone(cls, zone: Zone) -> "ZoneTable":
        server = Address(name=f"{_SERVER}.{zone.domain}", address=zone.server)
        apexes = {name: _authority(name, zone) for name in (zone.domain, *_reverse_apexes(zone))}
        records: list[tuple[Kind, Record]] = [(Kind.A, server)]
        for name, soa in apexes.items():
            records += [(Kind.SOA, soa), (Kind.NS, NameServer(name=name, target=server.name))]
        for host, address in sorted(zone.hosts.items()):
            name = f"{host}.{zone.domain}"
            if name != server.name:
                records.append((Kind.A, Address(name=name, address=address)))
            records.append((Kind.PTR, Pointer(name=address.reverse_pointer, target=name)))
        return cls(_nodes(records, apexes), MappingProxyType(apexes), server, zone.ttl)

    def apex_of(self, name: str) -> Authority | None:
        """The zone that `name` is in, None when it is not ours."""
        while name:
            found = self.apexes.get(name)
            if found is not None:
                return found
            name = name.partition(".")[2]
        return None


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
    for address in zone.hosts.values():
        if not any(address in network for network in wide):
            wide.add(IPv4Network((address, 24), strict=False))
    return sorted(_reverse_name(network) for network in wide)


def _reverse_name(network: IPv4Network) -> str:
    octets = str(network.network_address).split(".")[: network.prefixlen // 8]
    return ".".join([*reversed(octets), "in-addr", "arpa"])


def _nodes(
    records: list[tuple[Kind, Record]], apexes: Mapping[str, Authority]
) -> Mapping[str, Mapping[int, tuple[Record, ...]]]:
    nodes: dict[str, dict[int, tuple[Record, ...]]] = {}
    for kind, record in records:
        sets = nodes.setdefault(record.name, {})
        sets[kind] = (*sets.get(kind, ()), record)
        name = record.name
        while name not in apexes:
            name = name.partition(".")[2]
            nodes.setdefault(name, {})
    return MappingProxyType(nodes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """`lasting` replies depend on a name that exists, so there are few of them: worth remembering."""

    raw: bytes
    lasting: bool = False


def respond(table: ZoneTable, raw: bytes, *, tcp: bool) -> Reply | None:
    """Total. None is silence: for what has no header and for answers, which would start a ping-pong."""
    try:
        header = parse_header(raw)
    except PacketError:
        return None
    if header.response:
        return None
    if header.opcode != 0:
        return Reply(raw=pack_bare(header, Rcode.NOTIMP))
    try:
        query = parse_query(raw)
    except PacketError:
        return Reply(raw=pack_bare(header, Rcode.FORMERR))
    return Reply(raw=pack(query, decide(table, query), limit=_limit(query, tcp=tcp)), lasting=query.name in table.nodes)


def _limit(query: Query, *, tcp: bool) -> int:
    if tcp:
        return _TCP_SIZE
    return PLAIN_SIZE if query.edns is None else max(PLAIN_SIZE, min(query.edns.size, EDNS_SIZE))


def decide(table: ZoneTable, query: Query) -> Answer:
    if query.edns is not None and query.edns.version > 0:
        return Answer(rcode=Rcode.BADVERS)
    apex = table.apex_of(query.name)
    if apex is None or query.klass not in _INTERNET or query.kind in (Kind.AXFR, Kind.IXFR):
        return Answer(rcode=Rcode.REFUSED)
    sets = table.nodes.get(query.name)
    if sets is None:
        return Answer(rcode=Rcode.NXDOMAIN, authoritative=True, authority=(apex,), ttl=table.ttl)
    found = _minimal(sets) if query.kind == Kind.ANY else sets.get(query.kind, ())
    return Answer(
        rcode=Rcode.NOERROR,
        authoritative=True,
        answers=found,
        authority=() if found else (apex,),
        additional=(table.server,) if found and query.kind == Kind.NS else (),
        ttl=table.ttl,
    )


def _minimal(sets: Mapping[int, tuple[Record, ...]]) -> tuple[Record, ...]:
    """One record set is answer enough to ANY (RFC 8482 section 4.1): no amplification."""
    return next(iter(sets.values()), ())
