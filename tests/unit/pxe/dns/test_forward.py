"""Which questions leave the house and which answers come in."""

from ipaddress import IPv4Address

import pytest
from dnslib import EDNS0, QTYPE, RR, DNSRecord

from pxe.dns.forward import Forwarding, Question, ask, believe, failure, question_of
from pxe.errors import ConfigError

COINS = bytes.fromhex("abcd") + b"\x55" * 32
UPSTREAM = (IPv4Address("192.0.2.1"), 53)


def query(name: str = "www.Example.com", kind: str = "A", *, edns: bool = True, desired: int = 1) -> bytes:
    record = DNSRecord.question(name, kind)
    record.header.id, record.header.rd = 0x4242, desired
    if edns:
        record.add_ar(EDNS0(udp_len=4096, flags="do"))
    return bytes(record.pack())


def question(raw: bytes, *, tcp: bool = False) -> Question:
    found = question_of(raw, tcp=tcp)
    assert found is not None
    return found


def said(asked: bytes, *zone: str) -> bytes:
    reply = DNSRecord.parse(asked).reply()
    for line in zone:
        reply.add_answer(*RR.fromZone(line))
    return bytes(reply.pack())


@pytest.mark.parametrize(
    "raw",
    [
        query(desired=0),
        query("1.0.0.10.in-addr.arpa", "PTR"),
        query("1.2.168.192.in-addr.arpa", "PTR"),
        query("1.2.20.172.in-addr.arpa", "PTR"),
        query("1.2.100.100.in-addr.arpa", "PTR"),
        query("1.0.0.127.in-addr.arpa", "PTR"),
        query("1.0.d.f.ip6.arpa", "PTR"),
        query("LocalHost"),
        query("printer.local"),
        query("home.arpa"),
        query("example.com", "AXFR"),
        query()[:20],
        b"",
    ],
)
def test_what_stays_here(raw: bytes) -> None:
    assert question_of(raw, tcp=False) is None


@pytest.mark.parametrize("name", ["example.com", "xlocal", "local.example.com", "1.1.32.172.in-addr.arpa"])
def test_what_may_go(name: str) -> None:
    assert question(query(name)).raw


def test_id_and_spelling_are_not_the_clients() -> None:
    raw = query()
    asked = DNSRecord.parse(ask(question(raw), random=COINS))
    assert asked.header.id == 0xABCD
    assert (asked.header.rd, asked.header.a, len(asked.ar)) == (1, 0, 1)
    assert (asked.ar[0].rclass, asked.ar[0].ttl) == (1232, 0x8000)
    assert str(asked.q.qname) == "wWw.eXaMpLe.cOm."
    assert not DNSRecord.parse(ask(question(query(edns=False)), random=COINS)).ar


def test_the_answer_is_the_clients() -> None:
    asking = question(query())
    asked = ask(asking, random=COINS)
    answer = believe(asking, asked, said(asked, "www.example.com 60 A 192.0.2.7"), ())
    assert answer is not None
    record = DNSRecord.parse(answer)
    assert (answer[:2], str(record.q.qname)) == (asking.raw[:2], "www.Example.com.")
    assert (record.header.aa, record.header.ra, record.header.rd, record.header.rcode) == (0, 1, 1, 0)
    assert [str(rr.rdata) for rr in record.rr] == ["192.0.2.7"]


@pytest.mark.parametrize("change", ["id", "case", "name", "kind", "query", "opcode", "count", "short"])
def test_forged_answers_are_passed_over(change: str) -> None:
    asking = question(query())
    asked = ask(asking, random=COINS)
    raw = bytearray(said(asked, "www.example.com 60 A 192.0.2.7"))
    match change:
        case "id":
            raw[1] ^= 1
        case "case":
            raw[13] ^= 0x20
        case "name":
            raw[14] = ord("x")
        case "kind":
            raw[asking.end - 3] = QTYPE.AAAA
        case "query":
            raw[2] &= 0x7F
        case "opcode":
            raw[2] |= 0x10
        case "count":
            raw[5] = 0
        case _:
            del raw[11:]
    assert believe(asking, asked, bytes(raw), ()) is None


@pytest.mark.parametrize(
    ("line", "private"),
    [
        ("www.example.com 60 A 192.0.2.7", False),
        ("www.example.com 60 A 10.0.0.1", True),
        ("www.example.com 60 A 127.0.0.1", True),
        ("www.example.com 60 A 169.254.169.254", True),
        ("www.example.com 60 A 0.0.0.0", True),
        ("other.example 60 A 192.168.1.1", True),
        ("www.example.com 60 AAAA ::1", True),
        ("www.example.com 60 AAAA fe80::1", True),
        ("www.example.com 60 AAAA fd00::1", True),
        ("www.example.com 60 AAAA ::ffff:a00:1", True),
        ("www.example.com 60 AAAA 2001:db8::1", False),
    ],
)
def test_private_addresses_behind_public_names(line: str, private: bool) -> None:
    asking = question(query())
    asked = ask(asking, random=COINS)
    raw = said(asked, line)
    assert (believe(asking, asked, raw, ()) == failure(asking)) is private
    assert believe(asking, asked, raw, ("ample.com",)) == believe(asking, asked, raw, ())
    assert believe(asking, asked, raw, ("example.com",)) != failure(asking)


def test_answers_that_do_not_fit() -> None:
    asking = question(query(edns=False))
    asked = ask(asking, random=COINS)
    many = said(asked, *(f"www.example.com 60 A 192.0.2.{n}" for n in range(1, 60)))
    assert believe(asking, asked, many, ()) == failure(asking)
    assert believe(asking, asked, many[:-1], ()) == failure(asking)
    over_tcp = question(query(edns=False), tcp=True)
    answer = believe(over_tcp, asked, many, ())
    assert answer is not None
    assert len(DNSRecord.parse(answer).rr) == 59


def test_truncation_is_handed_on() -> None:
    asking = question(query(edns=False))
    asked = ask(asking, random=COINS)
    cut = bytearray(said(asked))
    cut[2] |= 2
    answer = believe(asking, asked, bytes(cut), ())
    assert answer is not None
    assert DNSRecord.parse(answer).header.tc == 1


@pytest.mark.parametrize(
    ("upstreams", "timeout", "in_flight"), [((), 1.0, 1), ((UPSTREAM,), 0.0, 1), ((UPSTREAM,), 1.0, 0)]
)
def test_forwarding_that_cannot_work(
    upstreams: tuple[tuple[IPv4Address, int], ...], timeout: float, in_flight: int
) -> None:
    with pytest.raises(ConfigError):
        Forwarding(upstreams=upstreams, timeout=timeout, in_flight=in_flight)
