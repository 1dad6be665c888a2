"""The DHCP codec: total on any bytes, its own inverse, and of one mind with scapy. The decisions: total as well."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxe.boot import Endpoints, answer
from pxe.dhcp.address import Address
from pxe.dhcp.exchange import Reply, Request
from pxe.dhcp.packet import DhcpPacket, client_of, pack, parse
from pxe.dhcp.policy import Policy
from pxe.dhcp.responder import respond
from pxe.dhcp.subnet import DhcpConfig, Subnet
from pxe.errors import PacketError

addresses = st.binary(min_size=4, max_size=4).map(Address)


def texts(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(max_size=size).filter(lambda value: b"\0" not in value)


codes = st.integers(1, 254).filter(lambda code: code != 52)
packets = st.builds(
    DhcpPacket,
    op=st.sampled_from([1, 2]),
    htype=st.integers(0, 255),
    hops=st.integers(0, 255),
    xid=st.integers(0, 0xFFFFFFFF),
    secs=st.integers(0, 0xFFFF),
    flags=st.integers(0, 0xFFFF),
    ciaddr=addresses,
    yiaddr=addresses,
    siaddr=addresses,
    giaddr=addresses,
    chaddr=st.binary(max_size=16),
    sname=texts(64),
    file=texts(128),
    options=st.dictionaries(codes, st.binary(max_size=40) | st.binary(min_size=250, max_size=520), max_size=8),
)


@given(packets)
def test_parse_undoes_pack(packet: DhcpPacket) -> None:
    data = pack(packet, maximum=9000)
    again = parse(data)
    assert again == packet
    assert list(again.options) == list(packet.options)
    assert len(data) >= 300


@given(packets, st.integers(548, 1472))
def test_packed_length_never_exceeds_the_maximum(packet: DhcpPacket, maximum: int) -> None:
    try:
        data = pack(packet, maximum=maximum)
    except PacketError:
        return
    assert len(data) <= maximum
    assert parse(data) == packet


def parse_all(data: bytes) -> None:
    try:
        packet = parse(data)
    except PacketError:
        return
    pack(packet, maximum=20000)
    try:
        client_of(packet)
    except PacketError:
        return


@given(st.binary(max_size=700))
def test_random_bytes_raise_nothing_but_packet_error(data: bytes) -> None:
    parse_all(data)


@given(st.binary(max_size=400))
def test_random_options_raise_nothing_but_packet_error(options: bytes) -> None:
    parse_all(pack(DhcpPacket(op=1, xid=1, chaddr=bytes(6)))[:240] + options)


@given(packets, st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6), st.integers(0, 600))
def test_mutated_bytes_raise_nothing_but_packet_error(
    packet: DhcpPacket, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(pack(packet, maximum=9000))
    for position, value in changes:
        data[position % len(data)] = value
    parse_all(bytes(data[: len(data) - cut]))


@given(packets)
def test_scapy_reads_the_same_header_and_options(packet: DhcpPacket) -> None:
    dhcp = pytest.importorskip("scapy.layers.dhcp")
    # Site-specific codes: scapy has no names and types for them, so it shows the bytes as they are.
    raw = {224 + code % 30: value for code, value in packet.options.items() if 0 < len(value) < 256}
    ours = DhcpPacket(op=packet.op, xid=packet.xid, chaddr=packet.chaddr, ciaddr=packet.ciaddr, options=raw)
    read = dhcp.BOOTP(pack(ours, maximum=9000))
    assert (read.op, read.xid, read.ciaddr) == (ours.op, ours.xid, str(IPv4Address(ours.ciaddr)))
    assert read.chaddr[: read.hlen] == ours.chaddr
    shown = [option for option in read[dhcp.DHCP].options if isinstance(option, tuple)] if raw else []
    assert dict(shown) == raw


NETWORK = IPv4Network("10.0.0.0/24")
POLICY = Policy(
    DhcpConfig(local=(Subnet(network=NETWORK, server=NETWORK[1], pool_first=NETWORK[10], pool_last=NETWORK[12]),)),
    lambda client, chain: answer(client, Endpoints(address=NETWORK[1]), chain),
)
nearby = st.sampled_from([bytes(4), NETWORK[1].packed, NETWORK[10].packed, NETWORK[12].packed, b"\xc0\0\2\1"])
telling = st.fixed_dictionaries(
    {53: st.integers(0, 9).map(lambda kind: bytes((kind,)))},
    optional={
        50: nearby | st.binary(max_size=5),
        54: nearby | st.binary(max_size=5),
        55: st.binary(max_size=300),
        57: st.binary(max_size=3),
        60: st.sampled_from([b"PXEClient:Arch:00007:UNDI:003000", b"HTTPClient", b"udhcp"]),
        61: st.binary(max_size=300),
        82: st.binary(max_size=300),
        93: st.binary(max_size=5),
        97: st.binary(max_size=18),
    },
)


@given(st.lists(st.tuples(packets, telling, nearby, nearby, nearby, st.integers(1, 3)), min_size=1, max_size=6))
def test_any_conversation_is_decided_and_every_reply_can_be_read(
    said: list[tuple[DhcpPacket, dict[int, bytes], bytes, bytes, bytes, int]],
) -> None:
    tables, _ = POLICY.tables(())
    for packet, options, ciaddr, giaddr, source, machine in said:
        asked = packet._replace(
            op=1,
            htype=1,
            chaddr=bytes((2, 0, 0, 0, 0, machine)),
            ciaddr=Address(ciaddr),
            giaddr=Address(giaddr),
            options={**packet.options, **options},
        )
        outcome = respond(Request(asked, Address(source), 1000), POLICY, tables)
        if isinstance(outcome, Reply):
            assert 300 <= len(outcome.data) <= 1472
            read = parse(outcome.data)
            assert (read.op, read.xid, read.chaddr) == (2, asked.xid, asked.chaddr)
            if outcome.change is not None:
                tables[outcome.link].apply(outcome.change)
    leased = [lease.address for lease in tables[0].leases()]
    assert len(leased) == len(set(leased)) <= 3
