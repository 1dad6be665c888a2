"""HTTP/1.x request and response heads: bytes <-> values (RFC 9112, RFC 9110).

Strict where a loose reading could hide a second request (RFC 9112 section 11.2): bare line feeds, folded lines,
repeated Host or Content-Length, and any Transfer-Encoding are refused. Tolerant where firmware is known to be odd:
absolute-form targets, an empty line before the request, repeated slashes (shim asks for //grubx64.efi).
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

from pxe.errors import PacketError

MAX_HEAD = 16 * 1024
MAX_TARGET = 8000
MAX_BODY = 8 * 1024 * 1024
MAX_HEADERS = 100
MAX_FIELDS = 64

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([!-~\x80-\xff]+) HTTP/(\d)\.(\d)")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ABSOLUTE = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_HOST = re.compile(r"[\w.~%-]*(:\d*)?|\[[0-9A-Fa-f:.]+\](:\d*)?", re.ASCII)
_SLASHES = re.compile(r"/{2,}")
_BARE_FEED = re.compile(rb"(?<!\r)\n")
_STATUS_LINES = MappingProxyType({int(status): f"HTTP/1.1 {int(status)} {status.phrase}\r\n" for status in HTTPStatus})


class RequestError(PacketError):
    """`status` is the answer; the connection ends after it."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class RequestHead(NamedTuple):
    """`path` is percent-decoded, starts with / and has no empty segment before others; header names are lower case; of
    a repeated query field the last counts; `length` is that of the body, in bytes."""

    method: str
    path: str
    query: Mapping[str, str] = MappingProxyType({})
    headers: Mapping[str, str] = MappingProxyType({})
    minor: int = 1
    length: int = 0

    @property
    def keep_alive(self) -> bool:
        said = self.headers.get("connection")
        if said is None:
            return self.minor > 0
        wishes = _wishes(said)
        return "close" not in wishes if self.minor else "keep-alive" in wishes

    @property
    def expects_continue(self) -> bool:
        return self.minor > 0 and self.headers.get("expect", "").lower() == "100-continue"


@lru_cache(maxsize=32)
def _wishes(said: str) -> frozenset[str]:
    return frozenset(word.strip().lower() for word in said.split(","))


def parse_head(buffer: bytes | bytearray) -> tuple[RequestHead, int] | None:
    """The head at the start of `buffer` and its length in bytes; None while it is incomplete. Raises RequestError."""
    start = 0
    while buffer.startswith(b"\r\n", start) and start < 8:
        start += 2
    end = buffer.find(b"\r\n\r\n", start, MAX_HEAD)
    if end < 0:
        _require_hope(buffer)
        return None
    line, _, fields = buffer[start:end].decode("latin-1").partition("\r\n")
    return _head(line, fields), end + 4


def _require_hope(buffer: bytes | bytearray) -> None:
    """Raises RequestError when no more bytes can make this a request head."""
    if len(buffer) >= MAX_HEAD:
        raise RequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request head is longer than 16 KiB")
    if _BARE_FEED.search(buffer):
        raise RequestError(HTTPStatus.BAD_REQUEST, "lines end with CR LF")


def _head(line: str, fields: str) -> RequestHead:
    found = _LINE.fullmatch(line)
    if found is None:
        raise RequestError(HTTPStatus.BAD_REQUEST, "not an HTTP/1.x request line")
    method, target, major, digit = found.groups()
    if major != "1":
        raise RequestError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    minor = min(int(digit), 1)
    path, query = _target(target)
    headers, length = _headers(fields)
    _require_host(headers, minor)
    return RequestHead(
        method=method, path=path, query=MappingProxyType(query), headers=headers, minor=minor, length=length
    )


def _target(target: str) -> tuple[str, dict[str, str]]:
    if len(target) > MAX_TARGET:
        raise RequestError(HTTPStatus.REQUEST_URI_TOO_LONG, "the request target is longer than 8000 bytes")
    if not target.startswith("/"):
        target = _origin_form(target)
    path, _, query = target.partition("#")[0].partition("?")
    if "%" in path:
        path = unquote(path, errors="replace")
    return _SLASHES.sub("/", path) if "//" in path else path, _query(query) if query else {}


def _origin_form(target: str) -> str:
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        raise RequestError(HTTPStatus.BAD_REQUEST, "the request target is not a path")
    origin = target[absolute.end() :]
    return origin if origin.startswith("/") else "/" + origin


def _query(text: str) -> dict[str, str]:
    fields = text.split("&", MAX_FIELDS)
    if len(fields) > MAX_FIELDS:
        raise RequestError(HTTPStatus.BAD_REQUEST, "too many query fields")
    pairs = [field.partition("=") for field in fields if field]
    if "%" in text or "+" in text:
        return {_plain(name): _plain(value) for name, _, value in pairs}
    return {name: value for name, _, value in pairs}


def _plain(text: str) -> str:
    return unquote_plus(text, errors="replace")


# Firmware sends the same fields with every request, and so does every machine of one model.
@lru_cache(maxsize=128)
def _headers(text: str) -> tuple[Mapping[str, str], int]:
    """The header fields, and the length of the body that they announce."""
    if _CONTROL.search(text.replace("\r\n", "")):
        raise RequestError(HTTPStatus.BAD_REQUEST, "a control character in the request head")
    fields = text.split("\r\n") if text else []
    if len(fields) > MAX_HEADERS:
        raise RequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "more than 100 header fields")
    headers: dict[str, str] = {}
    for field_ in fields:
        name, colon, value = field_.partition(":")
        if not colon or not _TOKEN.fullmatch(name):
            raise RequestError(HTTPStatus.BAD_REQUEST, "not a header field")
        key, value = name.lower(), value.strip(" \t")
        if key in headers:
            if key == "host":
                raise RequestError(HTTPStatus.BAD_REQUEST, "more than one Host")
            value = f"{headers[key]}, {value}"
        headers[key] = value
    return MappingProxyType(headers), _length(headers)


def _require_host(headers: Mapping[str, str], minor: int) -> None:
    """RFC 9112 section 3.2; which name it is does not matter here."""
    host = headers.get("host")
    if host is None and minor == 0:
        return
    if host is None or not _HOST.fullmatch(host):
        raise RequestError(HTTPStatus.BAD_REQUEST, "a valid Host is required")


def _length(headers: Mapping[str, str]) -> int:
    text = headers.get("content-length")
    coding = headers.get("transfer-encoding")
    if coding is not None:
        _refuse_coding(coding.lower(), text)
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise RequestError(HTTPStatus.BAD_REQUEST, "not a content length")
    if int(text) > MAX_BODY:
        raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is longer than 8 MiB")
    return int(text)


def _refuse_coding(coding: str, length: str | None) -> None:
    """RFC 9112 section 6.1: with both, one of two readers is being fooled."""
    if length is not None:
        raise RequestError(HTTPStatus.BAD_REQUEST, "Transfer-Encoding and Content-Length in one request")
    if coding == "chunked":
        raise RequestError(HTTPStatus.LENGTH_REQUIRED, "send the body with a Content-Length")
    raise RequestError(HTTPStatus.NOT_IMPLEMENTED, "transfer codings are not spoken here")


# Many machines are given the same kind of answer within one second.
@lru_cache(maxsize=128)
def pack_head(status: int, headers: tuple[tuple[str, str], ...]) -> bytes:
    """A line break inside a value would start a header of its own: it becomes a space."""
    lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n"]
    for name, value in headers:
        lines.append(f"{name}: {_CONTROL.sub(' ', value)}\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("latin-1", "replace")
