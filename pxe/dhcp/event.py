"""What the DHCP server saw and did, for observers. Built for each packet, so it is read out only when asked."""

from ipaddress import IPv4Address
from typing import NamedTuple
from uuid import UUID

from pxe.client import Arch, Mac, Stage
from pxe.dhcp.address import Address, Hardware
from pxe.dhcp.exchange import Kind
from pxe.dhcp.packet import uuid_of
from pxe.dhcp.relay import CIRCUIT_ID, REMOTE_ID, suboption

_LONGEST = 64


class DhcpEvent(NamedTuple):
    """`given` is the address given, kept, declined or released; `file` what DHCP named, as sent.

    `guid`, `relay` and `vendor` are options 97, 82 and 60 as they came.
    """

    kind: Kind
    hardware: Hardware
    stage: Stage
    arch: Arch | None = None
    guid: bytes = b""
    given: Address | None = None
    file: bytes = b""
    reason: str = ""
    relay: bytes = b""
    vendor: bytes = b""

    @property
    def mac(self) -> Mac:
        return Mac.from_bytes(self.hardware)

    @property
    def uuid(self) -> UUID | None:
        return uuid_of(self.guid)

    @property
    def address(self) -> IPv4Address | None:
        return None if self.given is None else IPv4Address(self.given)

    @property
    def filename(self) -> str:
        return self.file.decode("ascii", "replace")

    @property
    def vendor_class(self) -> str:
        return _readable(self.vendor)

    @property
    def circuit_id(self) -> str:
        """The switch port, in the relay's words (RFC 3046 section 3.1); empty when no relay tells."""
        return _readable(suboption(self.relay, CIRCUIT_ID))

    @property
    def remote_id(self) -> str:
        """The relay or switch itself (RFC 3046 section 3.2)."""
        return _readable(suboption(self.relay, REMOTE_ID))


def _readable(value: bytes) -> str:
    """Vendors send text or a binary record; the latter in hexadecimal."""
    text = value[:_LONGEST].decode("ascii", "replace")
    return text if text.isascii() and text.isprintable() else value[:_LONGEST].hex()
