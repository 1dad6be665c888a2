"""All answers of the zones, prepared when they are loaded: a query is two look-ups.

A name that exists only because something is below it has no records but is no NXDOMAIN (RFC 8020). A wildcard stands
for the names that do not exist below its parent, unless something nearer exists (RFC 4592). Aliases are followed here,
once, within our own zones.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pxe.dns.packet import (
    AUTHORITATIVE,
    INTERNET,
    RECURSION_AVAILABLE,
    Address,
    Alias,
    Authority,
    Kind,
    NameServer,
    Prepared,
    Rcode,
    Record,
    Service,
    kind_of,
    prepare,
    wire,
)
from pxe.errors import ConfigError

_Sets = Mapping[int, tuple[Record, ...]]
_NO_KIND = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One name that exists: `sets` by type and class as they stand in a question, `otherwise` for types it has not,
    `absent` for names below it that do not exist, unless `wildcard` stands for them."""

    sets: Mapping[bytes, Prepared]
    otherwise: Prepared
    absent: Prepared
    wildcard: "Node | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """`nodes` by their name on the wire in lower case. `flags` are those of errors."""

    nodes: Mapping[bytes, Node]
    flags: int
    refused: Prepared
    bad_version: Prepared

    def encloser(self, name: bytes) -> Node | None:
        """The nearest name that exists above `name`, None when it is in none of our zones."""
        at = 0
        while name[at]:
            at += name[at] + 1
            found = self.nodes.get(name[at:])
            if found is not None:
                return found
        return None


def build(records: Iterable[Record], apexes: Mapping[str, Authority], *, ttl: int, recursive: bool) -> Table:
    """Each record's name is in or below an apex. `recursive` says RA. ConfigError for aliases that cannot be."""
    available = RECURSION_AVAILABLE if recursive else 0
    zones = _Zones(_sets(records, apexes), apexes, ttl, AUTHORITATIVE | available)
    _check_aliases(zones.sets)
    return Table(
        nodes={wire(name): zones.node(name) for name in zones.sets},
        flags=available,
        refused=prepare(Rcode.REFUSED, flags=available),
        bad_version=prepare(Rcode.NOERROR, flags=available),
    )


def _sets(records: Iterable[Record], apexes: Mapping[str, Authority]) -> dict[str, dict[int, tuple[Record, ...]]]:
    found: dict[str, dict[int, tuple[Record, ...]]] = {}
    for record in records:
        sets = found.setdefault(record.name, {})
        kind = kind_of(record)
        if record not in sets.get(kind, ()):
            sets[kind] = (*sets.get(kind, ()), record)
        name = record.name
        while name not in apexes:
            name = name.partition(".")[2]
            found.setdefault(name, {})
    return found


def _check_aliases(sets: Mapping[str, _Sets]) -> None:
    for name, kinds in sets.items():
        if Kind.CNAME in kinds and (len(kinds) > 1 or len(kinds[Kind.CNAME]) > 1):
            raise ConfigError(
                "an alias has records beside it",
                evidence=f"{name}: {', '.join(Kind(kind).name for kind in kinds)}",
                next_action="let the name be either an alias or something of its own; a domain itself is no alias",
            )


@dataclass(frozen=True, slots=True)
class _Zones:
    """What is needed while the table is built; negative answers are shared by all names of a zone."""

    sets: Mapping[str, _Sets]
    apexes: Mapping[str, Authority]
    ttl: int
    flags: int
    negative: dict[tuple[str, Rcode], Prepared] = field(default_factory=dict)

    def node(self, name: str) -> Node:
        star = f"*.{name}"
        return Node(
            sets={kind.to_bytes(2) + INTERNET: self.resolve(name, kind) for kind in self._kinds(name)}
            | self._minimal(name),
            otherwise=self.resolve(name, _NO_KIND),
            absent=self._negative(self.apexes[self._apex(name)], Rcode.NXDOMAIN),
            wildcard=self.node(star) if star in self.sets else None,
        )

    def _kinds(self, name: str) -> set[int]:
        """The types it has an answer to, its alias' own included."""
        *_, last = self._chain(name)
        return {*self.sets[name], *(self._found(last) or {})}

    def _minimal(self, name: str) -> dict[bytes, Prepared]:
        """One record set is answer enough to ANY (RFC 8482 section 4.1): no amplification."""
        for kind in self.sets[name]:
            return {Kind.ANY.to_bytes(2) + INTERNET: self.resolve(name, kind)}
        return {}

    def resolve(self, name: str, kind: int) -> Prepared:
        """The aliases on the way, then the records, then what there is to say of the name at the end."""
        names = self._chain(name) if kind != Kind.CNAME else [name]
        aliases = [record for alias in names[:-1] for record in self._records(alias, Kind.CNAME)]
        records, soa = self._records(names[-1], kind), self.apex_of(names[-1])
        if not records and soa is not None and not aliases:
            return self._negative(soa, Rcode.NOERROR)
        missing = soa is not None and self._found(names[-1]) is None
        return prepare(
            Rcode.NXDOMAIN if missing else Rcode.NOERROR,
            flags=self.flags,
            ttl=self.ttl,
            asked=name,
            answers=(*aliases, *records),
            authority=(soa,) if soa is not None and not records else (),
            additional=tuple(self._additional(records)),
        )

    def _negative(self, soa: Authority, rcode: Rcode) -> Prepared:
        """RFC 2308: the SOA goes along, with the time that the negative answer may be kept."""
        key = (soa.name, rcode)
        if key not in self.negative:
            ttl = min(self.ttl, soa.negative_ttl)
            self.negative[key] = prepare(rcode, flags=self.flags, ttl=ttl, authority=(soa,))
        return self.negative[key]

    def _chain(self, name: str) -> list[str]:
        """The name, and each that an alias leads to."""
        names = [name]
        while aliases := self._records(names[-1], Kind.CNAME):
            target = next(alias.target for alias in aliases if isinstance(alias, Alias))
            if target in names:
                raise ConfigError(
                    "aliases lead in a circle",
                    evidence=" -> ".join([*names, target])[:200],
                    next_action="let the last of them name a host",
                )
            names.append(target)
        return names

    def _records(self, name: str, kind: int) -> tuple[Record, ...]:
        found = (self._found(name) or {}).get(kind, ())
        return tuple(record if record.name == name else replace(record, name=name) for record in found)

    def _found(self, name: str) -> _Sets | None:
        """The records of a name, or of the wildcard that stands for it."""
        if name in self.sets:
            return self.sets[name]
        while name:
            name = name.partition(".")[2]
            if name in self.sets:
                return self.sets.get(f"*.{name}")
        return None

    def _additional(self, records: Iterable[Record]) -> Iterable[Record]:
        for record in records:
            if isinstance(record, NameServer | Service):
                yield from (a for a in self._records(record.target, Kind.A) if isinstance(a, Address))

    def apex_of(self, name: str) -> Authority | None:
        """The zone that `name` is in, None when it is not ours."""
        return self.apexes.get(self._apex(name))

    def _apex(self, name: str) -> str:
        while name and name not in self.apexes:
            name = name.partition(".")[2]
        return name
