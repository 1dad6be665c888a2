"""proxyDHCP: Preboot Execution Environment 2.1, RFC 4578, and what firmware makes of them. Each test is one point."""

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any

import pytest

from pxe.boot import Endpoints, answer
from pxe.dhcp.address import Address
from pxe.dhcp.packet import DhcpPacket, pack, parse
from pxe.dhcp.proxy import ProxyReply, acknowledge, boot_by, offer

MAC = bytes.fromhex("525400000001")
SERVER = IPv4Address("10.0.0.1")
CLIENT = IPv4Address("10.0.0.50")
ENDPOINTS = Endpoints(address=SERVER, http_port=8080)
US = Address(SERVER.packed)
BOOT_OF = boot_by(lambda client: answer(client, ENDPOINTS))
NOWHERE = bytes(4)
GUID = b"\0" + bytes(range(16))

EFI = {60: b"PXEClient:Arch:00007:UNDI:003000", 93: b"\0\7", 94: b"\1\3\0", 97: GUID}
BIOS = {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0", 94: b"\1\2\1", 97: GUID}
HTTP = {60: b"HTTPClient:Arch:00016:UNDI:003000", 93: b"\0\x10", 97: GUID}
IPXE = BIOS | {77: b"iPXE", 175: b"\x13\1\1"}


def ask(kind: int, options: Mapping[int, bytes], chaddr: bytes = MAC, **fields: Any) -> DhcpPacket:
    """Through the bytes: what counts is what arrives."""
    packet = DhcpPacket(op=1, xid=0xDEADBEEF, chaddr=chaddr, options={53: bytes((kind,)), **options}, **fields)
    return parse(pack(packet))


def offered(options: Mapping[int, bytes], **fields: Address) -> DhcpPacket:
    reply = offer(ask(1, options, **fields), US, BOOT_OF)
    assert isinstance(reply, ProxyReply), reply
    return parse(pack(reply.packet))


def acknowledged(options: Mapping[int, bytes], kind: int = 3) -> ProxyReply:
    reply = acknowledge(ask(kind, options, ciaddr=Address(CLIENT.packed)), Address(CLIENT.packed), 68, US, BOOT_OF)
    assert isinstance(reply, ProxyReply), reply
    return reply


def sub_options(area: bytes) -> dict[int, bytes]:
    found, position = {}, 0
    while area[position] != 255:
        found[area[position]] = area[position + 2 : position + 2 + area[position + 1]]
        position += 2 + area[position + 1]
    assert position == len(area) - 1
    return found


def test_pxe21_2_2_3_offer_of_a_proxy_has_no_address() -> None:
    packet = offered(EFI)
    assert (packet.op, packet.options[53], packet.yiaddr) == (2, b"\2", NOWHERE)
    assert not {1, 3, 51, 58, 59} & set(packet.options), "no lease, no network"


def test_pxe21_2_2_3_offer_is_marked_pxeclient() -> None:
    assert offered(EFI).options[60] == b"PXEClient"


def test_pxe21_2_2_3_discovery_control_8_skips_boot_server_discovery() -> None:
    assert sub_options(offered(EFI).options[43]) == {6: b"\x08"}


def test_pxe21_2_2_3_offer_has_no_menu_and_no_prompt() -> None:
    assert not {8, 9, 10} & set(sub_options(offered(BIOS).options[43]))


def test_rfc4578_2_3_machine_identifier_is_echoed() -> None:
    assert offered(EFI).options[97] == GUID
    assert acknowledged(EFI).packet.options[97] == GUID


@pytest.mark.parametrize(
    ("arch", "file"),
    [
        (0, b"undionly.kpxe"),
        (7, b"snponly.efi"),
        (9, b"snponly.efi"),
    ],
)
def test_rfc4578_2_1_file_follows_the_architecture(arch: int, file: bytes) -> None:
    assert offered(EFI | {93: arch.to_bytes(2)}).file == file


def test_rfc4578_2_1_first_known_of_several_architectures_counts() -> None:
    assert offered(EFI | {93: b"\0\x63\0\7"}).file == b"snponly.efi"


def test_pxe21_boot_file_and_server_stand_in_header_and_options() -> None:
    packet = offered(EFI)
    assert (packet.siaddr, packet.file) == (SERVER.packed, b"snponly.efi")
    assert (packet.options[66], packet.options[67]) == (b"10.0.0.1", b"snponly.efi")
    assert packet.options[54] == SERVER.packed


def test_rfc2131_4_1_client_without_an_address_gets_a_broadcast() -> None:
    reply = offer(ask(1, EFI), US, BOOT_OF)
    assert isinstance(reply, ProxyReply)
    assert (reply.address, reply.port) == (IPv4Address("255.255.255.255"), 68)
    assert reply.packet.flags & 0x8000


def test_rfc2131_4_1_relayed_offer_goes_to_port_67_of_the_relay() -> None:
    reply = offer(ask(1, EFI | {82: b"\1\4eth1"}, giaddr=Address(b"\x0a\1\0\1")), US, BOOT_OF)
    assert isinstance(reply, ProxyReply)
    assert (reply.address, reply.port, reply.packet.giaddr) == (IPv4Address("10.1.0.1"), 67, b"\x0a\1\0\1")
    assert list(reply.packet.options)[-1] == 82, "RFC 3046 section 2.2: relay information last"


def test_rfc2131_table_3_transaction_and_hardware_address_are_copied() -> None:
    packet = offered(EFI)
    assert (packet.xid, packet.chaddr, packet.htype, packet.hops, packet.secs) == (0xDEADBEEF, MAC, 1, 0, 0)


def test_rfc6842_client_identifier_is_echoed() -> None:
    assert offered(EFI | {61: b"\0abc"}).options[61] == b"\0abc"


def test_rfc1542_2_1_offer_has_300_bytes_at_least() -> None:
    reply = offer(ask(1, EFI), US, BOOT_OF)
    assert isinstance(reply, ProxyReply)
    assert len(pack(reply.packet)) >= 300


def test_uefi_24_3_http_client_gets_httpclient_and_a_url() -> None:
    packet = offered(HTTP)
    assert packet.options[60] == b"HTTPClient"
    assert packet.options[67] == b"http://10.0.0.1:8080/nbp/snponly.efi"
    assert 43 not in packet.options
    assert packet.yiaddr == NOWHERE


def test_ipxe_is_sent_to_its_script_and_not_to_itself() -> None:
    packet = offered(IPXE)
    assert packet.options[67].startswith(b"http://10.0.0.1:8080/boot.ipxe?mac=52-54-00-00-00-01")
    assert packet.options[60] == b"PXEClient", "else iPXE takes it for no offer of a proxy"


@pytest.mark.parametrize("vendor", [b"", b"udhcp 1.35", b"MSFT 5.0", b"pxeclient", b"XPXEClient"])
def test_pxe21_2_2_1_only_pxe_clients_are_answered(vendor: bytes) -> None:
    for outcome in (
        offer(ask(1, {60: vendor, 93: b"\0\7"}), US, BOOT_OF),
        acknowledge(ask(3, {60: vendor, 93: b"\0\7"}), Address(CLIENT.packed), 68, US, BOOT_OF),
    ):
        assert not isinstance(outcome, ProxyReply)


def test_pxe21_2_2_3_request_for_the_other_servers_lease_is_not_answered() -> None:
    request = ask(3, EFI | {50: CLIENT.packed, 54: b"\x0a\0\0\x63"})
    assert not isinstance(offer(request, US, BOOT_OF), ProxyReply)


@pytest.mark.parametrize("kind", [3, 8], ids=["request", "inform"])
def test_pxe21_2_2_5_boot_server_acks_on_4011_with_the_file(kind: int) -> None:
    packet = parse(pack(acknowledged(EFI, kind).packet))
    assert (packet.options[53], packet.file, packet.siaddr) == (b"\5", b"snponly.efi", SERVER.packed)
    assert (packet.options[60], packet.options[54], packet.yiaddr) == (b"PXEClient", SERVER.packed, NOWHERE)


def test_pxe21_2_2_5_ack_goes_to_the_port_that_asked() -> None:
    reply = acknowledge(ask(3, EFI), Address(CLIENT.packed), 4011, US, BOOT_OF)
    assert isinstance(reply, ProxyReply)
    assert (reply.address, reply.port) == (CLIENT, 4011)


def test_pxe21_2_2_5_boot_item_that_was_asked_for_is_returned() -> None:
    reply = acknowledged(EFI | {43: b"\x0c\1\7" + b"\x47\4\0\1\0\0" + b"\xff"})
    assert sub_options(reply.packet.options[43]) == {6: b"\x08", 71: b"\0\1\0\0"}


@pytest.mark.parametrize("area", [b"\x47", b"\x47\4\0", b"\x47\2\0\1\xff", b"\xff\x47\4\0\1\0\0"])
def test_pxe21_2_2_5_malformed_boot_item_is_not_returned(area: bytes) -> None:
    assert sub_options(acknowledged(EFI | {43: area}).packet.options[43]) == {6: b"\x08"}


def test_http_boot_is_not_answered_on_4011() -> None:
    assert not isinstance(acknowledge(ask(3, HTTP), Address(CLIENT.packed), 68, US, BOOT_OF), ProxyReply)


def test_same_gates_on_both_ports() -> None:
    """32-bit EFI can run none of our programs: no promise on 67, none on 4011."""
    options = EFI | {93: b"\0\6"}
    assert not isinstance(offer(ask(1, options), US, BOOT_OF), ProxyReply)
    assert not isinstance(acknowledge(ask(3, options), Address(CLIENT.packed), 68, US, BOOT_OF), ProxyReply)


def test_every_port_of_one_machine_and_every_try_gets_the_same() -> None:
    replies = []
    for chaddr in (MAC, bytes.fromhex("525400000002"), MAC):
        reply = offer(ask(1, EFI, chaddr), US, BOOT_OF)
        assert isinstance(reply, ProxyReply)
        replies.append(pack(reply.packet._replace(chaddr=MAC)))
    assert len(set(replies)) == 1
