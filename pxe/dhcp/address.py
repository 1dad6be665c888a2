"""Addresses as the packets carry them. `IPv4Address` and `Mac` belong to configuration and events: they are slow."""

from ipaddress import IPv4Address
from typing import NewType

Address = NewType("Address", bytes)
"""An IPv4 address, 4 bytes, big-endian: it sorts as the address does. `IPv4Address(it)` reads it."""

Hardware = NewType("Hardware", bytes)
"""An Ethernet address, 6 bytes."""

UNSPECIFIED = Address(bytes(4))
LIMITED_BROADCAST = Address(b"\xff\xff\xff\xff")


def packed(address: IPv4Address) -> Address:
    return Address(address.packed)
