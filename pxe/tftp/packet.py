"""TFTP packets (RFC 1350 section 5, options RFC 2347): bytes <-> values.

Text is Latin-1, so that any byte of a hostile name survives the round trip and nothing fails to decode.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import assert_never

from pxe.errors import PacketError

MAX_REQUEST = 1024
MAX_OPTIONS = 16

_U16 = 0xFFFF


class Opcode(IntEnum):
    RRQ = 1
    WRQ = 2
    DATA = 3
    ACK = 4
    ERROR = 5
    OACK = 6


class ErrorCode(IntEnum):
    """RFC 1350 section 5, and 8 from RFC 2347."""

    UNDEFINED = 0
    NOT_FOUND = 1
    ACCESS = 2
    DISK_FULL = 3
    ILLEGAL = 4
    UNKNOWN_TID = 5
    EXISTS = 6
    NO_USER = 7
    OPTION = 8


Options = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    """`mode` and option names are lower case; of an option that comes twice the first counts."""

    name: str
    mode: str = "octet"
    options: Options = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRequest:
    name: str
    mode: str = "octet"
    options: Options = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """`block` is the number on the wire, 0..65535."""

    block: int
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """`code` is any number: clients invent their own."""

    code: int
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionAck:
    options: Options


Packet = ReadRequest | WriteRequest | Data | Ack | Error | OptionAck


def parse(raw: bytes) -> Packet:
    """Raises PacketError on anything else."""
    if len(raw) < 4:
        raise PacketError("TFTP packet shorter than 4 bytes", evidence=raw.hex())
    opcode, number = int.from_bytes(raw[:2]), int.from_bytes(raw[2:4])
    match opcode:
        case Opcode.ACK:
            return Ack(block=number)
        case Opcode.DATA:
            return Data(block=number, payload=raw[4:])
        case Opcode.ERROR:
            return Error(code=number, message=_text(raw[4:].split(b"\0", 1)[0][:MAX_REQUEST]))
        case Opcode.OACK:
            return OptionAck(options=_options(_strings(raw)))
        case Opcode.RRQ:
            name, mode, options = _request(raw)
            return ReadRequest(name=name, mode=mode, options=options)
        case Opcode.WRQ:
            name, mode, options = _request(raw)
            return WriteRequest(name=name, mode=mode, options=options)
        case _:
            raise PacketError("unknown TFTP opcode", evidence=raw[:16].hex())


def _request(raw: bytes) -> tuple[str, str, Options]:
    words = _strings(raw)
    if len(words) < 2 or not words[0]:
        raise PacketError("TFTP request without a name and a mode", evidence=raw[:64].hex())
    return words[0], words[1].lower(), _options(words[2:])


def _strings(raw: bytes) -> list[str]:
    """What follows the last NUL is padding: some firmware sends a fixed-size buffer."""
    if len(raw) > MAX_REQUEST:
        raise PacketError("TFTP request is too long", evidence=f"{len(raw)} bytes")
    return [_text(word) for word in raw[2:].split(b"\0")[:-1]]


def _options(words: list[str]) -> Options:
    """An empty name ends the list: it is padding too."""
    found: dict[str, str] = {}
    for name, value in zip(words[::2], words[1::2], strict=False):
        if not name or len(found) == MAX_OPTIONS:
            break
        found.setdefault(name.lower(), value)
    return tuple(found.items())


def _text(raw: bytes) -> str:
    return raw.decode("latin-1")


def pack(packet: Packet) -> bytes:
    match packet:
        case Data():
            return pack_data(packet.block, packet.payload)
        case Ack():
            return Opcode.ACK.to_bytes(2) + packet.block.to_bytes(2)
        case Error():
            return Opcode.ERROR.to_bytes(2) + packet.code.to_bytes(2) + _words(packet.message)
        case OptionAck():
            return Opcode.OACK.to_bytes(2) + _pack_options(packet.options)
        case ReadRequest():
            return Opcode.RRQ.to_bytes(2) + _words(packet.name, packet.mode) + _pack_options(packet.options)
        case WriteRequest():
            return Opcode.WRQ.to_bytes(2) + _words(packet.name, packet.mode) + _pack_options(packet.options)
        case _:
            assert_never(packet)


def pack_data(block: int, payload: bytes) -> bytes:
    """`block` counts from 1 without bound; on the wire 65535 rolls over to 0."""
    return b"\0\3" + (block & _U16).to_bytes(2) + payload


def pack_blocks(first: int, content: bytes, size: int, count: int) -> bytes:
    """`count` DATA packets, one behind the other, from block `first`: each `size` + 4 bytes but the last one.

    `content` starts with block `first`.
    """
    return b"".join(pack_data(first + index, content[index * size : (index + 1) * size]) for index in range(count))


def _pack_options(options: Options) -> bytes:
    return b"".join(_words(name, value) for name, value in options)


def _words(*words: str) -> bytes:
    return b"".join(word.replace("\0", "").encode("latin-1", "replace") + b"\0" for word in words)


def candidates(name: str) -> tuple[str, ...]:
    """The names to look up, best first, for a name as firmware writes it.

    BIOS ROMs and Windows-bred loaders write backslashes, leading or doubled slashes and upper case.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    plain = "/".join(parts)
    return (plain,) if plain == plain.lower() else (plain, plain.lower())
