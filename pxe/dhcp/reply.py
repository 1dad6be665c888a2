"""Builds DHCP replies: which fields and options, in which order, how long, and sent to where."""

from dataclasses import replace
from ipaddress import IPv4Address
from types import MappingProxyType
from typing import assert_never

from pxe.boot import BootAnswer
from pxe.client import Stage
from pxe.dhcp.exchange import LIMITED_BROADCAST, SERVER_PORT, Destination, Ignore, Kind, Reply, Request, Route
from pxe.dhcp.leases import Lease, Offer
from pxe.dhcp.packet import BOOTREPLY, BROADCAST_FLAG, UNSPECIFIED, DhcpPacket, MessageType, Option, pack
from pxe.dhcp.subnet import INFINITE_LEASE, Subnet
from pxe.errors import PacketError

_IP_AND_UDP_HEADERS = 28
LINK_SELECTION = 5  # RFC 3527
_SERVER_ID_OVERRIDE = 11  # RFC 5107
# Option 43, sub-option 6 PXE_DISCOVERY_CONTROL = 8: use the boot file of this packet, look for no boot server.
_NO_DISCOVERY = bytes((6, 1, 8, 255))
# Option 175, sub-option 176 no-pxedhcp = 1: iPXE then does not wait for a proxyDHCP server.
_NO_PROXY = bytes((176, 1, 1))
# Left out in this order when the client accepts only short messages.
_EXPENDABLE = (
    Option.BROADCAST_ADDRESS,
    Option.DOMAIN_NAME,
    Option.HOST_NAME,
    Option.RENEWAL_TIME,
    Option.REBINDING_TIME,
    Option.TFTP_SERVER_NAME,
    Option.CLIENT_UUID,
    Option.DNS_SERVERS,
)


def refuse(request: Request, subnet: Subnet, reason: str) -> Reply:
    packet = request.packet
    relayed = packet.giaddr != UNSPECIFIED
    options: dict[int, bytes] = {
        Option.MESSAGE_TYPE: bytes((MessageType.NAK,)),
        Option.SERVER_IDENTIFIER: identifier(packet, subnet).packed,
        Option.MESSAGE: reason.encode(),
    }
    flags = packet.flags | BROADCAST_FLAG if relayed else packet.flags
    reply = _reply(request, _with_echoes(options, packet), flags=flags)
    return Reply(
        kind=Kind.NAK,
        packet=reply,
        destination=_to_relay(packet) if relayed else _BROADCAST,
        maximum=_maximum(packet),
        reason=reason,
    )


def grant(request: Request, subnet: Subnet, kind: MessageType, address: IPv4Address | None) -> DhcpPacket:
    """OFFER or ACK; without an address the answer to an INFORM."""
    packet, answer = request.packet, request.answer
    options: dict[int, bytes] = {
        Option.MESSAGE_TYPE: bytes((kind,)),
        Option.SERVER_IDENTIFIER: identifier(packet, subnet).packed,
    }
    if address is not None:
        options |= _times(subnet.lease_seconds)
    options |= _requested(request, subnet)
    if answer is not None:
        options |= _boot_options(request, answer)
    file = answer.filename.encode() if answer is not None else b""
    return _reply(
        request,
        _with_echoes(options, packet),
        ciaddr=packet.ciaddr if kind is MessageType.ACK else UNSPECIFIED,
        yiaddr=UNSPECIFIED if address is None else address,
        siaddr=UNSPECIFIED if answer is None else answer.next_server,
        file=file if len(file) < 128 else b"",
    )


def _reply(
    request: Request,
    options: dict[int, bytes],
    *,
    flags: int | None = None,
    ciaddr: IPv4Address = UNSPECIFIED,
    yiaddr: IPv4Address = UNSPECIFIED,
    siaddr: IPv4Address = UNSPECIFIED,
    file: bytes = b"",
) -> DhcpPacket:
    """RFC 2131 table 3: what is copied from the request, and what is zero."""
    packet = request.packet
    return DhcpPacket(
        op=BOOTREPLY,
        htype=packet.htype,
        xid=packet.xid,
        flags=packet.flags if flags is None else flags,
        giaddr=packet.giaddr,
        chaddr=packet.chaddr,
        ciaddr=ciaddr,
        yiaddr=yiaddr,
        siaddr=siaddr,
        file=file,
        options=MappingProxyType(options),
    )


def _times(seconds: int) -> dict[int, bytes]:
    options: dict[int, bytes] = {Option.LEASE_TIME: seconds.to_bytes(4)}
    if seconds != INFINITE_LEASE:
        options[Option.RENEWAL_TIME] = (seconds // 2).to_bytes(4)
        options[Option.REBINDING_TIME] = (seconds * 7 // 8).to_bytes(4)
    return options


def _requested(request: Request, subnet: Subnet) -> dict[int, bytes]:
    """Mask and router always; the rest as asked for and in that order, or all of it when the client does not say."""
    known = subnet.fixed_options
    reservation = subnet.reservations.get(request.client.mac)
    if reservation is not None and reservation.hostname:
        known = {**known, Option.HOST_NAME: reservation.hostname.encode()}
    asked = request.packet.options.get(Option.PARAMETER_REQUEST_LIST)
    order = (Option.SUBNET_MASK, Option.ROUTER, *(known if asked is None else asked))
    return {code: known[code] for code in order if code in known}


def _boot_options(request: Request, answer: BootAnswer) -> dict[int, bytes]:
    """The boot file is in the header too: U-Boot reads only that, UEFI HTTP Boot only option 67."""
    packet, stage = request.packet, request.client.stage
    options: dict[int, bytes] = {Option.BOOT_FILE: answer.filename.encode()}
    if answer.http_boot:
        return options | {Option.VENDOR_CLASS: b"HTTPClient"}
    options[Option.TFTP_SERVER_NAME] = str(answer.next_server).encode()
    if packet.options.get(Option.VENDOR_CLASS, b"").startswith(b"PXEClient"):
        options |= {Option.VENDOR_CLASS: b"PXEClient", Option.VENDOR_SPECIFIC: _NO_DISCOVERY}
    if stage is Stage.IPXE:
        options[Option.IPXE] = _NO_PROXY
    if Option.CLIENT_UUID in packet.options:
        options[Option.CLIENT_UUID] = packet.options[Option.CLIENT_UUID]
    return options


def _with_echoes(options: dict[int, bytes], packet: DhcpPacket) -> dict[int, bytes]:
    """RFC 6842 for the client identifier; RFC 3046 section 2.2: relay information verbatim and last."""
    for code in (Option.CLIENT_IDENTIFIER, Option.RELAY_INFORMATION):
        if code in packet.options:
            options[code] = packet.options[code]
    return options


def fit(request: Request, packet: DhcpPacket, change: Lease | Offer | None) -> Reply | Ignore:
    """Leaves out what the client can do without until the reply is no longer than the client accepts."""
    maximum = _maximum(request.packet)
    reply = Reply(
        kind=_kind(change),
        packet=packet,
        destination=_destination(request.packet, packet.yiaddr),
        maximum=maximum,
        change=change,
    )
    if 241 + sum(len(value) + 2 for value in packet.options.values()) <= maximum:
        return reply
    options = dict(packet.options)
    for code in (None, *_EXPENDABLE, *((Option.BOOT_FILE,) if packet.file else ())):
        options.pop(code or 0, None)
        shorter = replace(packet, options=MappingProxyType(dict(options)))
        if _packs(shorter, maximum):
            return replace(reply, packet=shorter)
    return Ignore(reason=f"a useful reply does not fit into the {maximum} bytes that the client accepts")


def _packs(packet: DhcpPacket, maximum: int) -> bool:
    try:
        pack(packet, maximum=maximum)
    except PacketError:
        return False
    return True


def _kind(change: Lease | Offer | None) -> Kind:
    match change:
        case Lease():
            return Kind.ACK
        case Offer():
            return Kind.OFFER
        case None:
            return Kind.INFORM
        case _:
            assert_never(change)


_BROADCAST = Destination(route=Route.BROADCAST, address=LIMITED_BROADCAST)


def _to_relay(packet: DhcpPacket) -> Destination:
    return Destination(route=Route.UNICAST, address=packet.giaddr, port=SERVER_PORT)


def _destination(packet: DhcpPacket, yiaddr: IPv4Address) -> Destination:
    """RFC 2131 section 4.1."""
    if packet.giaddr != UNSPECIFIED:
        return _to_relay(packet)
    if packet.ciaddr != UNSPECIFIED:
        return Destination(route=Route.UNICAST, address=packet.ciaddr)
    if packet.flags & BROADCAST_FLAG:
        return _BROADCAST
    return Destination(route=Route.HARDWARE, address=yiaddr)


def _maximum(packet: DhcpPacket) -> int:
    """Option 57 counts the whole datagram, 576 at least (RFC 2132 section 9.10); never more than one frame."""
    stated = int.from_bytes(packet.options.get(Option.MAXIMUM_SIZE, b"")[:2])
    return min(max(stated, 576), 1500) - _IP_AND_UDP_HEADERS


def identifier(packet: DhcpPacket, subnet: Subnet) -> IPv4Address:
    return relay_address(packet, _SERVER_ID_OVERRIDE) or subnet.server


def relay_address(packet: DhcpPacket, code: int) -> IPv4Address | None:
    """An address among the sub-options of option 82."""
    information = packet.options.get(Option.RELAY_INFORMATION, b"")
    position = 0
    while position + 2 <= len(information):
        end = position + 2 + information[position + 1]
        if information[position] == code and end - position == 6 <= len(information) - position:
            return IPv4Address(information[position + 2 : end])
        position = end
    return None
