"""The values that pass between the DHCP socket and the decisions."""

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address

from pxe.boot import BootAnswer
from pxe.client import Client
from pxe.dhcp.leases import Change, Lease, Offer
from pxe.dhcp.packet import DhcpPacket

SERVER_PORT = 67
CLIENT_PORT = 68
LIMITED_BROADCAST = IPv4Address("255.255.255.255")


class Kind(Enum):
    """What became of a packet."""

    OFFER = "offer"
    ACK = "ack"
    NAK = "nak"
    DECLINE = "decline"
    RELEASE = "release"
    INFORM = "inform"
    IGNORED = "ignored"


class Route(Enum):
    """How a reply travels (RFC 2131 section 4.1)."""

    UNICAST = "unicast"
    BROADCAST = "broadcast"
    HARDWARE = "hardware"
    """To an address that the client does not answer ARP for yet: the frame goes to its chaddr."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    route: Route
    address: IPv4Address
    port: int = CLIENT_PORT


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Where a packet came from."""

    address: IPv4Address
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`answer` is what this client boots, None for nothing; `now` in seconds since the epoch."""

    packet: DhcpPacket
    client: Client
    arrival: Arrival
    answer: BootAnswer | None
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """`change` is applied at once; a `Lease` is also made durable before `packet` is sent.

    `maximum` is the UDP payload that the client takes, in bytes.
    """

    kind: Kind
    packet: DhcpPacket
    destination: Destination
    maximum: int
    change: Lease | Offer | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept:
    """No answer, but something to remember."""

    kind: Kind
    change: Change
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignore:
    reason: str


Outcome = Reply | Accept | Ignore
