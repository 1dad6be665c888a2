"""LLDP frames (IEEE 802.1AB-2016): which switch and port a NIC is plugged into.

A frame is an Ethernet header (VLAN tags allowed), then TLVs: 7 bits of type, 9 bits of length, the value.
Frames come from whoever is on the wire: unreadable ones are dropped, never trusted and never fatal.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from appliance.model.text import clean

MAX_FRAMES = 64
MAX_FRAME = 1522
_ETHERTYPE = b"\x88\xcc"
_VLANS = (b"\x81\x00", b"\x88\xa8")
_END, _CHASSIS, _PORT, _SYSTEM = 0, 1, 2, 5  # table 8-1
_CHASSIS_MAC, _CHASSIS_NETWORK = 4, 5  # table 8-2
_PORT_MAC, _PORT_NETWORK = 3, 4  # table 8-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What one LLDP frame says of its sender."""

    chassis: str
    port: str
    system: str


def parse_frames(frames: tuple[str, ...]) -> tuple[Announcement, ...]:
    """`frames` in hex; each sender once, in the order heard."""
    heard = (parse_frame(raw) for text in frames[:MAX_FRAMES] if (raw := _unhex(text)) is not None)
    return tuple(dict.fromkeys(a for a in heard if a is not None))


def parse_heard(frames: tuple[str, ...], nics: tuple[str, ...]) -> tuple[tuple[str, Announcement], ...]:
    """With the NIC that heard it, each pair once; `nics` has one name for each frame."""
    heard = (
        (nic, announced)
        for nic, text in zip(nics[:MAX_FRAMES], frames, strict=False)
        if (raw := _unhex(text)) is not None and (announced := parse_frame(raw)) is not None
    )
    return tuple(dict.fromkeys(heard))


def parse_frame(frame: bytes) -> Announcement | None:
    """None for a frame that is not LLDP, is cut short, or lacks the chassis or the port ID (8.2: both mandatory)."""
    start = 12
    while frame[start : start + 2] in _VLANS:
        start += 4
    if frame[start : start + 2] != _ETHERTYPE or len(frame) > MAX_FRAME:
        return None
    try:
        values = dict(_tlvs(frame[start + 2 :]))
        chassis = _identifier(values[_CHASSIS], mac=_CHASSIS_MAC, network=_CHASSIS_NETWORK)
        port = _identifier(values[_PORT], mac=_PORT_MAC, network=_PORT_NETWORK)
    except (KeyError, ValueError):
        return None
    return Announcement(chassis=chassis, port=port, system=_text(values.get(_SYSTEM, b"")))


def _tlvs(payload: bytes) -> Iterator[tuple[int, bytes]]:
    """9 bits of length bound each value to 511 bytes; the end TLV may be missing (padding was cut off)."""
    at = 0
    while at + 2 <= len(payload):
        head = int.from_bytes(payload[at : at + 2], "big")
        kind, length = head >> 9, head & 0x1FF
        if kind == _END:
            return
        if at + 2 + length > len(payload):
            raise ValueError("cut short")
        yield kind, payload[at + 2 : at + 2 + length]
        at += 2 + length


def _identifier(value: bytes, *, mac: int, network: int) -> str:
    """One byte of subtype, then 1 to 255 bytes (8.5.2, 8.5.3)."""
    subtype, raw = value[0] if value else 0, value[1:256]
    if not raw:
        raise ValueError("empty identifier")
    if subtype == mac and len(raw) == 6:
        return raw.hex(":")
    if subtype == network:
        return _address(raw)
    return _text(raw)


def _address(raw: bytes) -> str:
    """One byte of IANA address family (1: IPv4, 2: IPv6), then the address."""
    if raw[0] == 1 and len(raw) == 5:
        return str(IPv4Address(raw[1:]))
    if raw[0] == 2 and len(raw) == 17:
        return str(IPv6Address(raw[1:]))
    return raw.hex(":")


def _text(raw: bytes) -> str:
    return clean(raw.rstrip(b"\0").decode("utf-8", "replace"), 255)


def _unhex(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text) if len(text) <= 2 * MAX_FRAME else None
    except ValueError:
        return None
