"""Answers as dnslib reads them, and the flags and limits that servers get wrong."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from dnslib import EDNS0, QTYPE, DNSQuestion, DNSRecord

from pxe.dns.responder import Zone, ZoneTable, respond
from pxe.errors import ConfigError

ZONE = Zone(
    domain="rack.test",
    server=IPv4Address("10.0.0.1"),
    hosts={"node-1": IPv4Address("10.0.0.11"), "bmc.node-1": IPv4Address("10.0.9.11"), "ns": IPv4Address("10.0.0.1")},
    networks=(IPv4Network("10.0.0.0/23"), IPv4Network("10.7.0.0/16"), IPv4Network("10.8.8.64/28")),
)
TABLE = ZoneTable.from_zone(ZONE)


def ask(name: str, kind: str, table: ZoneTable = TABLE, *, edns: EDNS0 | None = None) -> DNSRecord:
    query = DNSRecord.question(name, kind)
    if edns is not None:
        query.add_ar(edns)
    reply = respond(table, query.pack(), tcp=False)
    assert reply is not None
    answer = DNSRecord.parse(reply.raw)
    assert answer.header.id == query.header.id
    assert (answer.header.qr, answer.header.ra) == (1, 0)
    return answer


@pytest.mark.parametrize(
    ("name", "kind", "rcode", "answers"),
    [
        ("node-1.rack.test", "A", 0, ["10.0.0.11"]),
        ("bmc.node-1.rack.test", "A", 0, ["10.0.9.11"]),
        ("ns.rack.test", "A", 0, ["10.0.0.1"]),
        ("NODE-1.Rack.TEST", "A", 0, ["10.0.0.11"]),
        ("node-1.rack.test", "ANY", 0, ["10.0.0.11"]),
        ("node-1.rack.test", "AAAA", 0, []),
        ("rack.test", "A", 0, []),
        ("rack.test", "NS", 0, ["ns.rack.test."]),
        ("node-2.rack.test", "A", 3, []),
        ("11.0.0.10.in-addr.arpa", "PTR", 0, ["node-1.rack.test."]),
        ("11.9.0.10.in-addr.arpa", "PTR", 0, ["bmc.node-1.rack.test."]),
        ("12.0.0.10.in-addr.arpa", "PTR", 3, []),
        ("5.1.0.10.in-addr.arpa", "PTR", 3, []),
        ("5.4.7.10.in-addr.arpa", "PTR", 3, []),
        ("70.8.8.10.in-addr.arpa", "PTR", 3, []),
        ("0.0.10.in-addr.arpa", "NS", 0, ["ns.rack.test."]),
    ],
)
def test_authoritative(name: str, kind: str, rcode: int, answers: list[str]) -> None:
    reply = ask(name, kind)
    assert (reply.header.rcode, reply.header.aa) == (rcode, 1)
    assert [str(rr.rdata) for rr in reply.rr] == answers
    assert [rr.rtype for rr in reply.auth] == ([] if answers else [QTYPE.SOA])


def test_empty_non_terminal_is_no_nxdomain() -> None:
    zone = Zone(domain="rack.test", server=IPv4Address("10.0.0.1"), hosts={"a.b.c": IPv4Address("10.0.0.2")})
    table = ZoneTable.from_zone(zone)
    assert ask("b.c.rack.test", "A", table).header.rcode == 0
    assert ask("x.c.rack.test", "A", table).header.rcode == 3


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("example.com", "A"),
        ("test", "SOA"),
        (".", "NS"),
        ("xrack.test", "A"),
        ("1.1.168.192.in-addr.arpa", "PTR"),
        ("1.2.0.10.in-addr.arpa", "PTR"),
        ("rack.test", "AXFR"),
        ("rack.test", "IXFR"),
    ],
)
def test_refused(name: str, kind: str) -> None:
    reply = ask(name, kind)
    assert (reply.header.rcode, reply.header.aa, reply.rr, reply.auth) == (5, 0, [], [])


def test_soa_negative_ttl() -> None:
    (soa,) = ask("nothing.rack.test", "A").auth
    assert str(soa.rname) == "rack.test."
    assert soa.rdata.times[4] == soa.ttl == 60


def test_case_of_the_question_comes_back() -> None:
    assert bytes(ask("NoDe-1.rAcK.tEsT", "A").q.qname.label[0]) == b"NoDe-1"


def test_recursion_desired_is_copied() -> None:
    query = DNSRecord.question("node-1.rack.test")
    for wish in (0, 1):
        query.header.rd = wish
        reply = respond(TABLE, query.pack(), tcp=False)
        assert reply is not None
        assert DNSRecord.parse(reply.raw).header.rd == wish


def test_edns() -> None:
    (opt,) = ask("node-1.rack.test", "A", edns=EDNS0(udp_len=4096, flags="do")).ar
    assert (opt.rtype, opt.rclass, opt.ttl & 0x8000) == (QTYPE.OPT, 1232, 0x8000)
    reply = ask("node-1.rack.test", "A", edns=EDNS0(version=1))
    assert (reply.header.rcode, reply.ar[0].ttl >> 24, reply.rr) == (0, 1, [])


def test_truncation() -> None:
    many = {f"host-{n:03}": IPv4Address("10.0.0.5") for n in range(60)}
    table = ZoneTable.from_zone(Zone(domain="rack.test", server=IPv4Address("10.0.0.1"), hosts=many))
    name = "5.0.0.10.in-addr.arpa"
    cut = ask(name, "PTR", table)
    assert (cut.header.tc, cut.rr) == (1, [])
    query = DNSRecord.question(name, "PTR")
    whole = respond(table, query.pack(), tcp=True)
    assert whole is not None
    assert (len(DNSRecord.parse(whole.raw).rr), DNSRecord.parse(whole.raw).header.tc) == (60, 0)


def raw_query(flags: int = 0x0100, questions: int = 1, tail: bytes = b"\1a\4rack\4test\0\0\1\0\1") -> bytes:
    return b"\x12\x34" + flags.to_bytes(2) + questions.to_bytes(2) + bytes(6) + tail


TWO_OPTS = raw_query()[:10] + b"\0\2" + raw_query()[12:] + (b"\0\0\x29\x04\xd0" + bytes(6)) * 2


@pytest.mark.parametrize(
    ("raw", "rcode"),
    [
        (raw_query(flags=2 << 11), 4),
        (raw_query(flags=5 << 11), 4),
        (raw_query(questions=0, tail=b""), 1),
        (raw_query(questions=2), 1),
        (raw_query(tail=b"\1a"), 1),
        (raw_query(tail=b"\xc0\x0c\0\1\0\1"), 1),
        (raw_query(tail=b"\xff" * 20), 1),
        (raw_query()[:12], 1),
        (TWO_OPTS, 1),
        (raw_query(tail=b"\1a\4rack\4test\0\0\1\0\3"), 5),
        (raw_query(tail=b"\1a\4rack\4test\0\xff\x01\0\1"), 3),
    ],
)
def test_odd_query(raw: bytes, rcode: int) -> None:
    reply = respond(TABLE, raw, tcp=False)
    assert reply is not None
    assert reply.raw[:2] == b"\x12\x34"
    assert reply.raw[3] & 0xF == rcode
    assert reply.raw[2] & 0x80


@pytest.mark.parametrize("raw", [b"", b"\x12\x34", raw_query()[:11], raw_query(flags=0x8000)])
def test_silence(raw: bytes) -> None:
    assert respond(TABLE, raw, tcp=False) is None


@pytest.mark.parametrize(("name", "lasting"), [("node-1.rack.test", True), ("x.rack.test", False), ("a.com", False)])
def test_only_replies_about_existing_names_last(name: str, lasting: bool) -> None:
    reply = respond(TABLE, DNSRecord(q=DNSQuestion(name)).pack(), tcp=False)
    assert reply is not None
    assert reply.lasting is lasting


@pytest.mark.parametrize("host", ["", "UPPER", "under_score", "-a", "a-", "a..b", "a" * 64, "a." * 130 + "a", "a b"])
def test_zone_refuses_what_is_no_host_name(host: str) -> None:
    with pytest.raises(ConfigError):
        Zone(domain="rack.test", server=IPv4Address("10.0.0.1"), hosts={host: IPv4Address("10.0.0.2")})
