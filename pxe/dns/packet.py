"""DNS messages (RFC 1035, EDNS: RFC 6891): bytes <-> values.

Names are text in lower case without the last dot where people write them, and bytes as on the wire where questions
are looked up: a label's length is below 64, so that `bytes.lower` changes letters and nothing else.

An answer is prepared once for all who ask: the only name that it compresses is the question's, at offset 12, so it fits
behind each spelling of the question and behind all names that a wildcard stands for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import assert_never

from pxe.errors import PacketError

HEADER = 12
PLAIN_SIZE = 512
EDNS_SIZE = 1232
TCP_SIZE = 65_535
INTERNET = b"\0\1"
ANY_CLASS = b"\0\xff"

RESPONSE = 0x8000
AUTHORITATIVE = 0x0400
TRUNCATED = 0x0200
RECURSION_DESIRED = 0x0100
RECURSION_AVAILABLE = 0x0080

_OPCODE = 0x7800
_OPT = 41
_DNSSEC_OK = 0x8000
_LABEL = 63
_NAME = 255
_ASKED = b"\xc0\x0c"
_SHAPES = 1024
_SHAPE_SIZE = 64


class Rcode(IntEnum):
    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5


class Kind(IntEnum):
    """Record and query types by their numbers (IANA DNS parameters)."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    PTR = 12
    TXT = 16
    AAAA = 28
    SRV = 33
    IXFR = 251
    AXFR = 252
    ANY = 255


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
class Alias:
    """A CNAME."""

    name: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Strings of up to 255 bytes each."""

    name: str
    strings: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A SRV (RFC 2782)."""

    name: str
    priority: int
    weight: int
    port: int
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A SOA; `negative_ttl` in seconds is how long others may remember that something does not exist."""

    name: str
    server: str
    contact: str
    serial: int
    negative_ttl: int


Record = Address | Pointer | NameServer | Alias | Text | Service | Authority


def kind_of(record: Record) -> Kind:
    match record:
        case Address():
            return Kind.A
        case Pointer():
            return Kind.PTR
        case NameServer():
            return Kind.NS
        case Alias():
            return Kind.CNAME
        case Text():
            return Kind.TXT
        case Service():
            return Kind.SRV
        case Authority():
            return Kind.SOA
        case _:
            assert_never(record)


# Queries


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a query wants of its answer besides the question. `head` counts the prepared heads, `opt` is the OPT record
    to answer with, `limit` in bytes holds for UDP."""

    head: int
    opt: bytes
    limit: int
    bad_version: bool = False


def question_end(raw: bytes) -> int:
    """Where the question's type and class end. PacketError for what is no question; a pointer is none, since nothing
    that it could point to comes before."""
    at = HEADER
    while at < len(raw) and raw[at]:
        if raw[at] > _LABEL:
            raise PacketError("a label that is no label in the question", evidence=raw[:64].hex())
        at += raw[at] + 1
    end = at + 5
    if end > len(raw) or at + 1 - HEADER > _NAME:
        raise PacketError("question cut short or too long", evidence=raw[:64].hex())
    return end


def shape_of(head: bytes, tail: bytes) -> Shape | Rcode:
    """`head` is the header behind the id, `tail` all behind the question. A Rcode is the error to answer with."""
    return _known_shape(head, tail) if len(tail) <= _SHAPE_SIZE else _shape(head, tail)


def _shape(head: bytes, tail: bytes) -> Shape | Rcode:
    if int.from_bytes(head[:2]) & _OPCODE:
        return Rcode.NOTIMP
    try:
        return _parse_shape(head, tail)
    except PacketError:
        return Rcode.FORMERR


_known_shape = lru_cache(_SHAPES)(_shape)


def _parse_shape(head: bytes, tail: bytes) -> Shape:
    flags, questions, answers, authority, additional = (int.from_bytes(head[at : at + 2]) for at in range(0, 10, 2))
    if questions != 1:
        raise PacketError("a DNS query has exactly one question", evidence=str(questions))
    *rest, end = _records(tail, 0, answers + authority + additional)
    if end.start != len(tail):
        raise PacketError("bytes behind the last record", evidence=tail[end.start :][:64].hex())
    desired = int(bool(flags & RECURSION_DESIRED))
    options = [record for record in rest[answers + authority :] if record.kind == _OPT]
    if not options:
        return Shape(head=desired, opt=b"", limit=PLAIN_SIZE)
    if len(options) > 1 or tail[options[0].start]:
        raise PacketError("one OPT record at most, and at the root", evidence=str(len(options)))
    _check_options(tail[options[0].data : options[0].end])
    version, dnssec = options[0].ttl >> 16 & 0xFF, options[0].ttl & _DNSSEC_OK
    limit = max(PLAIN_SIZE, min(options[0].klass, EDNS_SIZE))
    return Shape(head=2 + desired, opt=_opt(version > 0, dnssec), limit=limit, bad_version=version > 0)


def _opt(bad_version: bool, dnssec_ok: int) -> bytes:
    """BADVERS is 16: its upper bits are here, the lower four in the header (RFC 6891 section 6.1.3)."""
    return b"\0" + _OPT.to_bytes(2) + EDNS_SIZE.to_bytes(2) + bytes((bad_version, 0)) + dnssec_ok.to_bytes(2) + bytes(2)


def query_opt(size: int, opt: bytes) -> bytes:
    """The OPT record to ask with, where `opt` is what the answer will carry."""
    return opt[:3] + size.to_bytes(2) + opt[5:]


def _check_options(data: bytes) -> None:
    """Each option (cookies, client subnet) is ignored, but it must be one."""
    at = 0
    while at < len(data):
        at += 4 + int.from_bytes(data[at + 2 : at + 4])
    if at != len(data):
        raise PacketError("EDNS option cut short", evidence=data[:64].hex())


@dataclass(frozen=True, slots=True)
class _Found:
    """Where a record stands: `start` of its name, `data` to `end`."""

    start: int
    kind: int = 0
    klass: int = 0
    ttl: int = 0
    data: int = 0
    end: int = 0


def _records(raw: bytes, at: int, count: int) -> Iterator[_Found]:
    """`count` records, and one more that says where they end."""
    for _ in range(count):
        start, fixed = at, _name_end(raw, at)
        data = fixed + 10
        at = data + int.from_bytes(raw[fixed + 8 : data])
        if at > len(raw) or data > len(raw):
            raise PacketError("record cut short", evidence=raw[:64].hex())
        yield _Found(
            start,
            int.from_bytes(raw[fixed : fixed + 2]),
            int.from_bytes(raw[fixed + 2 : fixed + 4]),
            int.from_bytes(raw[fixed + 4 : fixed + 8]),
            data,
            at,
        )
    yield _Found(at)


def _name_end(raw: bytes, at: int) -> int:
    """Pointers are passed over, never followed: there is no loop to fall into."""
    start = at
    while at < len(raw) and at - start < _NAME:
        length = raw[at]
        if length >= 0xC0:
            return at + 2
        if length > _LABEL:
            break
        at += length + 1
        if not length:
            return at
    raise PacketError("malformed name", evidence=raw[:64].hex())


def addresses(raw: bytes) -> Iterator[IPv4Address | IPv6Address]:
    """All addresses in the answer section of a response with one question. PacketError."""
    count = int.from_bytes(raw[6:8])
    for record in _records(raw, question_end(raw), count):
        data = raw[record.data : record.end]
        if record.kind == Kind.A and len(data) == 4:
            yield IPv4Address(data)
        elif record.kind == Kind.AAAA and len(data) == 16:
            yield IPv6Address(data)


# Answers


@dataclass(frozen=True, slots=True)
class Prepared:
    """All of an answer but id, question and OPT. `heads` are the header behind the id: plain, with RD, with OPT, with
    both. `cut` are those of the answer that has to be fetched over TCP."""

    heads: tuple[bytes, ...]
    cut: tuple[bytes, ...]
    body: bytes = b""


def prepare(
    rcode: Rcode,
    *,
    flags: int = 0,
    ttl: int = 0,
    asked: str = "",
    answers: tuple[Record, ...] = (),
    authority: tuple[Record, ...] = (),
    additional: tuple[Record, ...] = (),
) -> Prepared:
    """`asked` is the owner name that becomes a pointer to the question. `ttl` in seconds counts for all records."""
    flags |= RESPONSE | rcode
    body = b"".join(_pack_record(record, ttl, asked) for record in (*answers, *authority, *additional))
    return Prepared(
        heads=_heads(flags, len(answers), len(authority), len(additional)),
        cut=_heads(flags | TRUNCATED, 0, 0, 0),
        body=body,
    )


@lru_cache(_SHAPES)
def _heads(flags: int, answers: int, authority: int, additional: int) -> tuple[bytes, ...]:
    return tuple(
        b"".join(number.to_bytes(2) for number in (flags | desired, 1, answers, authority, additional + edns))
        for edns in (0, 1)
        for desired in (0, RECURSION_DESIRED)
    )


def pack(raw: bytes, end: int, shape: Shape, answer: Prepared, limit: int) -> bytes:
    """The answer to the query `raw` whose question ends at `end`; over `limit` bytes only TC is left of it."""
    if end + len(answer.body) + len(shape.opt) > limit:
        return b"".join((raw[:2], answer.cut[shape.head], raw[HEADER:end], shape.opt))
    return b"".join((raw[:2], answer.heads[shape.head], raw[HEADER:end], answer.body, shape.opt))


def pack_bare(raw: bytes, rcode: Rcode, *, flags: int = 0) -> bytes:
    """An error without question, for a query whose question could not be read."""
    asked = int.from_bytes(raw[2:4]) & (_OPCODE | RECURSION_DESIRED)
    return raw[:2] + (RESPONSE | asked | flags | rcode).to_bytes(2) + bytes(8)


def cut(reply: bytes) -> bytes:
    """The same answer of ours with nothing but its question, if it has one, and TC."""
    flags = (int.from_bytes(reply[2:4]) | TRUNCATED).to_bytes(2)
    if reply[4:6] != b"\0\1":
        return reply[:2] + flags + bytes(8)
    return reply[:2] + flags + b"\0\1" + bytes(6) + reply[HEADER : question_end(reply)]


@lru_cache(_SHAPES)
def wire(name: str) -> bytes:
    """A name that was checked: labels of 1 to 63 bytes, "" for the root."""
    labels = name.encode("ascii").split(b".") if name else []
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def _pack_record(record: Record, ttl: int, asked: str) -> bytes:
    data = _data(record)
    owner = _ASKED if record.name == asked else wire(record.name)
    return owner + kind_of(record).to_bytes(2) + INTERNET + ttl.to_bytes(4) + len(data).to_bytes(2) + data


def _data(record: Record) -> bytes:
    match record:
        case Address():
            return record.address.packed
        case Pointer() | NameServer() | Alias():
            return wire(record.target)
        case Text():
            return b"".join(bytes((len(text),)) + text for text in record.strings)
        case Service():
            numbers = (record.priority, record.weight, record.port)
            return b"".join(number.to_bytes(2) for number in numbers) + wire(record.target)
        case Authority():
            times = (record.serial, 3600, 600, 86_400, record.negative_ttl)
            names = wire(record.server) + wire(record.contact)
            return names + b"".join(number.to_bytes(4) for number in times)
        case _:
            assert_never(record)
