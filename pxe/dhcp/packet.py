"""DHCPv4 messages: bytes to values and back (RFC 2131, 2132, 3396; PXE options RFC 4578)."""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from ipaddress import IPv4Address
from types import MappingProxyType
from uuid import UUID

from pxe.client import Arch, Client, Mac, Stage
from pxe.errors import PacketError

BOOTREQUEST = 1
BOOTREPLY = 2
BROADCAST_FLAG = 0x8000
UNSPECIFIED = IPv4Address(0)

_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_COOKIE = bytes((99, 130, 83, 99))
_SNAME_SIZE = 64
_FILE_SIZE = 128
_LARGEST = 9216  # a jumbo frame; no client sends more
_ETHERNET = 1
_PAD = 0
_OVERLOAD = 52
_END = 255
_LEGAL_CODES = frozenset(range(1, 255)) - {_OVERLOAD}


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
    BROADCAST_ADDRESS = 28
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
    IPXE = 175


@dataclass(frozen=True, slots=True, kw_only=True)
class DhcpPacket:
    """`chaddr` has hlen bytes; `sname` and `file` end before their first NUL; options keep their order.

    Option 52 (overload) is a matter of the encoding and never appears in `options`.
    """

    op: int
    xid: int
    chaddr: bytes
    htype: int = _ETHERNET
    hops: int = 0
    secs: int = 0
    flags: int = 0
    ciaddr: IPv4Address = UNSPECIFIED
    yiaddr: IPv4Address = UNSPECIFIED
    siaddr: IPv4Address = UNSPECIFIED
    giaddr: IPv4Address = UNSPECIFIED
    sname: bytes = b""
    file: bytes = b""
    options: Mapping[int, bytes] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if not _LEGAL_CODES.issuperset(self.options):
            raise PacketError("illegal option code", evidence=str(sorted(self.options)))
        if len(self.chaddr) > 16 or len(self.sname) > _SNAME_SIZE or len(self.file) > _FILE_SIZE:
            raise PacketError("header field too long", evidence=repr((self.chaddr, self.sname, self.file)))
        if b"\0" in self.sname or b"\0" in self.file:
            raise PacketError("NUL inside a header string", evidence=repr((self.sname, self.file)))

    @property
    def message_type(self) -> MessageType | None:
        """None for plain BOOTP, and for a type that we do not know."""
        value = self.options.get(Option.MESSAGE_TYPE, b"")
        return _MESSAGE_TYPES.get(value)

    def address(self, option: Option) -> IPv4Address | None:
        """None when the option is absent; PacketError when it is not one address."""
        value = self.options.get(option)
        if value is None:
            return None
        if len(value) != 4:
            raise PacketError(f"option {option.value} is not an address", evidence=value[:32].hex())
        return _address(value)


_MESSAGE_TYPES = MappingProxyType({bytes((kind,)): kind for kind in MessageType})


@lru_cache(maxsize=4096)
def _address(raw: bytes) -> IPv4Address:
    return IPv4Address(raw)


def parse(data: bytes) -> DhcpPacket:
    """Total: anything that is not a DHCP or BOOTP message raises PacketError, and nothing else is raised."""
    if not _HEADER.size <= len(data) <= _LARGEST:
        raise PacketError(f"{len(data)} bytes are no DHCP message", evidence=data[:64].hex())
    op, htype, hlen, hops, xid, secs, flags, ci, yi, si, gi, chaddr, sname, file, cookie = _HEADER.unpack_from(data)
    if cookie != _COOKIE or op not in (BOOTREQUEST, BOOTREPLY) or hlen > 16:
        raise PacketError("no DHCP header", evidence=data[:64].hex())
    options: dict[int, bytes] = {}
    _collect(data[_HEADER.size :], options)
    if _OVERLOAD in options:
        sname, file = _collect_overload(sname, file, options)
    return DhcpPacket(
        op=op,
        htype=htype,
        hops=hops,
        xid=xid,
        secs=secs,
        flags=flags,
        ciaddr=_address(ci),
        yiaddr=_address(yi),
        siaddr=_address(si),
        giaddr=_address(gi),
        chaddr=chaddr[:hlen],
        sname=sname.partition(b"\0")[0],
        file=file.partition(b"\0")[0],
        options=MappingProxyType(options),
    )


def _collect(area: bytes, options: dict[int, bytes]) -> None:
    """Repeated codes are one long option (RFC 3396); what follows the end option is ignored."""
    position, size = 0, len(area)
    while position < size:
        code = area[position]
        if code == _END:
            return
        position += 1
        if code == _PAD:
            continue
        start = position + 1
        position = start + area[position] if position < size else size + 1
        if position > size:
            raise PacketError(f"option {code} is cut off", evidence=area[-64:].hex())
        options[code] = options.get(code, b"") + area[start:position]


def _collect_overload(sname: bytes, file: bytes, options: dict[int, bytes]) -> tuple[bytes, bytes]:
    """RFC 3396 section 5: the options field, then file, then sname. Returns what is left as sname and file."""
    where = options.pop(_OVERLOAD)
    if where not in (b"\1", b"\2", b"\3"):
        raise PacketError("bad option overload", evidence=where[:16].hex())
    for flag, area in ((1, file), (2, sname)):
        if where[0] & flag:
            _collect(area, options)
            options.pop(_OVERLOAD, None)
    return (b"" if where[0] & 2 else sname), (b"" if where[0] & 1 else file)


def pack(packet: DhcpPacket, *, minimum: int = 300, maximum: int = 1472) -> bytes:
    """Sizes are bytes of UDP payload; RFC 1542 section 2.1 asks for 300 at least.

    Options that do not fit overflow into empty file and sname fields; PacketError when even that is too little.
    """
    fragments = list(_fragments(packet.options))
    room = maximum - _HEADER.size - 1
    if sum(map(len, fragments)) <= room:
        return (_header(packet, packet.sname, packet.file) + b"".join(fragments) + b"\xff").ljust(minimum, b"\0")
    return _pack_overloaded(packet, fragments, room).ljust(minimum, b"\0")


def _fragments(options: Mapping[int, bytes]) -> Iterator[bytes]:
    for code, value in options.items():
        if len(value) < 256:
            yield bytes((code, len(value))) + value
        else:
            for start in range(0, len(value), 255):
                part = value[start : start + 255]
                yield bytes((code, len(part))) + part


def _pack_overloaded(packet: DhcpPacket, fragments: list[bytes], room: int) -> bytes:
    places = [(0, room - 3)]
    places += [(1, _FILE_SIZE - 1)] if not packet.file else []
    places += [(2, _SNAME_SIZE - 1)] if not packet.sname else []
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
    try:
        return _HEADER.pack(
            packet.op,
            packet.htype,
            len(packet.chaddr),
            packet.hops,
            packet.xid,
            packet.secs,
            packet.flags,
            packet.ciaddr.packed,
            packet.yiaddr.packed,
            packet.siaddr.packed,
            packet.giaddr.packed,
            packet.chaddr,
            sname,
            file,
            _COOKIE,
        )
    except struct.error as error:
        raise PacketError("header field out of range", evidence=repr(packet)[:200]) from error


def client_of(packet: DhcpPacket) -> Client:
    """Who asks, and which program of the boot chain it is. PacketError unless the client is on Ethernet."""
    if packet.htype != _ETHERNET or len(packet.chaddr) != 6:
        raise PacketError("not an Ethernet client", evidence=f"htype {packet.htype}, {packet.chaddr.hex()}")
    options = packet.options
    return Client(
        mac=Mac.from_bytes(packet.chaddr),
        stage=_stage(options),
        arch=_arch(options.get(Option.CLIENT_ARCH, b""), options.get(Option.VENDOR_CLASS, b"")),
        uuid=_uuid(options.get(Option.CLIENT_UUID, b"")),
    )


def _stage(options: Mapping[int, bytes]) -> Stage:
    # iPXE also calls itself PXEClient, so it is looked for first; else it would be told to load itself for ever.
    # The user class is raw text in old iPXE, a list of length-prefixed strings (RFC 3004) elsewhere.
    user_class = options.get(Option.USER_CLASS, b"")
    if Option.IPXE in options or user_class == b"iPXE" or b"\4iPXE" in user_class:
        return Stage.IPXE
    vendor_class = options.get(Option.VENDOR_CLASS, b"")
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


def _uuid(value: bytes) -> UUID | None:
    """RFC 4578 section 2.3: type 0 and a GUID, whose first three fields are little-endian as in SMBIOS."""
    raw = value[1:]
    if len(value) != 17 or value[0] != 0 or raw in (bytes(16), b"\xff" * 16):
        return None
    return UUID(bytes_le=raw)
