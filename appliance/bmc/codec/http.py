"""HTTP/1.1 messages (RFC 9112) as a client of one BMC sees them: one request, then its answer. Pure.

Whatever a BMC sends, the outcome is a response or a `PacketError`; what can be read in two ways is refused.
"""

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from pxe.errors import PacketError

MAX_HEAD = 1 << 15
_MAX_LINE = 1 << 12
_MAX_INTERIM = 8
_MAX_CHUNKS = 1 << 14
_MAX_TRAILER = 64
_MAX_FIELDS = 128
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00\r\n]*)")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?")
_UNSENDABLE = re.compile(r"[^\t\x20-\x7e\xa0-\xff]")
_BODILESS = (204, 304)
_FRAMING = ("transfer-encoding", "content-length", "connection", "content-encoding")
_PACKED = (["gzip"], ["x-gzip"], ["deflate"])
_ANY_ZLIB = 47  # gzip or zlib, by its header

Headers = tuple[tuple[str, str], ...]


class TooLargeError(PacketError):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """`again`: the connection may carry another request."""

    status: int
    headers: Headers
    body: bytes
    again: bool


def pack_request(method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    """Raises `PacketError` for text that would be read as more than it is."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if any(map(_UNSENDABLE.search, lines)) or " " in target:
        raise PacketError("control characters in a request")
    if body or method != "GET":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class ResponseReader:
    """Fed with what arrives until it gives the response; then it is spent."""

    def __init__(self, body_bytes: int) -> None:
        self._most = body_bytes
        self._buffer = bytearray()
        self._body = bytearray()
        self._head: _Head | None = None
        self._interim = 0
        self._lines = self._chunks = self._left = 0
        self._within = self._trailing = False

    def feed(self, data: bytes) -> Response | None:
        self._buffer += data
        while self._head is None:
            if not self._read_head():
                return None
        head = self._head
        if head.chunked:
            return self._whole(head) if self._read_chunks() else None
        if (len(self._buffer) if head.length is None else head.length) > self._most:
            raise TooLargeError(f"more than {self._most} bytes")
        if head.length is None or len(self._buffer) < head.length:
            return None
        self._body, self._buffer = self._buffer[: head.length], self._buffer[head.length :]
        return self._whole(head)

    def end(self) -> Response:
        """The connection was closed, which ends an answer that does not say how long it is."""
        head = self._head
        if head is None or head.chunked or head.length is not None:
            raise PacketError("the connection was closed within an answer")
        self._body, self._buffer = self._buffer, bytearray()
        return self._whole(head)

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n", 0, MAX_HEAD)
        if end < 0:
            if len(self._buffer) >= MAX_HEAD:
                raise TooLargeError(f"a head of more than {MAX_HEAD} bytes")
            if not b"HTTP/1.".startswith(self._buffer[:7]):
                raise PacketError("no HTTP/1 answer")
            return False
        head = _parse_head(bytes(self._buffer[:end]))
        del self._buffer[: end + 4]
        if head.status >= 200:
            self._head = head
            return True
        self._interim += 1
        if head.status == 101 or self._interim > _MAX_INTERIM:
            raise PacketError("interim answers without end")
        return bool(self._buffer)

    def _read_chunks(self) -> bool:
        """True after the last one and its trailer."""
        while True:
            if self._left:
                part = self._buffer[: self._left]
                self._body += part
                self._left -= len(part)
                del self._buffer[: len(part)]
            if self._left or (line := self._line()) is None:
                return False
            if self._within and line:
                raise PacketError("a chunk longer than it says")
            if self._trailing and self._ended_by(line):
                return True
            if not self._within and not self._trailing:
                self._begin_chunk(line)
            else:
                self._within = False

    def _ended_by(self, line: bytes) -> bool:
        self._lines += 1
        if self._lines > _MAX_TRAILER:
            raise TooLargeError("a trailer without end")
        return not line

    def _begin_chunk(self, line: bytes) -> None:
        if (match := _CHUNK.fullmatch(line)) is None:
            raise PacketError("no chunk")
        self._left, self._chunks = int(match[1], 16), self._chunks + 1
        self._within, self._trailing = self._left > 0, not self._left
        if len(self._body) + self._left > self._most or self._chunks > _MAX_CHUNKS:
            raise TooLargeError(f"more than {self._most} bytes or {_MAX_CHUNKS} chunks")

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n", 0, _MAX_LINE)
        if end < 0:
            if len(self._buffer) >= _MAX_LINE:
                raise PacketError("a chunk's line without end")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _whole(self, head: "_Head") -> Response:
        body = bytes(self._body)
        return Response(
            status=head.status,
            headers=head.headers,
            body=_inflated(body, self._most) if head.packed and body else body,
            again=head.again and not self._buffer and (head.chunked or head.length is not None),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """`length` is None where only the end of the connection tells; `packed`: gzip or zlib."""

    status: int
    headers: Headers
    length: int | None
    chunked: bool
    packed: bool
    again: bool


def _parse_head(head: bytes) -> _Head:
    first, *lines = head.split(b"\r\n")
    if (status_line := _STATUS.fullmatch(first)) is None:
        raise PacketError("no HTTP/1 answer")
    if len(lines) > _MAX_FIELDS:
        raise TooLargeError("too many header fields")
    status, minor = int(status_line[2]), status_line[1]
    headers = tuple(map(_field, lines))
    told: dict[str, list[str]] = {}
    for name, value in headers:
        if (lower := name.lower()) in _FRAMING:
            told.setdefault(lower, []).append(value.lower())
    coding, lengths = told.get("transfer-encoding", []), set(told.get("content-length", ()))
    if coding and (coding != ["chunked"] or lengths):
        raise PacketError("an answer framed in two ways, or in one that nobody asked for")
    wishes = {word.strip() for value in told.get("connection", ()) for word in value.split(",")}
    return _Head(
        status=status,
        headers=headers,
        length=0 if status in _BODILESS or status < 200 else _length(lengths),
        chunked=bool(coding) and status not in _BODILESS,
        packed=told.get("content-encoding") in _PACKED,
        again="close" not in wishes and (minor == b"1" or "keep-alive" in wishes),
    )


def _field(line: bytes) -> tuple[str, str]:
    if (match := _FIELD.fullmatch(line)) is None:
        raise PacketError("a broken header field")
    return match[1].decode("latin-1"), match[2].decode("latin-1").rstrip(" \t")


def _length(said: set[str]) -> int | None:
    if not said:
        return None
    if len(said) > 1 or not (text := said.pop()).isascii() or not text.isdigit() or len(text) > 18:
        raise PacketError("a broken Content-Length")
    return int(text)


def _inflated(body: bytes, most: int) -> bytes:
    """Some BMCs compress though they were asked not to."""
    inflate = zlib.decompressobj(_ANY_ZLIB)
    try:
        plain = inflate.decompress(body, most)
    except zlib.error as error:
        raise PacketError("broken compression") from error
    if inflate.unconsumed_tail:
        raise TooLargeError(f"more than {most} bytes")
    if not inflate.eof:
        raise PacketError("broken compression")
    return plain
