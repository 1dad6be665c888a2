"""Whom a proxyDHCP server answers, as a table over both ports; the spec's points are in tests/conformance."""

import contextlib
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxe.boot import Endpoints, answer
from pxe.dhcp.address import Address
from pxe.dhcp.packet import DhcpPacket, pack, parse
from pxe.dhcp.proxy import ProxyReply, Silence, acknowledge, boot_by, offer
from pxe.errors import PacketError

MAC = bytes.fromhex("525400000001")
SERVER = IPv4Address("10.0.0.1")
CLIENT = IPv4Address("10.0.0.50")
ENDPOINTS = Endpoints(address=SERVER)
US = Address(SERVER.packed)
BOOT_OF = boot_by(lambda client: answer(client, ENDPOINTS))

BIOS = {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0"}
EFI = {60: b"PXEClient:Arch:00007:UNDI:003000", 93: b"\0\7"}
HTTP = {60: b"HTTPClient:Arch:00016:UNDI:003000", 93: b"\0\x10"}
IPXE = EFI | {77: b"iPXE", 175: b"\x13\1\1"}
SYSTEM = {60: b"udhcp 1.35"}


def message(kind: int, options: Mapping[int, bytes], **fields: Any) -> DhcpPacket:
    return DhcpPacket(op=1, xid=7, chaddr=MAC, options={53: bytes((kind,)), **options}, **fields)


@pytest.mark.parametrize(
    ("options", "filename"),
    [
        (BIOS, "undionly.kpxe"),
        (EFI, "snponly.efi"),
        (HTTP, "http://10.0.0.1/nbp/snponly.efi"),
        (IPXE, "http://10.0.0.1/boot.ipxe?mac=52-54-00-00-00-01"),
        (EFI | {93: b"\0\6"}, None),
        (SYSTEM, None),
        ({}, None),
        # iPXE without the PXE vendor class asks for an address only.
        ({77: b"iPXE", 175: b"\x13\1\1"}, None),
    ],
)
def test_each_machine_gets_its_file_on_both_ports(options: dict[int, bytes], filename: str | None) -> None:
    offered = offer(message(1, options), US, BOOT_OF)
    acknowledged = acknowledge(message(3, options), Address(CLIENT.packed), 68, US, BOOT_OF)
    if filename is None:
        assert isinstance(offered, Silence)
        assert isinstance(acknowledged, Silence)
        assert offered.reason == acknowledged.reason
        return
    assert isinstance(offered, ProxyReply)
    assert offered.filename == filename
    if options is not HTTP:
        assert isinstance(acknowledged, ProxyReply)
        assert (acknowledged.filename, acknowledged.packet.file) == (filename, filename.encode())


@pytest.mark.parametrize("kind", [2, 3, 4, 5, 6, 7, 8, 99])
def test_port_67_answers_only_discover(kind: int) -> None:
    assert isinstance(offer(message(kind, EFI), US, BOOT_OF), Silence)


@pytest.mark.parametrize("kind", [1, 2, 4, 5, 6, 7, 99])
def test_port_4011_answers_only_request_and_inform(kind: int) -> None:
    assert isinstance(acknowledge(message(kind, EFI), Address(CLIENT.packed), 68, US, BOOT_OF), Silence)


def test_replies_and_other_networks_are_not_answered() -> None:
    for packet in (message(1, EFI)._replace(op=2), message(1, EFI)._replace(htype=6), DhcpPacket(1, 7, MAC)):
        assert isinstance(offer(packet, US, BOOT_OF), Silence)


def test_request_without_an_address_cannot_be_answered() -> None:
    assert isinstance(acknowledge(message(3, EFI), Address(bytes(4)), 68, US, BOOT_OF), Silence)


@pytest.mark.parametrize(
    ("fields", "address", "port"),
    [
        ({}, "255.255.255.255", 68),
        ({"giaddr": Address(b"\x0a\1\0\1")}, "10.1.0.1", 67),
        ({"ciaddr": Address(b"\x0a\0\0\x32")}, "10.0.0.50", 68),
    ],
    ids=["broadcast", "relay", "renewing"],
)
def test_where_the_offer_goes(fields: dict[str, Address], address: str, port: int) -> None:
    reply = offer(message(1, EFI, **fields), US, BOOT_OF)
    assert isinstance(reply, ProxyReply)
    assert (reply.address, reply.port) == (IPv4Address(address), port)


CODES = st.sampled_from([43, 53, 54, 55, 57, 60, 61, 66, 67, 77, 82, 93, 97, 175])
VALUES = st.one_of(st.binary(max_size=300), st.sampled_from([b"\1", b"\3", *EFI.values(), *HTTP.values()]))


@given(st.dictionaries(CODES, VALUES), st.binary(max_size=16), st.integers(0, 2))
def test_hostile_packets_are_answered_or_not_and_nothing_else(
    options: dict[int, bytes], chaddr: bytes, op: int
) -> None:
    packet = DhcpPacket(op=op, xid=7, chaddr=chaddr, options=options)
    for outcome in (offer(packet, US, BOOT_OF), acknowledge(packet, Address(CLIENT.packed), 68, US, BOOT_OF)):
        if isinstance(outcome, ProxyReply):
            # What it wants echoed may not fit into a frame.
            with contextlib.suppress(PacketError):
                assert parse(pack(outcome.packet)).xid == 7
