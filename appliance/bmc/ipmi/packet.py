"""RMCP and IPMI packets (IPMI 2.0 rev 1.1 section 13): bytes <-> values. Pure; decoders raise `PacketError` only."""

from dataclasses import dataclass
from enum import IntEnum

from pxe.errors import PacketError

PORT = 623
MAX_DATAGRAM = 2048

_RMCP = b"\x06\x00\xff\x07"
_V20 = 6
_BMC, _CONSOLE = 0x20, 0x81
_ENCRYPTED, _AUTHENTICATED = 0x80, 0x40
_TRAILER = 0x07


class Payload(IntEnum):
    """Table 13-16, payload types."""

    IPMI = 0x00
    SOL = 0x01
    OPEN_REQUEST = 0x10
    OPEN_RESPONSE = 0x11
    RAKP1 = 0x12
    RAKP2 = 0x13
    RAKP3 = 0x14
    RAKP4 = 0x15


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`netfn` is even; `sequence` is 6 bits and tells replies apart."""

    netfn: int
    command: int
    data: bytes
    sequence: int = 0
    lun: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """`netfn` is that of the request plus 1; `code` is the completion code (table 5-2)."""

    netfn: int
    command: int
    sequence: int
    code: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One RMCP+ datagram, opened no further. `signed` is what the authentication code covers, with `code` behind it;
    both are empty where the packet is not authenticated."""

    payload: Payload
    session: int
    sequence: int
    encrypted: bool
    body: bytes
    signed: bytes = b""
    code: bytes = b""


def checksum(data: bytes) -> int:
    return -sum(data) & 0xFF


def encode_request(request: Request) -> bytes:
    head = bytes((_BMC, request.netfn << 2 | request.lun))
    body = bytes((_CONSOLE, request.sequence << 2, request.command)) + request.data
    return head + bytes((checksum(head),)) + body + bytes((checksum(body),))


def decode_response(message: bytes) -> Response:
    if len(message) < 8 or message[0] != _CONSOLE or not message[1] & 4:
        raise PacketError("no IPMI response")
    if sum(message[:3]) & 0xFF or sum(message[3:]) & 0xFF:
        raise PacketError("checksum")
    return Response(
        netfn=message[1] >> 2,
        command=message[5],
        sequence=message[4] >> 2,
        code=message[6],
        data=message[7:-1],
    )


def encode_bare(message: bytes) -> bytes:
    """Outside any session, in the format of IPMI 1.5 that every BMC understands (section 13.6)."""
    return _RMCP + bytes(9) + bytes((len(message),)) + message


def decode_bare(datagram: bytes) -> bytes:
    if not is_bare(datagram) or len(datagram) < 14 + datagram[13]:
        raise PacketError("no sessionless IPMI message")
    return datagram[14 : 14 + datagram[13]]


def is_bare(datagram: bytes) -> bool:
    return len(datagram) >= 14 and datagram[:4] == _RMCP and datagram[4:13] == bytes(9)


def encode_frame(payload: Payload, session: int, sequence: int, body: bytes, *, flags: int = 0) -> bytes:
    """`flags` are `SEALED` inside a session, 0 before one is set up."""
    head = bytes((_V20, payload | flags)) + session.to_bytes(4, "little") + sequence.to_bytes(4, "little")
    return _RMCP + head + len(body).to_bytes(2, "little") + body


SEALED = _ENCRYPTED | _AUTHENTICATED


def trailer(datagram: bytes) -> bytes:
    """Integrity pad, pad length and next header, so that the authentication code ends on 4 bytes (table 13-8)."""
    pad = -(len(datagram) - len(_RMCP) + 2) % 4
    return b"\xff" * pad + bytes((pad, _TRAILER))


def signed_part(datagram: bytes) -> bytes:
    return datagram[len(_RMCP) :]


def decode_frame(datagram: bytes, code_bytes: int = 0) -> Frame:
    """`code_bytes` is the length of an authentication code under the session's suite."""
    if len(datagram) < 16 or datagram[:4] != _RMCP or datagram[4] != _V20:
        raise PacketError("no RMCP+ packet")
    size = int.from_bytes(datagram[14:16], "little")
    body = datagram[16 : 16 + size]
    if len(body) != size or len(datagram) > MAX_DATAGRAM:
        raise PacketError("RMCP+ packet cut short")
    try:
        payload = Payload(datagram[5] & 0x3F)
    except ValueError as error:
        raise PacketError("unknown payload type") from error
    split = len(datagram) - code_bytes
    signed = bool(datagram[5] & _AUTHENTICATED)
    if signed and (not code_bytes or split < 18 + size or datagram[split - 1] != _TRAILER):
        raise PacketError("no room for an authentication code")
    return Frame(
        payload=payload,
        session=int.from_bytes(datagram[6:10], "little"),
        sequence=int.from_bytes(datagram[10:14], "little"),
        encrypted=bool(datagram[5] & _ENCRYPTED),
        body=body,
        signed=datagram[4:split] if signed else b"",
        code=datagram[split:] if signed else b"",
    )


def console_session(datagram: bytes) -> int:
    """Whose packet it claims to be, before anything is verified: our session id, 0 for what names none."""
    if is_bare(datagram):
        return 0
    if len(datagram) < 16 or datagram[:5] != _RMCP + bytes((_V20,)):
        raise PacketError("no RMCP+ packet")
    if datagram[5] & _AUTHENTICATED:
        return int.from_bytes(datagram[6:10], "little")
    # Before there is a session its id stands in the message (open session response, RAKP 2, RAKP 4); OpenIPMI's BMC
    # leaves it out of refusals.
    return int.from_bytes(datagram[20:24], "little") if len(datagram) >= 24 else 0
