"""What any bytes may do to the DNS codec and responder, with dnslib as the second opinion."""

from ipaddress import IPv4Address

import pytest
from dnslib import DNSError, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from pxe.dns import packet
from pxe.dns.forward import Question, ask, believe, question_of
from pxe.dns.packet import Address, Rcode, addresses, cut, question_end, shape_of
from pxe.dns.responder import Zone, respond, table_of
from pxe.dns.table import Table
from pxe.errors import PacketError

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
host_addresses = st.integers(0x0A000001, 0x0A00FFFF).map(IPv4Address)
hosts = st.dictionaries(labels.filter(lambda name: name != "ns"), host_addresses, max_size=8)


def of(hosts: dict[str, IPv4Address]) -> Table:
    return table_of(Zone(domain="rack.test", server=IPv4Address("10.0.0.1"), hosts=hosts))


TABLE = table_of(
    Zone(
        domain="rack.test",
        server=IPv4Address("10.0.0.1"),
        hosts={"a": IPv4Address("10.0.0.2")},
        records=(Address(name="*.w.rack.test", address=IPv4Address("10.0.0.3")),),
    )
)
OPT = b"\0\0\x29\x10\0\0\0\x80\0\0\x0c\0\x0a\0\x08cookies!"
VALID = tuple(
    b"\x12\x34\1\0\0\1\0\0\0\0\0" + bytes((bool(opt),)) + name + b"\0" + kind + b"\0\1" + opt
    for name in (b"\1a\4rack\4test", b"\2xx\1w\4RACK\4test", b"\3www\7example\3com", b"")
    for kind in (b"\0\1", b"\0\x1c", b"\0\xff", b"\xff\x01")
    for opt in (b"", OPT)
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    raw = bytearray(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(raw) - 1))
        raw[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
        if not raw:
            break
    return bytes(raw)


messages = st.binary(max_size=200) | mutated() | st.sampled_from(VALID)


def read(raw: bytes) -> DNSRecord | None:
    """As dnslib reads it; None for labels that it wants to be ASCII, which DNS does not (RFC 2181 section 11)."""
    try:
        return DNSRecord.parse(raw)
    except DNSError:
        assert not raw[12 : question_end(raw)].isascii()
        return None


@given(messages)
def test_respond_is_total(raw: bytes) -> None:
    reply = respond(TABLE, raw, tcp=False)
    if reply is None:
        assert len(raw) < 12 or raw[2] & 0x80
        return
    assert reply[:2] == raw[:2]
    assert reply[2] & 0x80
    assert len(reply) <= 1232
    read(reply)
    read(cut(reply))


@given(messages)
def test_parsers_raise_nothing_but_their_error(raw: bytes) -> None:
    shape_of(raw[2:12], raw[12:])
    question_of(raw, tcp=False)
    for parse in (question_end, lambda raw: list(addresses(raw))):
        try:
            parse(raw)
        except PacketError:
            continue


@given(messages)
def test_an_answer_agrees_with_dnslib_about_the_question(raw: bytes) -> None:
    reply = respond(TABLE, raw, tcp=False)
    if reply is None or reply[4:6] == b"\0\0":
        return
    asked, answered = read(raw[:6] + bytes(6) + raw[12 : question_end(raw)]), read(reply)
    if asked is not None and answered is not None:
        assert asked.q == answered.q


label_bytes = st.lists(st.integers(0, 127), min_size=1, max_size=63).map(bytes)
names = st.lists(label_bytes, max_size=3)


@given(names, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_every_question_of_dnslib_is_read(name: list[bytes], kind: int, klass: int) -> None:
    question = b"".join(bytes((len(label),)) + label for label in name) + b"\0"
    raw = b"\0\1\0\0\0\1" + bytes(6) + question + kind.to_bytes(2) + klass.to_bytes(2)
    assert DNSRecord.parse(raw).q.qtype == kind
    assert question_end(raw) == len(raw)
    assert not isinstance(shape_of(raw[2:12], b""), Rcode)


@given(hosts)
def test_each_host_is_found_both_ways(hosts: dict[str, IPv4Address]) -> None:
    table = of(hosts)
    for host, address in hosts.items():
        name = f"{host}.rack.test"
        forward = respond(table, bytes(DNSRecord.question(name, "A").pack()), tcp=True)
        back = respond(table, bytes(DNSRecord.question(address.reverse_pointer, "PTR").pack()), tcp=True)
        assert forward is not None
        assert back is not None
        assert [str(rr.rdata) for rr in DNSRecord.parse(forward).rr] == [str(address)]
        assert f"{name}." in [str(rr.rdata) for rr in DNSRecord.parse(back).rr]


def forwarded() -> Question:
    found = question_of(VALID[16], tcp=False)
    assert found is not None
    return found


@given(st.binary(max_size=120), st.binary(min_size=34, max_size=34))
def test_no_rubbish_is_believed(noise: bytes, random: bytes) -> None:
    question = forwarded()
    asked = ask(question, random=random)
    assert believe(question, asked, noise, ()) is None
    answer = believe(question, asked, asked[:2] + b"\x81\x80" + asked[4 : question.end] + noise, ())
    assert answer is not None
    assert answer[:2] == question.raw[:2]
    assert DNSRecord.parse(asked).q.qname == "www.example.com"


@pytest.mark.parametrize("random", [bytes(34), b"\xff" * 34])
def test_memory_of_shapes_is_bounded(random: bytes) -> None:
    for number in range(5000):
        shape_of(random[:2] + b"\0\1" + bytes(6), number.to_bytes(4))
    info = packet._known_shape.cache_info()
    assert info.currsize <= (info.maxsize or 0) == 1024
