from ipaddress import IPv4Address

from dnslib import DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from pxe.dns.responder import Zone, ZoneTable, respond

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
addresses = st.integers(0x0A000001, 0x0A00FFFF).map(IPv4Address)
hosts = st.dictionaries(labels.filter(lambda name: name != "ns"), addresses, max_size=8)


def table_of(hosts: dict[str, IPv4Address]) -> ZoneTable:
    return ZoneTable.from_zone(Zone(domain="rack.test", server=IPv4Address("10.0.0.1"), hosts=hosts))


TABLE = table_of({"a": IPv4Address("10.0.0.2")})
headers = st.integers(0, 0xFFFF).map(lambda number: number.to_bytes(2))


@given(st.binary(max_size=200) | st.tuples(headers, st.binary(max_size=120)).map(
    lambda parts: parts[0] + b"\1\0\0\1\0\0\0\0\0\0" + parts[1]
))  # fmt: skip
def test_respond_is_total(raw: bytes) -> None:
    reply = respond(TABLE, raw, tcp=False)
    if reply is not None:
        assert reply.raw[:2] == raw[:2]
        assert reply.raw[2] & 0x80
        assert len(reply.raw) <= 1232
        DNSRecord.parse(reply.raw)


@given(hosts)
def test_each_host_is_found_both_ways(hosts: dict[str, IPv4Address]) -> None:
    table = table_of(hosts)
    for host, address in hosts.items():
        name = f"{host}.rack.test"
        forward = respond(table, DNSRecord.question(name, "A").pack(), tcp=True)
        back = respond(table, DNSRecord.question(address.reverse_pointer, "PTR").pack(), tcp=True)
        assert forward is not None
        assert back is not None
        assert [str(rr.rdata) for rr in DNSRecord.parse(forward.raw).rr] == [str(address)]
        assert f"{name}." in [str(rr.rdata) for rr in DNSRecord.parse(back.raw).rr]
