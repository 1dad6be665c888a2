"""The codecs below DHCP: ARP, ICMP echo, and UDP in Ethernet frames; scapy is the oracle."""

import struct
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from pxe.dhcp import arp, icmp
from pxe.dhcp.frame import Datagram, checksum, pack_datagram, parse_datagram
from pxe.errors import PacketError

MAC = bytes.fromhex("525400000001")
OTHER = bytes.fromhex("525400000002")
ADDRESS = bytes((10, 0, 0, 10))
DATAGRAM = Datagram(
    source_mac=MAC,
    target_mac=OTHER,
    source=IPv4Address("10.0.0.1"),
    target=IPv4Address("10.0.0.2"),
    source_port=67,
    target_port=68,
    payload=b"hello",
)


def test_probe_has_the_shape_of_rfc5227() -> None:
    frame = arp.pack_probe(MAC, ADDRESS)
    seen = Ether(frame)
    assert (seen.dst, seen.src, len(frame)) == ("ff:ff:ff:ff:ff:ff", "52:54:00:00:00:01", 60)
    assert (seen[ARP].op, seen[ARP].hwsrc, seen[ARP].psrc) == (1, "52:54:00:00:00:01", "0.0.0.0")
    assert (seen[ARP].hwdst, seen[ARP].pdst) == ("00:00:00:00:00:00", "10.0.0.10")


def test_reply_is_read() -> None:
    reply = Ether(dst=MAC, src=OTHER) / ARP(op=2, hwsrc=OTHER, psrc="10.0.0.10", hwdst=MAC, pdst="0.0.0.0")
    assert arp.parse(bytes(reply)) == arp.Arp(
        operation=arp.REPLY, sender_mac=OTHER, sender=ADDRESS, target_mac=MAC, target=bytes(4)
    )


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        arp.pack_probe(MAC, ADDRESS)[:41],
        bytes(60),
        arp.pack_probe(MAC, ADDRESS)[:14] + struct.pack("!HHBB", 6, 0x0800, 6, 4) + bytes(40),
    ],
    ids=["empty", "cut off", "not ARP", "not Ethernet"],
)
def test_other_frames_are_no_arp(frame: bytes) -> None:
    with pytest.raises(PacketError):
        arp.parse(frame)


def test_echo_is_what_scapy_makes() -> None:
    assert icmp.pack_echo(0x1234, 7) == bytes(ICMP(type=8, id=0x1234, seq=7))


def test_echo_reply_is_read_behind_ip_options() -> None:
    reply = bytes(IP(src="10.0.0.10", dst="10.0.0.1", options=[b"\1\1\1\0"]) / ICMP(type=0, id=0x1234, seq=7))
    assert icmp.parse_reply(reply) == icmp.EchoReply(source=ADDRESS, identifier=0x1234, sequence=7)


def test_unreachable_is_no_echo_reply() -> None:
    with pytest.raises(PacketError):
        icmp.parse_reply(bytes(IP(src="10.0.0.10") / ICMP(type=3, code=1) / bytes(28)))


def test_datagram_is_what_scapy_reads() -> None:
    seen = Ether(pack_datagram(DATAGRAM))
    assert (seen.src, seen.dst) == ("52:54:00:00:00:01", "52:54:00:00:00:02")
    assert (seen[IP].src, seen[IP].dst, seen[UDP].sport, seen[UDP].dport) == ("10.0.0.1", "10.0.0.2", 67, 68)
    assert bytes(seen[Raw]) == b"hello"
    sums = (seen[IP].chksum, seen[UDP].chksum)
    del seen[IP].chksum, seen[UDP].chksum
    again = Ether(bytes(seen))
    assert sums == (again[IP].chksum, again[UDP].chksum)


@given(st.binary(max_size=64))
def test_datagram_comes_back(payload: bytes) -> None:
    datagram = Datagram(
        source_mac=MAC,
        target_mac=OTHER,
        source=IPv4Address("10.0.0.1"),
        target=IPv4Address("255.255.255.255"),
        source_port=1,
        target_port=65535,
        payload=payload,
    )
    # Ethernet pads short frames; the padding is no payload.
    assert parse_datagram(pack_datagram(datagram).ljust(60, b"\0")) == datagram


def test_fragments_and_other_protocols_are_refused() -> None:
    whole = Ether(pack_datagram(DATAGRAM))
    for change in ({"flags": "MF"}, {"frag": 10}, {"proto": 6}, {"version": 6}, {"ihl": 4}, {"len": 2000}):
        frame = whole.copy()
        for field, value in change.items():
            setattr(frame[IP], field, value)
        with pytest.raises(PacketError):
            parse_datagram(bytes(frame))


@given(st.binary(max_size=80))
def test_decoders_are_total(junk: bytes) -> None:
    prefix = pack_datagram(DATAGRAM)
    for decode in (arp.parse, icmp.parse_reply, parse_datagram):
        for data in (junk, prefix[: 60 - len(junk) % 60] + junk, arp.pack_probe(MAC, ADDRESS)[:14] + junk):
            try:
                decode(data)
            except PacketError:
                continue


def test_checksum_of_rfc1071() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == ~0xDDF2 & 0xFFFF
    assert checksum(b"\1") == ~0x0100 & 0xFFFF
