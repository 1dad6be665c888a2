"""Answers as dnslib reads them, and the flags and limits that servers get wrong."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from dnslib import EDNS0, QTYPE, DNSRecord

from pxe.dns.packet import Address, Alias, Service, Text
from pxe.dns.responder import Zone, ZoneRecord, respond, table_of
from pxe.dns.table import Table
from pxe.errors import ConfigError

ZONE = Zone(
    domain="rack.test",
    server=IPv4Address("10.0.0.1"),
    hosts={"node-1": IPv4Address("10.0.0.11"), "bmc.node-1": IPv4Address("10.0.9.11"), "ns": IPv4Address("10.0.0.1")},
    networks=(IPv4Network("10.0.0.0/23"), IPv4Network("10.7.0.0/16"), IPv4Network("10.8.8.64/28")),
)
TABLE = table_of(ZONE)


def ask(name: str, kind: str, table: Table = TABLE, *, edns: EDNS0 | None = None) -> DNSRecord:
    query = DNSRecord.question(name, kind)
    if edns is not None:
        query.add_ar(edns)
    reply = respond(table, bytes(query.pack()), tcp=False)
    assert reply is not None
    answer = DNSRecord.parse(reply)
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
    table = table_of(zone)
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
        reply = respond(TABLE, bytes(query.pack()), tcp=False)
        assert reply is not None
        assert DNSRecord.parse(reply).header.rd == wish


def test_edns() -> None:
    (opt,) = ask("node-1.rack.test", "A", edns=EDNS0(udp_len=4096, flags="do")).ar
    assert (opt.rtype, opt.rclass, opt.ttl & 0x8000) == (QTYPE.OPT, 1232, 0x8000)
    reply = ask("node-1.rack.test", "A", edns=EDNS0(version=1))
    assert (reply.header.rcode, reply.ar[0].ttl >> 24, reply.rr) == (0, 1, [])


def test_truncation() -> None:
    many = {f"host-{n:03}": IPv4Address("10.0.0.5") for n in range(60)}
    table = table_of(Zone(domain="rack.test", server=IPv4Address("10.0.0.1"), hosts=many))
    name = "5.0.0.10.in-addr.arpa"
    cut = ask(name, "PTR", table)
    assert (cut.header.tc, cut.rr) == (1, [])
    query = DNSRecord.question(name, "PTR")
    whole = respond(table, bytes(query.pack()), tcp=True)
    assert whole is not None
    assert (len(DNSRecord.parse(whole).rr), DNSRecord.parse(whole).header.tc) == (60, 0)


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
    assert reply[:2] == b"\x12\x34"
    assert reply[3] & 0xF == rcode
    assert reply[2] & 0x80


@pytest.mark.parametrize("raw", [b"", b"\x12\x34", raw_query()[:11], raw_query(flags=0x8000)])
def test_silence(raw: bytes) -> None:
    assert respond(TABLE, raw, tcp=False) is None


@pytest.mark.parametrize("host", ["", "UPPER", "under_score", "-a", "a-", "a..b", "a" * 64, "a." * 130 + "a", "a b"])
def test_zone_refuses_what_is_no_host_name(host: str) -> None:
    with pytest.raises(ConfigError):
        Zone(domain="rack.test", server=IPv4Address("10.0.0.1"), hosts={host: IPv4Address("10.0.0.2")})


CLUSTER = Zone(
    domain="site.test",
    server=IPv4Address("10.0.0.1"),
    hosts={"cp-1": IPv4Address("10.0.0.11"), "cp-2": IPv4Address("10.0.0.12")},
    domains=("other.test",),
    records=(
        Address(name="api.c.site.test", address=IPv4Address("10.0.0.5")),
        Address(name="*.apps.c.site.test", address=IPv4Address("10.0.0.6")),
        Address(name="fixed.apps.c.site.test", address=IPv4Address("10.0.0.7")),
        Alias(name="www.site.test", target="any.apps.c.site.test"),
        Alias(name="old.site.test", target="www.site.test"),
        Alias(name="out.site.test", target="example.com"),
        Alias(name="gone.site.test", target="nothing.site.test"),
        Alias(name="*.w.other.test", target="cp-1.site.test"),
        Text(name="other.test", strings=(b"one", b"two")),
        *(
            Service(
                name="_etcd-server-ssl._tcp.c.site.test",
                priority=0,
                weight=10,
                port=2380,
                target=f"cp-{number}.site.test",
            )
            for number in (1, 2)
        ),
    ),
)
CLUSTER_TABLE = table_of(CLUSTER)


@pytest.mark.parametrize(
    ("name", "kind", "rcode", "answers"),
    [
        ("api.c.site.test", "A", 0, ["10.0.0.5"]),
        ("console.apps.c.site.test", "A", 0, ["10.0.0.6"]),
        ("a.b.apps.c.site.test", "A", 0, ["10.0.0.6"]),
        ("console.apps.c.site.test", "AAAA", 0, []),
        ("fixed.apps.c.site.test", "A", 0, ["10.0.0.7"]),
        ("below.fixed.apps.c.site.test", "A", 3, []),
        ("apps.c.site.test", "A", 0, []),
        ("www.site.test", "A", 0, ["any.apps.c.site.test.", "10.0.0.6"]),
        ("old.site.test", "A", 0, ["www.site.test.", "any.apps.c.site.test.", "10.0.0.6"]),
        ("old.site.test", "AAAA", 0, ["www.site.test.", "any.apps.c.site.test."]),
        ("old.site.test", "CNAME", 0, ["www.site.test."]),
        ("old.site.test", "ANY", 0, ["www.site.test."]),
        ("out.site.test", "A", 0, ["example.com."]),
        ("gone.site.test", "A", 3, ["nothing.site.test."]),
        ("x.w.other.test", "A", 0, ["cp-1.site.test.", "10.0.0.11"]),
        ("other.test", "TXT", 0, ['"one","two"']),
        ("other.test", "NS", 0, ["ns.site.test."]),
        ("x.other.test", "A", 3, []),
        ("_etcd-server-ssl._tcp.c.site.test", "SRV", 0, ["0 10 2380 cp-1.site.test.", "0 10 2380 cp-2.site.test."]),
        ("_tcp.c.site.test", "A", 0, []),
        ("1.0.0.10.in-addr.arpa", "PTR", 0, ["ns.site.test."]),
    ],
)
def test_cluster_records(name: str, kind: str, rcode: int, answers: list[str]) -> None:
    reply = ask(name, kind, CLUSTER_TABLE)
    assert reply.header.rcode == rcode
    assert [str(rr.rdata) for rr in reply.rr] == answers


def test_wildcard_answers_under_the_name_that_was_asked() -> None:
    (found,) = ask("Console.Apps.c.site.test", "A", CLUSTER_TABLE).rr
    assert str(found.rname) == "Console.Apps.c.site.test."


def test_addresses_of_service_targets_go_along() -> None:
    reply = ask("_etcd-server-ssl._tcp.c.site.test", "SRV", CLUSTER_TABLE)
    assert [(str(rr.rname), str(rr.rdata)) for rr in reply.ar] == [
        ("cp-1.site.test.", "10.0.0.11"),
        ("cp-2.site.test.", "10.0.0.12"),
    ]


def test_recursive_table_says_so_everywhere() -> None:
    table = table_of(ZONE, recursive=True)
    for raw in (raw_query(), raw_query(flags=2 << 11), raw_query(questions=0, tail=b"")):
        reply = respond(table, raw, tcp=False)
        assert reply is not None
        assert reply[3] & 0x80


def record_zone(*records: ZoneRecord) -> Zone:
    return Zone(domain="a.test", server=IPv4Address("10.0.0.1"), hosts={"h": IPv4Address("10.0.0.2")}, records=records)


@pytest.mark.parametrize(
    "records",
    [
        (Alias(name="x.a.test", target="x.a.test"),),
        (Alias(name="x.a.test", target="y.a.test"), Alias(name="y.a.test", target="x.a.test")),
        (Alias(name="*.a.test", target="y.a.test"),),
        (Alias(name="a.test", target="h.a.test"),),
        (Alias(name="h.a.test", target="example.com"),),
        (Alias(name="x.a.test", target="h.a.test"), Alias(name="x.a.test", target="ns.a.test")),
        (Alias(name="x.a.test", target="h.a.test"), Text(name="x.a.test", strings=(b"t",))),
    ],
)
def test_aliases_that_cannot_be(records: tuple[ZoneRecord, ...]) -> None:
    with pytest.raises(ConfigError):
        table_of(record_zone(*records))


@pytest.mark.parametrize(
    "record",
    [
        Address(name="b.test", address=IPv4Address("10.0.0.2")),
        Address(name="xa.test", address=IPv4Address("10.0.0.2")),
        Address(name="x.*.a.test", address=IPv4Address("10.0.0.2")),
        Alias(name="x.a.test", target="not a name"),
        Text(name="x.a.test", strings=()),
        Text(name="x.a.test", strings=(b"x" * 256,)),
        Text(name="x.a.test", strings=(b"x" * 255,) * 65),
        Service(name="x.a.test", priority=0, weight=0, port=65_536, target="h.a.test"),
        Service(name="x.a.test", priority=-1, weight=0, port=1, target="h.a.test"),
    ],
)
def test_zone_refuses_records(record: ZoneRecord) -> None:
    with pytest.raises(ConfigError):
        record_zone(record)
