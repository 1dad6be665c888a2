"""ICMP echo (RFC 792): the question whether an address behind a router is in use."""

import struct
from dataclasses import dataclass

from pxe.dhcp.frame import checksum
from pxe.errors import PacketError

_ECHO = struct.Struct("!BBHHH")
_REQUEST = 8
_REPLY = 0
_IPV4_SIZE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoReply:
    """`source` is a packed IPv4 address."""

    source: bytes
    identifier: int
    sequence: int


def pack_echo(identifier: int, sequence: int) -> bytes:
    """Both are 16 bits."""
    body = _ECHO.pack(_REQUEST, 0, 0, identifier, sequence)
    return _ECHO.pack(_REQUEST, 0, checksum(body), identifier, sequence)


def parse_reply(packet: bytes) -> EchoReply:
    """An IPv4 packet as a raw socket hands it over. Total: anything but an echo reply raises PacketError."""
    start = 4 * (packet[0] & 15) if packet else 0
    if start < _IPV4_SIZE or len(packet) < start + _ECHO.size:
        raise PacketError("no ICMP packet", evidence=packet[:64].hex())
    kind, code, _, identifier, sequence = _ECHO.unpack_from(packet, start)
    if (kind, code) != (_REPLY, 0):
        raise PacketError("no echo reply", evidence=packet[:64].hex())
    return EchoReply(source=packet[12:16], identifier=identifier, sequence=sequence)
