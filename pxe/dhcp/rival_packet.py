"""What DHCP servers and other appliances say on a segment: frames to values and back.

An appliance asks with a DISCOVER, which makes every server on the segment show itself, and whose vendor class tells
other appliances who asks. They answer with a claim: an OFFER without an address, for the xid and chaddr of that
DISCOVER only. No client takes it.
"""

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address
from types import MappingProxyType

from pxe.dhcp.frame import BROADCAST_MAC, Datagram, pack_datagram, parse_datagram
from pxe.dhcp.packet import (
    BOOTREPLY,
    BOOTREQUEST,
    BROADCAST_FLAG,
    DhcpPacket,
    MessageType,
    Option,
    pack,
    parse,
)
from pxe.errors import PacketError

IDENTITY_SIZE = 16
VENDOR_CLASS = b"Innervate:"
"""How the vendor class of a question begins; a DHCP server of ours gives such a client no address."""

_SERVER_PORT = 67
_CLIENT_PORT = 68
_NOBODY = IPv4Address(0)
_EVERYBODY = IPv4Address(0xFFFFFFFF)
_LONGEST_VENDOR = 40


class Role(Enum):
    STARTING = "starting"
    ACTIVE = "active"
    PASSIVE = "passive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What an appliance says of itself; `identity` is 16 bytes."""

    identity: bytes
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """An appliance asks who serves here. `mac` is the source of the frame, `chaddr` the machine it plays."""

    notice: Notice
    mac: bytes
    chaddr: bytes
    xid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Another appliance's answer to a question."""

    notice: Notice
    mac: bytes
    server: IPv4Address


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerMessage:
    """An OFFER, ACK or NAK of a DHCP server. `server` is its identifier, `vendor` its own word, mostly empty."""

    server: IPv4Address
    mac: bytes
    vendor: str


Heard = Question | Claim | ServerMessage


def pack_question(notice: Notice, *, mac: bytes, chaddr: bytes, xid: int) -> bytes:
    """A frame. Broadcast answers are asked for, since nobody has the hardware address `chaddr`."""
    packet = DhcpPacket(
        op=BOOTREQUEST,
        xid=xid,
        chaddr=chaddr,
        flags=BROADCAST_FLAG,
        # The vendor class comes first: the packet filter of other appliances looks for it at a fixed place.
        options=MappingProxyType(
            {Option.VENDOR_CLASS: _pack_notice(notice), Option.MESSAGE_TYPE: bytes((MessageType.DISCOVER,))}
        ),
    )
    return pack_datagram(
        Datagram(
            source_mac=mac,
            target_mac=BROADCAST_MAC,
            source=_NOBODY,
            target=_EVERYBODY,
            source_port=_CLIENT_PORT,
            target_port=_SERVER_PORT,
            payload=pack(packet),
        )
    )


def pack_claim(notice: Notice, question: Question, *, mac: bytes, server: IPv4Address) -> bytes:
    """A frame to the appliance that asked."""
    packet = DhcpPacket(
        op=BOOTREPLY,
        xid=question.xid,
        chaddr=question.chaddr,
        flags=BROADCAST_FLAG,
        options=MappingProxyType(
            {
                Option.VENDOR_CLASS: _pack_notice(notice),
                Option.MESSAGE_TYPE: bytes((MessageType.OFFER,)),
                Option.SERVER_IDENTIFIER: server.packed,
            }
        ),
    )
    return pack_datagram(
        Datagram(
            source_mac=mac,
            target_mac=question.mac,
            source=server,
            target=_EVERYBODY,
            source_port=_SERVER_PORT,
            target_port=_CLIENT_PORT,
            payload=pack(packet),
        )
    )


def parse_heard(frame: bytes) -> Heard | None:
    """None for DHCP that tells nothing about servers; PacketError for what is no DHCP."""
    datagram = parse_datagram(frame)
    packet = parse(datagram.payload)
    notice = _notice(packet.options.get(Option.VENDOR_CLASS, b""))
    if packet.op == BOOTREQUEST:
        return None if notice is None else _question(datagram, packet, notice)
    if packet.message_type not in (MessageType.OFFER, MessageType.ACK, MessageType.NAK):
        return None
    server = _server(datagram, packet)
    if notice is not None:
        return Claim(notice=notice, mac=datagram.source_mac, server=server)
    if packet.message_type is MessageType.OFFER and IPv4Address(packet.yiaddr) == _NOBODY:
        return None  # a proxyDHCP server: it gives out no addresses
    vendor = packet.options.get(Option.VENDOR_CLASS, b"")[:_LONGEST_VENDOR].decode("ascii", "replace")
    printable = "".join(letter if letter.isprintable() else "?" for letter in vendor)
    return ServerMessage(server=server, mac=datagram.source_mac, vendor=printable)


def _question(datagram: Datagram, packet: DhcpPacket, notice: Notice) -> Question:
    if len(packet.chaddr) != 6:
        raise PacketError("a question without a hardware address", evidence=packet.chaddr.hex())
    return Question(notice=notice, mac=datagram.source_mac, chaddr=packet.chaddr, xid=packet.xid)


def _server(datagram: Datagram, packet: DhcpPacket) -> IPv4Address:
    """Option 54 is mandatory, but servers that break the rules are the ones to be found."""
    identifier = packet.options.get(Option.SERVER_IDENTIFIER, b"")
    return IPv4Address(identifier) if len(identifier) == 4 else datagram.source


def _pack_notice(notice: Notice) -> bytes:
    return VENDOR_CLASS + f"{notice.role.value}:{notice.identity.hex()}".encode()


def _notice(vendor_class: bytes) -> Notice | None:
    if not vendor_class.startswith(VENDOR_CLASS):
        return None
    role, _, identity = vendor_class.removeprefix(VENDOR_CLASS).partition(b":")
    try:
        raw = bytes.fromhex(identity.decode("ascii"))
        notice = Notice(identity=raw, role=Role(role.decode("ascii")))
    except ValueError as error:
        raise PacketError("not a notice of an appliance", evidence=repr(vendor_class[:80])) from error
    if len(raw) != IDENTITY_SIZE:
        raise PacketError("an identity has 16 bytes", evidence=repr(vendor_class[:80]))
    return notice
