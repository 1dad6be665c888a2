"""The values that pass between the DHCP socket and the decisions."""

from collections.abc import Container
from enum import Enum
from typing import NamedTuple

from pxe.dhcp.address import LIMITED_BROADCAST, Address
from pxe.dhcp.leases import Change, Lease, Offer
from pxe.dhcp.packet import DhcpPacket

SERVER_PORT = 67
CLIENT_PORT = 68


class Kind(Enum):
    """What became of a packet."""

    OFFER = "offer"
    ACK = "ack"
    NAK = "nak"
    DECLINE = "decline"
    RELEASE = "release"
    INFORM = "inform"
    ELSEWHERE = "elsewhere"
    """A REQUEST to another server: our offer is withdrawn."""
    IGNORED = "ignored"


class Route(Enum):
    """How a reply travels (RFC 2131 section 4.1)."""

    UNICAST = "unicast"
    BROADCAST = "broadcast"
    HARDWARE = "hardware"
    """To an address that the client does not answer ARP for yet: the frame goes to its chaddr."""


class Destination(NamedTuple):
    route: Route
    address: Address
    port: int = CLIENT_PORT


BROADCAST = Destination(Route.BROADCAST, LIMITED_BROADCAST)


class Request(NamedTuple):
    """`source` is the sender in the IP header; `now` in seconds since the epoch.

    Addresses in `avoid` are offered to nobody: they were found in use.
    """

    packet: DhcpPacket
    source: Address
    now: float
    avoid: Container[Address] = ()


class Reply(NamedTuple):
    """`change` is applied to the table of `link` at once; a `Lease` is also made durable before `data` is sent.

    `unproven`: an OFFER of an address that this machine holds no lease of. Whether somebody else uses it without a
    lease is not known; whoever probes withholds the reply and asks again, with the address in `avoid` if it is used.
    """

    kind: Kind
    data: bytes
    destination: Destination
    link: int
    change: Lease | Offer | None = None
    reason: str = ""
    filename: bytes = b""
    unproven: bool = False


class Accept(NamedTuple):
    """No answer, but something to remember."""

    kind: Kind
    link: int
    change: Change
    reason: str = ""


class Ignore(NamedTuple):
    reason: str

    @property
    def kind(self) -> Kind:
        return Kind.IGNORED

    @property
    def change(self) -> None:
        return None


Outcome = Reply | Accept | Ignore
