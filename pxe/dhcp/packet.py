"""DHCPv4 messages: bytes to values and back (RFC 2131, 2132, 3396; PXE options RFC 4578)."""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple
from uuid import UUID

from pxe.client import Arch, Client, Mac, Stage
from pxe.dhcp.address import UNSPECIFIED, Address, Hardware
from pxe.errors import PacketError

BOOTREQUEST = 1
BOOTREPLY = 2
BROADCAST_FLAG = 0x8000

HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
"""op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file, magic cookie."""

COOKIE = bytes((99, 130, 83, 99))
END = b"\xff"
SMALLEST = 300
"""Bytes of UDP payload, RFC 1542 section 2.1; shorter ones are padded."""

SNAME_SIZE: Final = 64
FILE_SIZE: Final = 128
_LARGEST: Final = 9216  # a jumbo frame; no client sends more
_ETHERNET: Final = 1
_OVERLOAD: Final = 52
_TYPE: Final = 53
_LEGAL_CODES = frozenset(range(1, 255)) - {_OVERLOAD}
_BYTES: Final = tuple(bytes((number,)) for number in range(256))


class MessageType(IntEnum):
    """Option 53, RFC 2132 section 9.6."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


class Option(IntEnum):
    """The option codes we read or write (IANA "BOOTP Vendor Extensions and DHCP Options")."""

    SUBNET_MASK = 1
    ROUTER = 3
    DNS_SERVERS = 6
    HOST_NAME = 12
    DOMAIN_NAME = 15
    MTU = 26
    BROADCAST_ADDRESS = 28
    NTP_SERVERS = 42
    VENDOR_SPECIFIC = 43
    REQUESTED_ADDRESS = 50
    LEASE_TIME = 51
    MESSAGE_TYPE = 53
    SERVER_IDENTIFIER = 54
    PARAMETER_REQUEST_LIST = 55
    MESSAGE = 56
    MAXIMUM_SIZE = 57
    RENEWAL_TIME = 58
    REBINDING_TIME = 59
    VENDOR_CLASS = 60
    CLIENT_IDENTIFIER = 61
    TFTP_SERVER_NAME = 66
    BOOT_FILE = 67
    USER_CLASS = 77
    CLIENT_FQDN = 81
    RELAY_INFORMATION = 82
    CLIENT_ARCH = 93
    CLIENT_UUID = 97
    DOMAIN_SEARCH = 119
    CLASSLESS_ROUTES = 121
    IPXE = 175


class DhcpPacket(NamedTuple):
    """`chaddr` has hlen bytes; `sname` and `file` end before their first NUL; options keep their order.

    Option 52 (overload) is a matter of the encoding and never appears in `options`. `pack` refuses what is none.
    """

    op: int
    xid: int
    chaddr: bytes
    htype: int = _ETHERNET
    hops: int = 0
    secs: int = 0
    flags: int = 0
    ciaddr: Address = UNSPECIFIED
    yiaddr: Address = UNSPECIFIED
    siaddr: Address = UNSPECIFIED
    giaddr: Address = UNSPECIFIED
    sname: bytes = b""
    file: bytes = b""
    options: Mapping[int, bytes] = MappingProxyType({})

    @property
    def message_type(self) -> MessageType | None:
        """None for plain BOOTP, and for a type that we do not know."""
        return _MESSAGE_TYPES.get(self.options.get(_TYPE, b""))

    def address(self, option: int) -> Address | None:
        """None when the option is absent; PacketError when it is not one address."""
        value = self.options.get(option)
        if value is None:
            return None
        if len(value) != 4:
            raise PacketError(f"option {int(option)} is not an address", evidence=value[:32].hex())
        return Address(value)


_MESSAGE_TYPES = MappingProxyType({bytes((kind,)): kind for kind in MessageType})


def parse(data: bytes) -> DhcpPacket:
    """Total: anything that is not a DHCP or BOOTP message raises PacketError, and nothing else is raised."""
    if not HEADER.size <= len(data) <= _LARGEST:
        raise PacketError(f"{len(data)} bytes are no DHCP message", evidence=data[:64].hex())
    op, htype, hlen, hops, xid, secs, flags, ci, yi, si, gi, chaddr, sname, file, cookie = HEADER.unpack_from(data)
    if cookie != COOKIE or op not in (BOOTREQUEST, BOOTREPLY) or hlen > 16:
        raise PacketError("no DHCP header", evidence=data[:64].hex())
    options: dict[int, bytes] = {}
    _collect(data, HEADER.size, options)
    if _OVERLOAD in options:
        sname, file = _collect_overload(sname, file, options)
    sname, file = sname.partition(b"\0")[0], file.partition(b"\0")[0]
    return DhcpPacket(op, xid, chaddr[:hlen], htype, hops, secs, flags, ci, yi, si, gi, sname, file, options)


def _collect(area: bytes, position: int, options: dict[int, bytes]) -> None:
    """Repeated codes are one long option (RFC 3396); what follows the end option is ignored."""
    size = len(area)
    try:
        while position < size:
            code = area[position]
            if code == 255:
                return
            if code == 0:
                position += 1
                continue
            start = position + 2
            position = start + area[position + 1]
            if code in options:
                options[code] += area[start:position]
            else:
                options[code] = area[start:position]
    except IndexError:
        position = size + 1
    if position > size:
        raise PacketError("an option is cut off", evidence=area[-64:].hex())


def _collect_overload(sname: bytes, file: bytes, options: dict[int, bytes]) -> tuple[bytes, bytes]:
    """RFC 3396 section 5: the options field, then file, then sname. Returns what is left as sname and file."""
    where = options.pop(_OVERLOAD)
    if where not in (b"\1", b"\2", b"\3"):
        raise PacketError("bad option overload", evidence=where[:16].hex())
    for flag, area in ((1, file), (2, sname)):
        if where[0] & flag:
            _collect(area, 0, options)
            options.pop(_OVERLOAD, None)
    return (b"" if where[0] & 2 else sname), (b"" if where[0] & 1 else file)


def pack(packet: DhcpPacket, *, minimum: int = SMALLEST, maximum: int = 1472) -> bytes:
    """Sizes are bytes of UDP payload.

    Options that do not fit overflow into empty file and sname fields; PacketError when even that is too little.
    """
    if not _LEGAL_CODES.issuperset(packet.options):
        raise PacketError("illegal option code", evidence=str(sorted(packet.options))[:200])
    fragments = [fragment for code, value in packet.options.items() for fragment in _fragments(code, value)]
    room = maximum - HEADER.size - 1
    if sum(map(len, fragments)) <= room:
        return (_header(packet, packet.sname, packet.file) + b"".join(fragments) + END).ljust(minimum, b"\0")
    return _pack_overloaded(packet, fragments, room).ljust(minimum, b"\0")


def pack_option(code: int, value: bytes) -> bytes:
    """Longer ones as several fragments (RFC 3396)."""
    if len(value) < 256:
        return _BYTES[code] + _BYTES[len(value)] + value
    return b"".join(_fragments(code, value))


def _fragments(code: int, value: bytes) -> Iterator[bytes]:
    for start in range(0, len(value) or 1, 255):
        part = value[start : start + 255]
        yield bytes((code, len(part))) + part


def _pack_overloaded(packet: DhcpPacket, fragments: list[bytes], room: int) -> bytes:
    places = [(0, room - 3)]
    places += [(1, FILE_SIZE - 1)] if not packet.file else []
    places += [(2, SNAME_SIZE - 1)] if not packet.sname else []
    areas = {0: b"", 1: b"", 2: b""}
    rest = iter(fragments)
    fragment = next(rest, None)
    for flag, size in places:
        while fragment is not None and len(areas[flag]) + len(fragment) <= size:
            areas[flag] += fragment
            fragment = next(rest, None)
    if fragment is not None:
        raise PacketError("options do not fit", evidence=f"{sum(map(len, fragments))} bytes, room for {room}")
    where = (1 if areas[1] else 0) | (2 if areas[2] else 0)
    file = areas[1] + b"\xff" if areas[1] else packet.file
    sname = areas[2] + b"\xff" if areas[2] else packet.sname
    return _header(packet, sname, file) + bytes((_OVERLOAD, 1, where)) + areas[0] + b"\xff"


def _header(packet: DhcpPacket, sname: bytes, file: bytes) -> bytes:
    chaddr = packet.chaddr
    if len(chaddr) > 16 or len(sname) > SNAME_SIZE or len(file) > FILE_SIZE:
        raise PacketError("header field too long", evidence=repr((chaddr, sname, file))[:400])
    if b"\0" in packet.sname or b"\0" in packet.file:
        raise PacketError("NUL inside a header string", evidence=repr((sname, file))[:400])
    op, xid, _, htype, hops, secs, flags, ci, yi, si, gi, *_ = packet
    try:
        return HEADER.pack(op, htype, len(chaddr), hops, xid, secs, flags, ci, yi, si, gi, chaddr, sname, file, COOKIE)
    except struct.error as error:
        raise PacketError("header field out of range", evidence=repr(packet)[:200]) from error


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Traits:
    """Which program asks, on what kind of machine. One object for each such kind: compared and hashed by identity.

    `pxe` says that it calls itself PXEClient, as iPXE does too.
    """

    stage: Stage
    arch: Arch | None
    pxe: bool
    vendor_class: bytes
    user_class: bytes


def traits_of(packet: DhcpPacket) -> Traits:
    find = packet.options.get
    return _traits(find(60, b"")[:255], find(77, b"")[:255], find(93, b"")[:255], 175 in packet.options)


@lru_cache(maxsize=512)
def _traits(vendor_class: bytes, user_class: bytes, archs: bytes, ipxe: bool) -> Traits:
    return Traits(
        stage=_stage(vendor_class, user_class, ipxe),
        arch=_arch(archs, vendor_class),
        pxe=vendor_class.startswith(b"PXEClient"),
        vendor_class=vendor_class,
        user_class=user_class,
    )


def hardware_of(packet: DhcpPacket) -> Hardware:
    """PacketError unless the client is on Ethernet."""
    if packet.htype != _ETHERNET or len(packet.chaddr) != 6:
        raise PacketError("not an Ethernet client", evidence=f"htype {packet.htype}, {packet.chaddr.hex()}")
    return Hardware(packet.chaddr)


def client_of(packet: DhcpPacket) -> Client:
    """Who asks, and which program of the boot chain it is. PacketError unless the client is on Ethernet."""
    traits = traits_of(packet)
    return Client(
        mac=Mac.from_bytes(hardware_of(packet)),
        stage=traits.stage,
        arch=traits.arch,
        uuid=uuid_of(packet.options.get(Option.CLIENT_UUID, b"")),
    )


def _stage(vendor_class: bytes, user_class: bytes, ipxe: bool) -> Stage:
    # iPXE also calls itself PXEClient, so it is looked for first; else it would be told to load itself for ever.
    # The user class is raw text in old iPXE, a list of length-prefixed strings (RFC 3004) elsewhere.
    if ipxe or user_class == b"iPXE" or b"\4iPXE" in user_class:
        return Stage.IPXE
    if vendor_class.startswith(b"PXEClient"):
        return Stage.FIRMWARE
    if vendor_class.startswith(b"HTTPClient"):
        return Stage.HTTP_BOOT
    return Stage.SYSTEM


def _arch(codes: bytes, vendor_class: bytes) -> Arch | None:
    """The first code of option 93 that we know; else the one in "PXEClient:Arch:00007:UNDI:003000"."""
    numbers = [int.from_bytes(codes[i : i + 2]) for i in range(0, len(codes) - 1, 2)]
    words = vendor_class.split(b":")
    if not numbers and len(words) > 2 and words[1] == b"Arch" and words[2].isdigit() and len(words[2]) == 5:
        numbers = [int(words[2])]
    return next((_ARCHS[number] for number in numbers if number in _ARCHS), None)


_ARCHS = MappingProxyType({arch.value: arch for arch in Arch})


def uuid_of(value: bytes) -> UUID | None:
    """RFC 4578 section 2.3: type 0 and a GUID, whose first three fields are little-endian as in SMBIOS."""
    raw = value[1:]
    if len(value) != 17 or value[0] != 0 or raw in (bytes(16), b"\xff" * 16):
        return None
    return UUID(bytes_le=raw)
