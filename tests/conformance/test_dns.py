"""DNS as the RFCs have it: bytes in, bytes out."""

import socket
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

import pytest

from pxe.dns.forward import question_of
from pxe.dns.packet import Address, Alias, Service, Text
from pxe.dns.responder import Zone, respond, table_of
from pxe.dns.server import DnsServer
from pxe.errors import ConfigError

ADDRESS = IPv4Address("127.53.0.3")
ZONE = Zone(
    domain="rack.test",
    server=IPv4Address("10.0.0.1"),
    hosts={"n1": IPv4Address("10.0.0.11"), "a.b": IPv4Address("10.0.0.12")}
    | {f"many-{n:03}": IPv4Address("10.0.0.99") for n in range(80)},
    networks=(IPv4Network("10.0.0.0/23"),),
    serial=7,
    ttl=45,
    records=(
        Address(name="*.w.rack.test", address=IPv4Address("10.0.0.20")),
        Address(name="x.w.rack.test", address=IPv4Address("10.0.0.21")),
        Alias(name="c.rack.test", target="n1.rack.test"),
        Text(name="t.rack.test", strings=(b"hello", b"world")),
        Service(name="_etcd-server-ssl._tcp.rack.test", priority=1, weight=2, port=2380, target="n1.rack.test"),
    ),
)
TABLE = table_of(ZONE)
A, NS, CNAME, SOA, PTR, TXT, AAAA, SRV, IXFR, AXFR, ANY = 1, 2, 5, 6, 12, 16, 28, 33, 251, 252, 255
NOERROR, FORMERR, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 3, 4, 5
OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
TTL = (45).to_bytes(4)


def name(text: str) -> bytes:
    return b"".join(bytes((len(label),)) + label.encode() for label in text.split(".") if label) + b"\0"


def query(
    text: str, kind: int = A, *, klass: int = 1, flags: int = 0, additional: bytes = b"", count: int | None = None
) -> bytes:
    records = int(bool(additional)) if count is None else count
    head = b"\xbe\xef" + flags.to_bytes(2) + b"\0\1\0\0\0\0" + records.to_bytes(2)
    return head + name(text) + kind.to_bytes(2) + klass.to_bytes(2) + additional


def answer(raw: bytes, *, tcp: bool = False) -> bytes:
    reply = respond(TABLE, raw, tcp=tcp)
    assert reply is not None
    assert reply[:2] == raw[:2]
    return reply


def rcode(reply: bytes) -> int:
    return reply[3] & 0xF


def counts(reply: bytes) -> tuple[int, ...]:
    """Questions, answers, authority, additional."""
    return tuple(int.from_bytes(reply[at : at + 2]) for at in range(4, 12, 2))


def record(owner: bytes, kind: int, data: bytes) -> bytes:
    return owner + kind.to_bytes(2) + b"\0\1" + TTL + len(data).to_bytes(2) + data


SOA_DATA = (
    name("ns.rack.test") + name("hostmaster.rack.test") + b"".join(n.to_bytes(4) for n in (7, 3600, 600, 86_400, 45))
)
SOA_RECORD = record(name("rack.test"), SOA, SOA_DATA)
ASKED = b"\xc0\x0c"


def test_rfc1035_4_1_an_answer_byte_for_byte() -> None:
    raw = query("n1.rack.test")
    head = b"\xbe\xef\x84\0" + b"\0\1\0\1\0\0\0\0"
    assert answer(raw) == head + raw[12:] + record(ASKED, A, bytes((10, 0, 0, 11)))


def test_rfc1035_4_1_1_aa_is_set_and_ra_is_not() -> None:
    reply = answer(query("n1.rack.test"))
    assert (reply[2] & 0x04, reply[3] & 0x80) == (0x04, 0)


@pytest.mark.parametrize("flags", [0, 0x0100])
def test_rfc1035_4_1_1_rd_is_copied(flags: int) -> None:
    for text in ("n1.rack.test", "no.rack.test", "example.com"):
        assert answer(query(text, flags=flags))[2] & 1 == flags >> 8


def test_rfc1035_4_1_1_z_bits_and_ad_cd_are_not_copied() -> None:
    assert answer(query("n1.rack.test", flags=0x0070))[3] == 0


def test_rfc1035_4_1_1_a_response_is_not_answered() -> None:
    assert respond(TABLE, query("n1.rack.test", flags=0x8000), tcp=False) is None


@pytest.mark.parametrize("opcode", [1, 2, 4, 5, 6, 15])
def test_rfc1035_4_1_1_other_opcodes_are_not_implemented(opcode: int) -> None:
    reply = answer(query("n1.rack.test", flags=opcode << 11))
    assert (rcode(reply), reply[2] >> 3 & 0xF, counts(reply)) == (NOTIMP, opcode, (0, 0, 0, 0))


@pytest.mark.parametrize("count", [0, 2, 65_535])
def test_rfc9619_qdcount_other_than_one_is_a_format_error(count: int) -> None:
    raw = query("n1.rack.test")
    assert rcode(answer(raw[:4] + count.to_bytes(2) + raw[6:])) == FORMERR


def test_rfc1035_2_3_3_names_are_compared_without_case() -> None:
    assert answer(query("N1.RACK.Test"))[-4:] == bytes((10, 0, 0, 11))


@pytest.mark.parametrize("text", ["N1.RaCk.tEsT", "nO.rAcK.TeSt", "eXaMpLe.CoM"])
def test_rfc1035_4_1_2_the_question_comes_back_with_its_case(text: str) -> None:
    assert answer(query(text))[12 : 12 + len(name(text))] == name(text)


def test_rfc1035_2_3_4_a_label_over_63_bytes_is_a_format_error() -> None:
    raw = query("n1.rack.test")
    assert rcode(answer(raw[:12] + b"\x40" + b"a" * 64 + raw[12:])) == FORMERR


def test_rfc1035_2_3_4_a_name_over_255_bytes_is_a_format_error() -> None:
    assert rcode(answer(query("a." * 127))) == REFUSED
    assert rcode(answer(query("a." * 128))) == FORMERR


@pytest.mark.parametrize("pointer", [b"\xc0\x0c", b"\xc0\x0d\0", b"\xff\xff", b"\1a\xc0\x0c"])
def test_rfc1035_4_1_4_pointers_in_the_question_lead_nowhere(pointer: bytes) -> None:
    assert rcode(answer(query("n1.rack.test")[:12] + pointer + b"\0\1\0\1")) == FORMERR


def test_rfc1035_4_1_bytes_behind_the_message_are_a_format_error() -> None:
    assert rcode(answer(query("n1.rack.test") + b"\0")) == FORMERR


def test_rfc1035_4_2_1_without_edns_512_bytes_then_tc() -> None:
    raw = query("99.0.0.10.in-addr.arpa", PTR)
    reply = answer(raw)
    assert (reply[2] & 2, counts(reply), len(reply)) == (2, (1, 0, 0, 0), len(raw))


def test_rfc1035_4_2_2_over_tcp_the_answer_is_whole() -> None:
    reply = answer(query("99.0.0.10.in-addr.arpa", PTR), tcp=True)
    assert (reply[2] & 2, counts(reply)) == (0, (1, 80, 0, 0))


def test_rfc1035_3_5_the_reverse_zone_is_complete() -> None:
    """Both /24 of the /23 are ours, addresses without a host included; the server has its name too."""
    assert answer(query("11.0.0.10.in-addr.arpa", PTR)).endswith(name("n1.rack.test"))
    assert answer(query("1.0.0.10.in-addr.arpa", PTR)).endswith(name("ns.rack.test"))
    assert rcode(answer(query("11.1.0.10.in-addr.arpa", PTR))) == NXDOMAIN
    assert rcode(answer(query("11.2.0.10.in-addr.arpa", PTR))) == REFUSED


def test_rfc1034_4_3_2_outside_our_zones_is_refused() -> None:
    for text in ("example.com", "test", "", "xrack.test"):
        reply = answer(query(text))
        assert (rcode(reply), reply[2] & 4, counts(reply)) == (REFUSED, 0, (1, 0, 0, 0))


def test_rfc1034_3_6_2_an_alias_and_its_target() -> None:
    reply = answer(query("c.rack.test"))
    target = name("n1.rack.test")
    assert reply.endswith(record(ASKED, CNAME, target) + record(target, A, bytes((10, 0, 0, 11))))
    assert counts(answer(query("c.rack.test", CNAME))) == (1, 1, 0, 0)


def test_rfc1034_3_6_2_an_alias_without_the_type_has_the_soa() -> None:
    assert counts(answer(query("c.rack.test", AAAA))) == (1, 1, 1, 0)


@pytest.mark.parametrize(
    "aliases",
    [
        (Alias(name="l.rack.test", target="l.rack.test"),),
        (Alias(name="l.rack.test", target="m.rack.test"), Alias(name="m.rack.test", target="l.rack.test")),
        (Alias(name="rack.test", target="n.rack.test"),),
    ],
)
def test_rfc1912_2_4_alias_loops_and_apex_are_refused_at_load(aliases: tuple[Alias, ...]) -> None:
    with pytest.raises(ConfigError):
        table_of(Zone(domain="rack.test", server=ADDRESS, records=aliases))


def test_rfc1035_3_3_13_soa_of_the_apex() -> None:
    assert answer(query("rack.test", SOA)).endswith(record(ASKED, SOA, SOA_DATA))


def test_rfc1035_3_3_11_ns_with_its_address() -> None:
    glue = record(name("ns.rack.test"), A, bytes((10, 0, 0, 1)))
    assert answer(query("rack.test", NS)).endswith(record(ASKED, NS, name("ns.rack.test")) + glue)


def test_rfc1035_3_3_14_txt() -> None:
    assert answer(query("t.rack.test", TXT)).endswith(record(ASKED, TXT, b"\5hello\5world"))


def test_rfc2782_srv_target_is_not_compressed_and_its_address_goes_along() -> None:
    data = b"\0\1\0\2" + (2380).to_bytes(2) + name("n1.rack.test")
    glue = record(name("n1.rack.test"), A, bytes((10, 0, 0, 11)))
    assert answer(query("_etcd-server-ssl._tcp.rack.test", SRV)).endswith(record(ASKED, SRV, data) + glue)


def test_rfc2308_2_1_nxdomain_carries_the_soa() -> None:
    reply = answer(query("no.rack.test"))
    assert (rcode(reply), reply[2] & 4, counts(reply)) == (NXDOMAIN, 4, (1, 0, 1, 0))
    assert reply.endswith(SOA_RECORD)


def test_rfc2308_2_2_nodata_carries_the_soa() -> None:
    reply = answer(query("n1.rack.test", AAAA))
    assert (rcode(reply), reply[2] & 4, counts(reply)) == (NOERROR, 4, (1, 0, 1, 0))
    assert reply.endswith(SOA_RECORD)


def test_rfc2308_3_the_soa_lives_as_long_as_its_minimum() -> None:
    reply = answer(query("no.rack.test"))
    at = reply.index(SOA_RECORD) + len(name("rack.test")) + 4
    assert reply[at : at + 4] == reply[-4:] == TTL


def test_rfc8020_2_a_name_above_others_is_no_nxdomain() -> None:
    assert rcode(answer(query("b.rack.test"))) == NOERROR
    assert rcode(answer(query("c.b.rack.test"))) == NXDOMAIN


def test_rfc4592_2_2_1_a_wildcard_answers_for_names_that_do_not_exist() -> None:
    for text in ("q.w.rack.test", "q.q.w.rack.test"):
        assert answer(query(text)).endswith(record(ASKED, A, bytes((10, 0, 0, 20))))


def test_rfc4592_2_2_1_what_exists_is_not_the_wildcards() -> None:
    assert answer(query("x.w.rack.test"))[-4:] == bytes((10, 0, 0, 21))
    assert rcode(answer(query("below.x.w.rack.test"))) == NXDOMAIN
    assert counts(answer(query("w.rack.test"))) == (1, 0, 1, 0)


def test_rfc4592_2_2_1_a_wildcard_without_the_type_is_nodata() -> None:
    reply = answer(query("q.w.rack.test", AAAA))
    assert (rcode(reply), counts(reply)) == (NOERROR, (1, 0, 1, 0))


@pytest.mark.parametrize("kind", [65, 99, 0xFF00, 0xFFFF])
def test_rfc3597_unknown_types_are_nodata(kind: int) -> None:
    reply = answer(query("n1.rack.test", kind))
    assert (rcode(reply), counts(reply)) == (NOERROR, (1, 0, 1, 0))


@pytest.mark.parametrize("klass", [3, 4, 0xFEFE])
def test_rfc3597_other_classes_are_refused(klass: int) -> None:
    assert rcode(answer(query("n1.rack.test", klass=klass))) == REFUSED


def test_rfc6891_6_1_1_opt_is_answered_with_opt_and_only_then() -> None:
    assert answer(query("n1.rack.test", additional=OPT)).endswith(OPT)
    assert counts(answer(query("n1.rack.test", additional=OPT))) == (1, 1, 0, 1)
    assert counts(answer(query("n1.rack.test"))) == (1, 1, 0, 0)


@pytest.mark.parametrize("text", ["n1.rack.test", "no.rack.test", "example.com"])
def test_rfc6891_6_1_1_two_opt_are_a_format_error(text: str) -> None:
    assert rcode(answer(query(text, additional=OPT * 2, count=2))) == FORMERR


def test_rfc6891_6_1_2_opt_belongs_to_the_root() -> None:
    assert rcode(answer(query("n1.rack.test", additional=b"\1a" + OPT))) == FORMERR


def test_rfc6891_6_1_2_options_must_fit() -> None:
    assert rcode(answer(query("n1.rack.test", additional=OPT[:-1] + b"\3\0\x0a\0"))) == FORMERR
    assert rcode(answer(query("n1.rack.test", additional=OPT[:-1] + b"\x05\0\x0a\0\x09x"))) == FORMERR


def test_rfc6891_6_1_3_another_version_is_badvers() -> None:
    reply = answer(query("n1.rack.test", additional=OPT[:6] + b"\1" + OPT[7:]))
    assert (rcode(reply), counts(reply)) == (0, (1, 0, 0, 1))
    assert reply[-6:-4] == b"\1\0"


@pytest.mark.parametrize("size", [0, 511, 512, 1232, 4096, 65_535])
def test_rfc6891_6_2_5_never_over_1232_and_512_always_fits(size: int) -> None:
    raw = query("99.0.0.10.in-addr.arpa", PTR, additional=OPT[:3] + size.to_bytes(2) + OPT[5:])
    reply = answer(raw)
    assert (reply[2] & 2, counts(reply), len(reply)) == (2, (1, 0, 0, 1), len(raw))
    plain = answer(query("n1.rack.test", additional=OPT[:3] + size.to_bytes(2) + OPT[5:]))
    assert plain[2] & 2 == 0


def test_rfc3225_3_do_is_copied() -> None:
    assert answer(query("n1.rack.test", additional=OPT[:7] + b"\x80\0\0\0"))[-4:-2] == b"\x80\0"


def test_rfc7873_5_2_a_cookie_is_ignored() -> None:
    cookie = OPT[:-1] + b"\x0c\0\x0a\0\x08cookies!"
    assert answer(query("n1.rack.test", additional=cookie)).endswith(OPT)


def test_rfc8482_4_1_any_gets_one_record_set() -> None:
    reply = answer(query("rack.test", ANY))
    assert (rcode(reply), counts(reply)[1]) == (NOERROR, 1)


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("kind", [AXFR, IXFR])
def test_rfc5936_2_2_1_zone_transfer_is_refused(kind: int, tcp: bool) -> None:
    reply = answer(query("rack.test", kind), tcp=tcp)
    assert (rcode(reply), counts(reply)) == (REFUSED, (1, 0, 0, 0))


def test_rfc6303_4_2_private_reverse_names_are_not_forwarded() -> None:
    for text in ("1.1.168.192.in-addr.arpa", "1.9.9.10.in-addr.arpa", "1.1.31.172.in-addr.arpa"):
        assert question_of(query(text, PTR, flags=0x0100), tcp=False) is None
    assert question_of(query("8.8.8.8.in-addr.arpa", PTR, flags=0x0100), tcp=False) is not None


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


@pytest.fixture
def stream() -> Iterator[socket.socket]:
    server = DnsServer(address=ADDRESS, port=0, zone=ZONE, clock=SystemClock())
    server.start()
    with socket.create_connection((str(ADDRESS), server.port), 10) as sock:
        yield sock
    server.stop()


def framed(raw: bytes) -> bytes:
    return len(raw).to_bytes(2) + raw


def next_message(stream: socket.socket) -> bytes:
    length = int.from_bytes(stream.recv(2, socket.MSG_WAITALL))
    return stream.recv(length, socket.MSG_WAITALL)


def test_rfc7766_6_2_1_1_queries_may_follow_each_other(stream: socket.socket) -> None:
    queries = [number.to_bytes(2) + query("n1.rack.test")[2:] for number in range(50)]
    stream.sendall(b"".join(framed(raw) for raw in queries))
    assert [next_message(stream)[:2] for _ in queries] == [raw[:2] for raw in queries]


def test_rfc7766_8_a_message_may_come_in_pieces(stream: socket.socket) -> None:
    for byte in framed(query("n1.rack.test")):
        stream.sendall(bytes((byte,)))
    assert next_message(stream) == answer(query("n1.rack.test"), tcp=True)


def test_rfc7766_6_2_1_the_connection_outlives_an_error(stream: socket.socket) -> None:
    stream.sendall(framed(b"rubbish") + framed(query("n1.rack.test")[:20]) + framed(query("n1.rack.test")))
    assert rcode(next_message(stream)) == FORMERR
    assert rcode(next_message(stream)) == NOERROR
