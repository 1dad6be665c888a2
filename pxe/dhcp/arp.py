"""ARP for IPv4 on Ethernet: the probe for an address and the answer to it (RFC 826, RFC 5227)."""

import struct
from dataclasses import dataclass

from pxe.dhcp.frame import BROADCAST_MAC, ETH_P_ARP, ETHERNET
from pxe.errors import PacketError

REQUEST = 1
REPLY = 2

_ARP = struct.Struct("!HHBBH6s4s6s4s")
_SHAPE = (1, 0x0800, 6, 4)  # Ethernet, IPv4, the lengths of their addresses
_SHORTEST_FRAME = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Arp:
    """Hardware addresses are 6 bytes, protocol addresses 4."""

    operation: int
    sender_mac: bytes
    sender: bytes
    target_mac: bytes
    target: bytes


def pack_probe(mac: bytes, address: bytes) -> bytes:
    """RFC 5227 section 2.1.1: the sender's address is zero, so that nobody's ARP cache learns from a question."""
    body = _ARP.pack(*_SHAPE, REQUEST, mac, bytes(4), bytes(6), address)
    return (ETHERNET.pack(BROADCAST_MAC, mac, ETH_P_ARP) + body).ljust(_SHORTEST_FRAME, b"\0")


def parse(frame: bytes) -> Arp:
    """Total: anything but ARP for IPv4 on Ethernet raises PacketError."""
    if len(frame) < ETHERNET.size + _ARP.size or ETHERNET.unpack_from(frame)[2] != ETH_P_ARP:
        raise PacketError("no ARP frame", evidence=frame[:64].hex())
    *shape, operation, sender_mac, sender, target_mac, target = _ARP.unpack_from(frame, ETHERNET.size)
    if tuple(shape) != _SHAPE:
        raise PacketError("ARP of another kind of network", evidence=frame[:64].hex())
    return Arp(operation=operation, sender_mac=sender_mac, sender=sender, target_mac=target_mac, target=target)
