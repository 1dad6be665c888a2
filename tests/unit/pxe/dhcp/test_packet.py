from ipaddress import IPv4Address
from typing import Any
from uuid import UUID

import pytest
from scapy.layers.dhcp import BOOTP, DHCP

from pxe.client import Arch, Mac, Stage
from pxe.dhcp.address import packed
from pxe.dhcp.packet import DhcpPacket, MessageType, Option, client_of, pack, parse, traits_of
from pxe.errors import PacketError

MAC = bytes.fromhex("525400000001")
EMPTY = pack(DhcpPacket(op=1, xid=7, chaddr=MAC))[:240]
BASE = DhcpPacket(op=1, xid=7, chaddr=MAC, options={53: b"\1"})

OPTIONS = [
    ("pad and end", b"\0\0\x35\1\1\0\xff", {53: b"\1"}),
    ("what follows the end is ignored", b"\x35\1\1\xff\x36\4abcd", {53: b"\1"}),
    ("no end", b"\x35\1\1", {53: b"\1"}),
    ("nothing", b"", {}),
    ("RFC 3396 concatenation", b"\x43\2ab\x35\1\1\x43\2cd\xff", {67: b"abcd", 53: b"\1"}),
    ("empty value", b"\x50\0\xff", {80: b""}),
]


@pytest.mark.parametrize(("data", "options"), [row[1:] for row in OPTIONS], ids=[row[0] for row in OPTIONS])
def test_options(data: bytes, options: dict[int, bytes]) -> None:
    assert dict(parse(EMPTY + data).options) == options


def overloaded(where: int) -> bytes:
    sname = b"\x0c\2-s".ljust(64, b"\0")
    file = b"\x0c\2-f\xff".ljust(128, b"\0")
    return EMPTY[:44] + sname + file + EMPTY[236:] + bytes((52, 1, where)) + b"\x0c\1o\xff"


@pytest.mark.parametrize(
    ("where", "hostname", "file", "sname"),
    [(1, b"o-f", b"", b"\x0c\2-s"), (2, b"o-s", b"\x0c\2-f\xff", b""), (3, b"o-f-s", b"", b"")],
)
def test_overload_is_read_in_the_order_options_file_sname(
    where: int, hostname: bytes, file: bytes, sname: bytes
) -> None:
    packet = parse(overloaded(where))
    assert (dict(packet.options), packet.file, packet.sname) == ({12: hostname}, file, sname)


def test_overload_is_written_when_options_do_not_fit() -> None:
    packet = DhcpPacket(op=2, xid=1, chaddr=MAC, options={code: bytes(50) for code in range(1, 9)})
    data = pack(packet, maximum=548)
    assert len(data) <= 548
    assert parse(data) == packet
    assert b"\x34\1" in data[240:243]


def test_what_does_not_fit_at_all_is_an_error() -> None:
    packet = DhcpPacket(op=2, xid=1, chaddr=MAC, file=b"x", options={code: bytes(100) for code in range(1, 9)})
    with pytest.raises(PacketError):
        pack(packet, maximum=548)


def test_long_option_is_split() -> None:
    data = pack(DhcpPacket(op=2, xid=1, chaddr=MAC, options={82: bytes(300)}))
    assert data[240:242] == b"\x52\xff"
    assert data[497:499] == b"\x52\x2d"


REFUSED = [
    ("empty", b""),
    ("short", EMPTY[:239]),
    ("no cookie", EMPTY[:236] + b"\0\0\0\0"),
    ("op 3", b"\3" + EMPTY[1:]),
    ("hlen 17", EMPTY[:2] + b"\x11" + EMPTY[3:]),
    ("option without length", EMPTY + b"\x35"),
    ("option cut off", EMPTY + b"\x35\5ab"),
    ("overload 0", EMPTY + b"\x34\1\0\xff"),
    ("overload 4", EMPTY + b"\x34\1\4\xff"),
    ("overload without value", EMPTY + b"\x34\0\xff"),
    ("larger than a jumbo frame", EMPTY + bytes(9000)),
]


@pytest.mark.parametrize("data", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(data: bytes) -> None:
    with pytest.raises(PacketError):
        parse(data)


@pytest.mark.parametrize("fields", [{"xid": -1}, {"flags": 70000}, {"hops": 256}])
def test_header_field_out_of_range_cannot_be_packed(fields: dict[str, Any]) -> None:
    with pytest.raises(PacketError):
        pack(BASE._replace(**fields))


@pytest.mark.parametrize(
    "fields", [{"file": b"a\0b"}, {"sname": b"x" * 65}, {"chaddr": bytes(17)}, {"options": {52: b"\1"}}]
)
def test_impossible_value_cannot_be_packed(fields: dict[str, Any]) -> None:
    with pytest.raises(PacketError):
        pack(BASE._replace(**fields))


def test_unknown_message_type_is_none() -> None:
    assert parse(EMPTY + b"\x35\1\x63\xff").message_type is None
    assert parse(EMPTY + b"\x35\2\1\1\xff").message_type is None
    assert parse(EMPTY + b"\x35\1\4\xff").message_type is MessageType.DECLINE


def test_malformed_address_option_is_an_error_not_an_absence() -> None:
    packet = DhcpPacket(op=1, xid=1, chaddr=MAC, options={50: b"abc"})
    assert packet.address(Option.SERVER_IDENTIFIER) is None
    with pytest.raises(PacketError):
        packet.address(Option.REQUESTED_ADDRESS)


GUID = bytes.fromhex("44454c4c510010338052b4c04f4e5431")
STAGES = [
    ({60: b"PXEClient:Arch:00007:UNDI:003000", 93: b"\0\7"}, Stage.FIRMWARE, Arch.EFI_BC),
    ({60: b"PXEClient:Arch:00000:UNDI:002001"}, Stage.FIRMWARE, Arch.BIOS),
    ({60: b"PXEClient:Arch:banana:UNDI:002001"}, Stage.FIRMWARE, None),
    ({60: b"PXEClient", 93: b"\0\x63\0\x09\0\x07"}, Stage.FIRMWARE, Arch.EFI_X64),
    ({60: b"PXEClient", 93: b"\0"}, Stage.FIRMWARE, None),
    ({60: b"HTTPClient:Arch:00016:UNDI:003000", 93: b"\0\x10"}, Stage.HTTP_BOOT, Arch.HTTP_X64),
    ({60: b"PXEClient:Arch:00007:UNDI:003010", 175: b"\x13\1\1"}, Stage.IPXE, Arch.EFI_BC),
    ({60: b"PXEClient", 77: b"iPXE"}, Stage.IPXE, None),
    ({60: b"PXEClient", 77: b"\4iPXE"}, Stage.IPXE, None),
    ({60: b"PXEClient", 77: b"\3abc\4iPXE"}, Stage.IPXE, None),
    ({60: b"PXEClient", 77: b"gPXE"}, Stage.FIRMWARE, None),
    ({60: b"udhcp 1.35.0"}, Stage.SYSTEM, None),
    ({}, Stage.SYSTEM, None),
]


@pytest.mark.parametrize(("options", "stage", "arch"), STAGES)
def test_stage_and_architecture(options: dict[int, bytes], stage: Stage, arch: Arch | None) -> None:
    client = client_of(DhcpPacket(op=1, xid=1, chaddr=MAC, options=options))
    assert (client.mac, client.stage, client.arch) == (Mac("52:54:00:00:00:01"), stage, arch)


@pytest.mark.parametrize(
    ("value", "uuid"),
    [
        (b"\0" + GUID, UUID("4c4c4544-0051-3310-8052-b4c04f4e5431")),
        (b"\0" + bytes(16), None),
        (b"\0" + b"\xff" * 16, None),
        (b"\1" + GUID, None),
        (b"\0" + GUID[:15], None),
        (b"", None),
    ],
)
def test_uuid(value: bytes, uuid: UUID | None) -> None:
    assert client_of(DhcpPacket(op=1, xid=1, chaddr=MAC, options={97: value})).uuid == uuid


@pytest.mark.parametrize("fields", [{"htype": 32}, {"chaddr": bytes(8)}, {"chaddr": b""}])
def test_only_ethernet_has_clients(fields: dict[str, Any]) -> None:
    with pytest.raises(PacketError):
        client_of(BASE._replace(**fields))


def test_what_scapy_builds_is_read() -> None:
    built = BOOTP(op=1, xid=9, flags=0x8000, ciaddr="10.0.0.9", giaddr="10.0.0.2", chaddr=MAC) / DHCP(
        options=[("message-type", "request"), ("requested_addr", "10.0.0.5"), ("hostname", b"node"), "end"]
    )
    packet = parse(bytes(built))
    assert (packet.xid, packet.flags, packet.chaddr) == (9, 0x8000, MAC)
    assert (packet.ciaddr, packet.giaddr) == (bytes((10, 0, 0, 9)), bytes((10, 0, 0, 2)))
    assert packet.message_type is MessageType.REQUEST
    assert packet.address(Option.REQUESTED_ADDRESS) == bytes((10, 0, 0, 5))
    assert packet.options[Option.HOST_NAME] == b"node"


def test_what_we_pack_is_read_by_scapy() -> None:
    options = {53: b"\2", 54: b"\x0a\0\0\1", 51: b"\0\0\x0e\x10", 12: b"node"}
    yiaddr = packed(IPv4Address("10.0.0.7"))
    packet = DhcpPacket(op=2, xid=3, chaddr=MAC, yiaddr=yiaddr, file=b"snponly.efi", options=options)
    read = BOOTP(pack(packet))
    assert (read.yiaddr, read.file.rstrip(b"\0")) == ("10.0.0.7", b"snponly.efi")
    assert read[DHCP].options[:4] == [
        ("message-type", 2),
        ("server_id", "10.0.0.1"),
        ("lease_time", 3600),
        ("hostname", b"node"),
    ]


def test_what_machines_of_one_kind_say_is_remembered_once() -> None:
    ours = [BASE._replace(chaddr=bytes((2, 0, 0, 0, 0, i)), options={60: b"PXEClient", 93: b"\0\7"}) for i in (1, 2)]
    assert traits_of(ours[0]) is traits_of(ours[1])
    assert traits_of(ours[0]) is not traits_of(BASE)
