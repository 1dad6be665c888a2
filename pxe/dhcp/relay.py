"""Relay agent information, option 82: a list of sub-options that the relay adds (RFC 3046)."""

from pxe.dhcp.address import Address
from pxe.dhcp.packet import DhcpPacket

CIRCUIT_ID = 1
REMOTE_ID = 2
LINK_SELECTION = 5  # RFC 3527
SERVER_IDENTIFIER_OVERRIDE = 11  # RFC 5107

_RELAY_INFORMATION = 82


def suboption(information: bytes, code: int) -> bytes:
    """The first of this code; empty when there is none or it is cut off."""
    position = 0
    while position + 2 <= len(information):
        end = position + 2 + information[position + 1]
        if information[position] == code and end <= len(information):
            return information[position + 2 : end]
        position = end
    return b""


def relay_address(packet: DhcpPacket, code: int) -> Address | None:
    """None also for what is not one address."""
    information = packet.options.get(_RELAY_INFORMATION)
    if information is None:
        return None
    value = suboption(information, code)
    return Address(value) if len(value) == 4 else None
