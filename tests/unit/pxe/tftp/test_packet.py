import pytest

from pxe.errors import PacketError
from pxe.tftp.packet import (
    Ack,
    Data,
    Error,
    OptionAck,
    Packet,
    ReadRequest,
    WriteRequest,
    candidates,
    pack,
    pack_data,
    parse,
)

BOTH_WAYS: list[tuple[bytes, Packet]] = [
    (b"\0\1snponly.efi\0octet\0", ReadRequest(name="snponly.efi")),
    (b"\0\1a\0octet\0tsize\x000\0", ReadRequest(name="a", options=(("tsize", "0"),))),
    (b"\0\2a\0octet\0", WriteRequest(name="a")),
    (b"\0\3\0\7data", Data(block=7, payload=b"data")),
    (b"\0\3\xff\xff", Data(block=65535, payload=b"")),
    (b"\0\4\0\0", Ack(block=0)),
    (b"\0\5\0\1no\0", Error(code=1, message="no")),
    (b"\0\6blksize\x001468\0", OptionAck(options=(("blksize", "1468"),))),
]

TOLERATED: list[tuple[bytes, Packet]] = [
    (b"\0\1a\0OcTeT\0BLKSIZE\x00512\0", ReadRequest(name="a", options=(("blksize", "512"),))),
    (b"\0\1a\0octet\0\0\0\0\0\0", ReadRequest(name="a")),
    (b"\0\1a\0octet\0garbage after the last NUL", ReadRequest(name="a")),
    (b"\0\1a\0octet\0tsize\x000\0blksize\0", ReadRequest(name="a", options=(("tsize", "0"),))),
    (b"\0\1a\0octet\0tsize\x000\0tsize\x009\0", ReadRequest(name="a", options=(("tsize", "0"),))),
    (b"\0\5\0\x63odd", Error(code=99, message="odd")),
    (b"\0\1\xe9\0octet\0", ReadRequest(name="\xe9")),
]

MALFORMED = [b"", b"\0", b"\0\1", b"\0\4\0", b"\0\1name", b"\0\1name\0octet", b"\0\1\0octet\0", b"\0\x63abcd"]


@pytest.mark.parametrize(("raw", "packet"), BOTH_WAYS)
def test_packet_both_ways(raw: bytes, packet: Packet) -> None:
    assert parse(raw) == packet
    assert pack(packet) == raw


@pytest.mark.parametrize(("raw", "packet"), TOLERATED)
def test_packet_tolerated(raw: bytes, packet: Packet) -> None:
    assert parse(raw) == packet


@pytest.mark.parametrize("raw", [*MALFORMED, b"\0\1" + b"a" * 2000 + b"\0octet\0"])
def test_packet_malformed(raw: bytes) -> None:
    with pytest.raises(PacketError):
        parse(raw)


def test_data_rolls_over() -> None:
    assert pack_data(65535, b"x")[2:4] == b"\xff\xff"
    assert pack_data(65536, b"x")[2:4] == b"\0\0"
    assert pack_data(65537, b"x")[2:4] == b"\0\1"


@pytest.mark.parametrize(
    ("name", "tried"),
    [
        ("snponly.efi", ("snponly.efi",)),
        ("/snponly.efi", ("snponly.efi",)),
        ("\\boot\\x64\\snponly.efi", ("boot/x64/snponly.efi",)),
        ("//nbp//./undionly.kpxe", ("nbp/undionly.kpxe",)),
        ("/SNPONLY.EFI", ("SNPONLY.EFI", "snponly.efi")),
        ("../../etc/passwd", ("../../etc/passwd",)),
        ("/", ("",)),
    ],
)
def test_candidates(name: str, tried: tuple[str, ...]) -> None:
    assert candidates(name) == tried
