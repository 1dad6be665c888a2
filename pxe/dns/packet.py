"""DNS messages (RFC 1035, EDNS: RFC 6891): bytes <-> values, on dnslib's codec.

Only what an authoritative server for A, PTR, SOA and NS needs; names are lower case and end without a dot.
"""

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from typing import assert_never

from dnslib import EDNS0, NS, PTR, QTYPE, RR, SOA, A, DNSHeader, DNSLabel, DNSQuestion, DNSRecord

from pxe.errors import PacketError

HEADER = 12
PLAIN_SIZE = 512
EDNS_SIZE = 1232

_OPT = 41
_BADVERS_HIGH_BITS = 1


class Rcode(IntEnum):
    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16


class Kind(IntEnum):
    """Record and query types by their numbers (IANA DNS parameters)."""

    A = 1
    NS = 2
    SOA = 6
    PTR = 12
    IXFR = 251
    AXFR = 252
    ANY = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The part of a query that can be trusted even when the rest makes no sense."""

    id: int
    response: bool
    opcode: int
    recursion_desired: bool
    questions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Edns:
    version: int
    size: int
    dnssec_ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """`asked` is the question as it came, so that its upper and lower case go back unchanged (0x20)."""

    header: Header
    name: str
    kind: int
    klass: int
    edns: Edns | None
    asked: DNSQuestion


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    name: str
    address: IPv4Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    name: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NameServer:
    name: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A SOA; `negative_ttl` in seconds is how long others may remember that something does not exist."""

    name: str
    server: str
    contact: str
    serial: int
    negative_ttl: int


Record = Address | Pointer | NameServer | Authority


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`ttl` in seconds counts for all records."""

    rcode: Rcode
    authoritative: bool = False
    answers: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    ttl: int = 0


def parse_header(raw: bytes) -> Header:
    """Raises PacketError when there is no header to answer to."""
    if len(raw) < HEADER:
        raise PacketError("DNS message shorter than its header", evidence=raw.hex())
    flags = int.from_bytes(raw[2:4])
    return Header(
        id=int.from_bytes(raw[:2]),
        response=bool(flags & 0x8000),
        opcode=flags >> 11 & 0xF,
        recursion_desired=bool(flags & 0x0100),
        questions=int.from_bytes(raw[4:6]),
    )


def parse_query(raw: bytes) -> Query:
    """Raises PacketError; every such query that has a header deserves FORMERR."""
    header = parse_header(raw)
    if header.questions != 1:
        raise PacketError("a DNS query has exactly one question", evidence=str(header.questions))
    try:
        record = DNSRecord.parse(raw)
    except Exception as cause:
        # dnslib raises its own and other errors on hostile input: here all of them mean the same.
        raise PacketError("malformed DNS message", evidence=raw[:64].hex()) from cause
    asked = record.questions[0]
    return Query(
        header=header,
        name=_name(asked.qname),
        kind=int(asked.qtype),
        klass=int(asked.qclass),
        edns=_edns(record),
        asked=asked,
    )


def _name(label: DNSLabel) -> str:
    """A dot inside a label must not look like a separator: such a name is in no zone of ours."""
    return ".".join(part.decode("latin-1").replace(".", "\\.") for part in label.label).lower()


def _edns(record: DNSRecord) -> Edns | None:
    found = [rr for rr in record.ar if rr.rtype == _OPT]
    if len(found) > 1:
        raise PacketError("more than one OPT record", evidence=str(len(found)))
    if not found:
        return None
    ttl = int(found[0].ttl)
    return Edns(version=ttl >> 16 & 0xFF, size=int(found[0].rclass), dnssec_ok=bool(ttl & 0x8000))


def pack(query: Query, answer: Answer, *, limit: int) -> bytes:
    """Over `limit` bytes the sections are dropped and TC tells the client to come back over TCP."""
    raw = _record(query, answer, truncated=False).pack()
    if len(raw) > limit:
        raw = _record(query, Answer(rcode=answer.rcode, authoritative=answer.authoritative), truncated=True).pack()
    return bytes(raw)


def pack_bare(header: Header, rcode: Rcode) -> bytes:
    """An error without question, for a query whose question could not be read."""
    flags = 0x8000 | header.opcode << 11 | header.recursion_desired << 8 | rcode
    return header.id.to_bytes(2) + flags.to_bytes(2) + bytes(8)


def _record(query: Query, answer: Answer, *, truncated: bool) -> DNSRecord:
    header = DNSHeader(
        id=query.header.id,
        qr=1,
        aa=int(answer.authoritative),
        tc=int(truncated),
        rd=int(query.header.recursion_desired),
        ra=0,
        rcode=answer.rcode & 0xF,
    )
    record = DNSRecord(header, q=query.asked)
    record.add_answer(*(_rr(item, answer.ttl) for item in answer.answers))
    record.add_auth(*(_rr(item, answer.ttl) for item in answer.authority))
    record.add_ar(*(_rr(item, answer.ttl) for item in answer.additional))
    if query.edns is not None:
        high = _BADVERS_HIGH_BITS if answer.rcode is Rcode.BADVERS else 0
        flags = "do" if query.edns.dnssec_ok else ""
        record.add_ar(EDNS0(flags=flags, udp_len=EDNS_SIZE, ext_rcode=high))
    return record


def _rr(record: Record, ttl: int) -> RR:
    match record:
        case Address():
            return RR(record.name, QTYPE.A, rdata=A(str(record.address)), ttl=ttl)
        case Pointer():
            return RR(record.name, QTYPE.PTR, rdata=PTR(record.target), ttl=ttl)
        case NameServer():
            return RR(record.name, QTYPE.NS, rdata=NS(record.target), ttl=ttl)
        case Authority():
            times = (record.serial, 3600, 600, 86400, record.negative_ttl)
            return RR(record.name, QTYPE.SOA, rdata=SOA(record.server, record.contact, times), ttl=ttl)
        case _:
            assert_never(record)
