"""Our parser of LLDP against scapy's encoder."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.lldp import (
    LLDPDUChassisID,
    LLDPDUEndOfLLDPDU,
    LLDPDUPortID,
    LLDPDUSystemName,
    LLDPDUTimeToLive,
)
from scapy.layers.l2 import Dot1Q, Ether

from appliance.inventory.lldp import MAX_FRAMES, Announcement, parse_frame, parse_frames

SWITCH = "e8:eb:34:aa:bb:cc"
NAMES = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=100)


def frame(port: str = "Ethernet1/7", system: str = "leaf-1", *, vlan: int | None = None) -> bytes:
    ether = Ether(dst="01:80:c2:00:00:0e", src=SWITCH)
    tlvs = (
        LLDPDUChassisID(subtype=4, id=SWITCH)
        / LLDPDUPortID(subtype=5, id=port)
        / LLDPDUTimeToLive(ttl=120)
        / LLDPDUSystemName(system_name=system)
        / LLDPDUEndOfLLDPDU()
    )
    return bytes(ether / Dot1Q(vlan=vlan) / tlvs if vlan else ether / tlvs)


def raw(*tlvs: tuple[int, bytes]) -> bytes:
    def pack(pairs: Iterable[tuple[int, bytes]]) -> bytes:
        return b"".join((kind << 9 | len(value)).to_bytes(2, "big") + value for kind, value in pairs)

    return bytes(12) + b"\x88\xcc" + pack(tlvs)


@given(port=NAMES, system=NAMES, vlan=st.none() | st.integers(1, 4094))
def test_scapy_agrees(port: str, system: str, vlan: int | None) -> None:
    assert parse_frame(frame(port, system, vlan=vlan)) == Announcement(chassis=SWITCH, port=port, system=system)


@pytest.mark.parametrize(
    ("chassis", "port", "expected"),
    [
        (b"\x05\x01\x0a\x00\x00\x02", b"\x03" + bytes.fromhex("e8eb34aabb07"), ("10.0.0.2", "e8:eb:34:aa:bb:07")),
        (b"\x05\x02" + b"\xfe\x80" + bytes(13) + b"\x01", b"\x07xe-0/0/1", ("fe80::1", "xe-0/0/1")),
        (b"\x05\x06" + b"\x01\x02", b"\x07a\x1b[2Jb", ("06:01:02", "ab")),
        (b"\x07rack 7", b"\x01uplink\0", ("rack 7", "uplink")),
    ],
)
def test_identifiers(chassis: bytes, port: bytes, expected: tuple[str, str]) -> None:
    heard = parse_frame(raw((1, chassis), (2, port), (0, b"")))
    assert heard is not None
    assert (heard.chassis, heard.port) == expected


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        bytes(64),
        frame()[:-30],
        raw((2, b"\x05p")),
        raw((1, b"\x04" + bytes(6))),
        raw((1, b"\x04"), (2, b"\x05p")),
        raw((1, b""), (2, b"\x05p")),
        raw((1, b"\x07c"), (2, b"\x05p")) + bytes(2000),
    ],
)
def test_unreadable_frames_are_dropped(bad: bytes) -> None:
    assert parse_frame(bad) is None


@given(st.binary(max_size=600))
def test_total(payload: bytes) -> None:
    parse_frame(payload)
    parse_frame(bytes(12) + b"\x88\xcc" + payload)


def test_frames_are_bounded_and_senders_named_once() -> None:
    hexed = [frame(port=f"p{i}").hex() for i in range(100)]
    assert len(parse_frames(tuple(hexed))) == MAX_FRAMES
    assert len(parse_frames((hexed[0], "zz", "abc", "00" * 9999, hexed[0]))) == 1
