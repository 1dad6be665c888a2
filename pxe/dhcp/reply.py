"""Builds DHCP replies: which fields and options, in which order, how long, and sent to where."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Final

from pxe.client import Stage
from pxe.dhcp.address import UNSPECIFIED, Address, Hardware
from pxe.dhcp.exchange import BROADCAST, SERVER_PORT, Destination, Ignore, Kind, Reply, Route
from pxe.dhcp.leases import Lease, LeaseTable, Offer
from pxe.dhcp.options import NO_DISCOVERY
from pxe.dhcp.packet import (
    BOOTREPLY,
    BROADCAST_FLAG,
    COOKIE,
    END,
    FILE_SIZE,
    HEADER,
    SMALLEST,
    DhcpPacket,
    MessageType,
    Option,
    Traits,
    pack,
    pack_option,
    parse,
)
from pxe.dhcp.policy import Boot, Policy, Reserved, Segment, Template
from pxe.dhcp.subnet import INFINITE_LEASE, ClientClass
from pxe.errors import PacketError

_IP_AND_UDP_HEADERS: Final = 28
_NAME: Final = int(Option.HOST_NAME)
_PARAMETERS: Final = int(Option.PARAMETER_REQUEST_LIST)
_MAXIMUM: Final = int(Option.MAXIMUM_SIZE)
_FILE: Final = int(Option.BOOT_FILE)
_UUID: Final = int(Option.CLIENT_UUID)
_ECHOED: Final = (int(Option.CLIENT_IDENTIFIER), int(Option.RELAY_INFORMATION))
# Python 3.11 is slow to look up the members of an enum.
_OFFER: Final = MessageType.OFFER
_ACK: Final = MessageType.ACK
_OFFERED: Final = Kind.OFFER
_ACKNOWLEDGED: Final = Kind.ACK
_HARDWARE: Final = Route.HARDWARE
_PXE_OPTIONS = NO_DISCOVERY + END
# Option 175, sub-option 176 no-pxedhcp = 1: iPXE then does not wait for a proxyDHCP server.
_NO_PROXY = bytes((176, 1, 1))
# Kept when the client accepts only short messages; of the rest, what comes first here is left out last.
_NEEDED = (
    Option.MESSAGE_TYPE,
    Option.SERVER_IDENTIFIER,
    Option.LEASE_TIME,
    Option.SUBNET_MASK,
    Option.ROUTER,
    Option.VENDOR_CLASS,
    Option.VENDOR_SPECIFIC,
    Option.IPXE,
    Option.CLIENT_IDENTIFIER,
    Option.RELAY_INFORMATION,
)
_WANTED = (
    Option.BOOT_FILE,
    Option.CLASSLESS_ROUTES,
    Option.DNS_SERVERS,
    Option.CLIENT_UUID,
    Option.TFTP_SERVER_NAME,
    Option.REBINDING_TIME,
    Option.RENEWAL_TIME,
    Option.HOST_NAME,
    Option.DOMAIN_NAME,
)


@dataclass(slots=True, eq=False)
class Asked:
    """A request together with what we know about its sender and its link. Made for each packet, and never changed:
    `frozen` would treble what making it costs.

    `server` is how the relay wants us to call ourselves (RFC 5107).
    """

    packet: DhcpPacket
    mac: Hardware
    traits: Traits
    group: ClientClass | None
    link: int
    segments: tuple[Segment, ...]
    server: Address | None
    reserved: Reserved | None
    source: Address
    now: float
    avoid: Container[Address]
    policy: Policy
    table: LeaseTable


def refuse(asked: Asked, reason: str) -> Reply:
    packet = asked.packet
    relayed = packet.giaddr != UNSPECIFIED
    options: dict[int, bytes] = {
        Option.MESSAGE_TYPE: bytes((MessageType.NAK,)),
        Option.SERVER_IDENTIFIER: identifier(asked, asked.segments[0]),
        Option.MESSAGE: reason.encode()[:255],
    }
    options |= {code: packet.options[code] for code in _ECHOED if code in packet.options}
    reply = DhcpPacket(
        op=BOOTREPLY,
        xid=packet.xid,
        chaddr=packet.chaddr,
        flags=packet.flags | BROADCAST_FLAG if relayed else packet.flags,
        giaddr=packet.giaddr,
        options=options,
    )
    destination = _to_relay(packet.giaddr) if relayed else BROADCAST
    return Reply(Kind.NAK, pack(reply), destination, asked.link, None, reason)


def grant(
    asked: Asked,
    segment: Segment,
    kind: MessageType,
    *,
    seconds: int,
    change: Lease | Offer | None,
    unproven: bool = False,
) -> Reply | Ignore:
    """OFFER or ACK for `seconds`; without a change the answer to an INFORM."""
    packet = asked.packet
    boot = asked.policy.boot_of(packet, asked.traits, asked.group)
    template = _template(asked, segment, kind, seconds, boot)
    own = _own_options(packet, boot)
    named = template.named and asked.reserved is not None
    name = asked.reserved.hostname.encode() if named and asked.reserved is not None else b""
    options = template.head + (pack_option(_NAME, name) if name else b"") + template.tail
    for code, value in own:
        options += pack_option(code, value)
    yiaddr = UNSPECIFIED if change is None else change.address
    ciaddr = packet.ciaddr if kind is _ACK else UNSPECIFIED
    maximum = _maximum(packet.options.get(_MAXIMUM, b"")[:2])
    if len(options) <= maximum - HEADER.size - 1:
        data = _packed(packet, ciaddr, yiaddr, boot, options)
    else:
        everything = template.options | ({_NAME: name} if name else {}) | dict(own)
        data = _shortened(_packed(packet, ciaddr, yiaddr, boot, b""), everything, maximum)
        if not data:
            return Ignore(f"a useful reply does not fit into the {maximum} bytes that the client accepts")
    return Reply(
        _OFFERED if kind is _OFFER else Kind.INFORM if change is None else _ACKNOWLEDGED,
        data,
        _destination(asked, yiaddr),
        asked.link,
        change,
        "",
        b"" if boot is None else boot.filename,
        unproven,
    )


def _template(asked: Asked, segment: Segment, kind: MessageType, seconds: int, boot: Boot | None) -> Template:
    packet, traits, group = asked.packet, asked.traits, asked.group
    parameters = packet.options.get(_PARAMETERS)
    wanted = None if parameters is None else parameters[:255]
    server = identifier(asked, segment)
    class_name = None if group is None else group.name
    how = None if boot is None else boot.next_server + bytes((boot.http_boot,))
    key = (segment, kind, seconds, traits, wanted, server, class_name, how)
    return asked.policy.template(key) or asked.policy.remember(
        key, _build(asked, segment, kind, seconds, boot, wanted, server)
    )


def _build(
    asked: Asked,
    segment: Segment,
    kind: MessageType,
    seconds: int,
    boot: Boot | None,
    wanted: bytes | None,
    server: Address,
) -> Template:
    """Mask and router always; the rest as asked for and in that order, or all of it when the client does not say."""
    options: dict[int, bytes] = {Option.MESSAGE_TYPE: bytes((kind,)), Option.SERVER_IDENTIFIER: server}
    options |= _times(seconds)
    known = {**segment.options, **({} if asked.group is None else asked.group.options), _NAME: b""}
    order = (Option.SUBNET_MASK, Option.ROUTER, *(known if wanted is None else wanted))
    options |= {code: known[code] for code in order if code in known}
    if boot is not None:
        options |= _boot_options(asked.traits, boot)
    named = _NAME in options
    codes = list(options)
    middle = codes.index(_NAME) if named else len(codes)
    options.pop(_NAME, None)
    packed = [pack_option(code, value) for code, value in options.items()]
    return Template(options, b"".join(packed[:middle]), b"".join(packed[middle:]), named)


def _times(seconds: int) -> dict[int, bytes]:
    """Nothing for none."""
    if not seconds:
        return {}
    options: dict[int, bytes] = {Option.LEASE_TIME: seconds.to_bytes(4)}
    if seconds != INFINITE_LEASE:
        options[Option.RENEWAL_TIME] = (seconds // 2).to_bytes(4)
        options[Option.REBINDING_TIME] = (seconds * 7 // 8).to_bytes(4)
    return options


def _boot_options(traits: Traits, boot: Boot) -> dict[int, bytes]:
    if boot.http_boot:
        return {Option.VENDOR_CLASS: b"HTTPClient"}
    options: dict[int, bytes] = {Option.TFTP_SERVER_NAME: str(IPv4Address(boot.next_server)).encode()}
    if traits.pxe:
        options |= {Option.VENDOR_CLASS: b"PXEClient", Option.VENDOR_SPECIFIC: _PXE_OPTIONS}
    if traits.stage is Stage.IPXE:
        options[Option.IPXE] = _NO_PROXY
    return options


def _own_options(packet: DhcpPacket, boot: Boot | None) -> list[tuple[int, bytes]]:
    """What only this machine is told. The boot file is in the header too: U-Boot reads only that, UEFI HTTP Boot only
    option 67. RFC 6842 for the client identifier; RFC 3046 section 2.2: relay information verbatim and last."""
    own: list[tuple[int, bytes]] = []
    options = packet.options
    if boot is not None:
        own.append((_FILE, boot.filename))
        if not boot.http_boot and _UUID in options:
            own.append((_UUID, options[_UUID]))
    own += [(code, options[code]) for code in _ECHOED if code in options]
    return own


def _packed(packet: DhcpPacket, ciaddr: Address, yiaddr: Address, boot: Boot | None, options: bytes) -> bytes:
    """RFC 2131 table 3: what is copied from the request, and what is zero."""
    next_server, file = (UNSPECIFIED, b"") if boot is None else (boot.next_server, boot.filename)
    header = HEADER.pack(
        BOOTREPLY,
        packet.htype,
        len(packet.chaddr),
        0,
        packet.xid,
        0,
        packet.flags,
        ciaddr,
        yiaddr,
        next_server,
        packet.giaddr,
        packet.chaddr,
        b"",
        file if len(file) < FILE_SIZE else b"",
        COOKIE,
    )
    return (header + options + END).ljust(SMALLEST, b"\0")


def _shortened(bare: bytes, options: Mapping[int, bytes], maximum: int) -> bytes:
    """`bare` is the reply without options. Empty when even the needed options do not fit.

    Leaves out what the client can do without until the reply is no longer than the client accepts.
    """
    wanted = [code for code in _WANTED if code in options]
    others = [code for code in options if code not in _NEEDED and code not in _WANTED]
    dispensable: list[int | None] = [*others[::-1], *wanted[::-1]]
    header = parse(bare)
    if not header.file and wanted[:1] == [Option.BOOT_FILE]:
        dispensable.pop()
    left = dict(options)
    for code in (None, *dispensable):
        left.pop(code or 0, None)
        try:
            return pack(header._replace(options=left), maximum=maximum)
        except PacketError:
            continue
    return b""


def _destination(asked: Asked, yiaddr: Address) -> Destination:
    """RFC 2131 section 4.1. Some clients leave ciaddr of an INFORM empty and only use the address as their source."""
    packet = asked.packet
    if packet.giaddr != UNSPECIFIED:
        return _to_relay(packet.giaddr)
    if packet.ciaddr != UNSPECIFIED:
        return Destination(Route.UNICAST, packet.ciaddr)
    if yiaddr == UNSPECIFIED:
        return Destination(Route.UNICAST, asked.source)
    if packet.flags & BROADCAST_FLAG:
        return BROADCAST
    return Destination(_HARDWARE, yiaddr)


@lru_cache(maxsize=64)
def _to_relay(giaddr: Address) -> Destination:
    return Destination(Route.UNICAST, giaddr, SERVER_PORT)


@lru_cache(maxsize=64)
def _maximum(stated: bytes) -> int:
    """Option 57 counts the whole datagram, 576 at least (RFC 2132 section 9.10); never more than one frame."""
    return min(max(int.from_bytes(stated), 576), 1500) - _IP_AND_UDP_HEADERS


def identifier(asked: Asked, segment: Segment) -> Address:
    return asked.server or segment.server
