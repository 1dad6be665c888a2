"""UDP datagrams in Ethernet frames: what must be sent or seen below the kernel's IP (RFC 791, 768, 1071)."""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from pxe.errors import PacketError

ETH_P_IP = 0x0800
ETH_P_ARP = 0x0806
BROADCAST_MAC = b"\xff" * 6

ETHERNET = struct.Struct("!6s6sH")
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")
_UDP_PROTOCOL = 17
_FRAGMENT = 0x3FFF  # "more fragments" and the offset
_DO_NOT_FRAGMENT = 0x4000
_TTL = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Datagram:
    """MAC addresses are 6 bytes."""

    source_mac: bytes
    target_mac: bytes
    source: IPv4Address
    target: IPv4Address
    source_port: int
    target_port: int
    payload: bytes


def checksum(data: bytes) -> int:
    """The Internet checksum, RFC 1071."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pack_datagram(datagram: Datagram) -> bytes:
    size = _UDP.size + len(datagram.payload)
    addresses = datagram.source.packed + datagram.target.packed
    pseudo = addresses + struct.pack("!BBH", 0, _UDP_PROTOCOL, size)
    ports = (datagram.source_port, datagram.target_port, size)
    udp_sum = checksum(pseudo + _UDP.pack(*ports, 0) + datagram.payload) or 0xFFFF
    fields = (0x45, 0, _IPV4.size + size, 0, _DO_NOT_FRAGMENT, _TTL, _UDP_PROTOCOL)
    ip_sum = checksum(_IPV4.pack(*fields, 0, addresses[:4], addresses[4:]))
    return (
        ETHERNET.pack(datagram.target_mac, datagram.source_mac, ETH_P_IP)
        + _IPV4.pack(*fields, ip_sum, addresses[:4], addresses[4:])
        + _UDP.pack(*ports, udp_sum)
        + datagram.payload
    )


def parse_datagram(frame: bytes) -> Datagram:
    """Total: anything but an unfragmented UDP datagram raises PacketError.

    Checksums are not looked at: a packet socket sees frames whose checksum the network card has yet to fill in.
    """
    if len(frame) < ETHERNET.size + _IPV4.size:
        raise PacketError("no IPv4 frame", evidence=frame.hex())
    target_mac, source_mac, kind = ETHERNET.unpack_from(frame)
    version, _, total, _, fragment, _, protocol, _, source, target = _IPV4.unpack_from(frame, ETHERNET.size)
    start, end = ETHERNET.size + 4 * (version & 15), ETHERNET.size + total
    if kind != ETH_P_IP or version >> 4 != 4 or version & 15 < 5 or protocol != _UDP_PROTOCOL or fragment & _FRAGMENT:
        raise PacketError("no whole UDP datagram", evidence=frame[:64].hex())
    if not start + _UDP.size <= end <= len(frame):
        raise PacketError("datagram is cut off", evidence=frame[:64].hex())
    source_port, target_port, size, _ = _UDP.unpack_from(frame, start)
    if not _UDP.size <= size <= end - start:
        raise PacketError("bad UDP length", evidence=frame[:64].hex())
    return Datagram(
        source_mac=source_mac,
        target_mac=target_mac,
        source=IPv4Address(source),
        target=IPv4Address(target),
        source_port=source_port,
        target_port=target_port,
        payload=frame[start + _UDP.size : start + size],
    )
