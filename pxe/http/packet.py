"""HTTP/1.x request and response heads: bytes <-> values (RFC 9112, RFC 9110).

Strict where a loose reading could hide a second request, tolerant where firmware is known to be odd: any Host or
none, absolute-form targets, an empty line before the request.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from urllib.parse import parse_qsl, unquote

from pxe.errors import PacketError

MAX_HEAD = 16 * 1024
MAX_TARGET = 2 * 1024
MAX_BODY = 8 * 1024 * 1024
MAX_HEADERS = 100
MAX_FIELDS = 64

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([!-~\x80-\xff]+) HTTP/(\d)\.(\d)")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ABSOLUTE = re.compile(r"https?://[^/?#]*", re.IGNORECASE)


class RequestError(PacketError):
    """`status` is the answer; the connection ends after it."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHead:
    """`path` is percent-decoded and starts with /; header names are lower case; of a repeated query field the last
    counts; `length` is that of the body, in bytes."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    minor: int = 1
    length: int = 0

    @property
    def keep_alive(self) -> bool:
        wishes = {word.strip().lower() for word in self.headers.get("connection", "").split(",")}
        return "close" not in wishes if self.minor else "keep-alive" in wishes

    @property
    def expects_continue(self) -> bool:
        return self.minor > 0 and self.headers.get("expect", "").lower() == "100-continue"


def parse_head(buffer: bytes | bytearray) -> tuple[RequestHead, int] | None:
    """The head at the start of `buffer` and its length in bytes; None while it is incomplete. Raises RequestError."""
    start = 0
    while buffer.startswith(b"\r\n", start) and start < 8:
        start += 2
    end = buffer.find(b"\r\n\r\n", start, MAX_HEAD)
    if end < 0:
        if len(buffer) >= MAX_HEAD:
            raise RequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request head is longer than 16 KiB")
        return None
    line, *fields = bytes(buffer[start:end]).decode("latin-1").split("\r\n")
    return _head(line, fields), end + 4


def _head(line: str, fields: list[str]) -> RequestHead:
    found = _LINE.fullmatch(line)
    if found is None:
        raise RequestError(HTTPStatus.BAD_REQUEST, "not an HTTP/1.x request line")
    method, target, major, minor = found.groups()
    if major != "1":
        raise RequestError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    path, query = _target(target)
    headers = _headers(fields)
    return RequestHead(
        method=method,
        path=path,
        query=query,
        headers=MappingProxyType(headers),
        minor=min(int(minor), 1),
        length=_length(headers),
    )


def _target(target: str) -> tuple[str, Mapping[str, str]]:
    if len(target) > MAX_TARGET:
        raise RequestError(HTTPStatus.REQUEST_URI_TOO_LONG, "the request target is longer than 2 KiB")
    absolute = _ABSOLUTE.match(target)
    origin = target[absolute.end() :] if absolute else target
    if absolute and not origin.startswith("/"):
        origin = "/" + origin
    if not origin.startswith("/"):
        raise RequestError(HTTPStatus.BAD_REQUEST, "the request target is not a path")
    path, _, query = origin.partition("#")[0].partition("?")
    try:
        fields = parse_qsl(query, keep_blank_values=True, encoding="utf-8", errors="replace", max_num_fields=MAX_FIELDS)
    except ValueError as cause:
        raise RequestError(HTTPStatus.BAD_REQUEST, "too many query fields") from cause
    return unquote(path, errors="replace"), MappingProxyType(dict(fields))


def _headers(fields: list[str]) -> dict[str, str]:
    if len(fields) > MAX_HEADERS:
        raise RequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "more than 100 header fields")
    headers: dict[str, str] = {}
    for text in fields:
        name, colon, value = text.partition(":")
        if not colon or not _TOKEN.fullmatch(name) or _CONTROL.search(value):
            raise RequestError(HTTPStatus.BAD_REQUEST, "not a header field")
        key, value = name.lower(), value.strip(" \t")
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


def _length(headers: Mapping[str, str]) -> int:
    coding = headers.get("transfer-encoding")
    if coding is not None:
        chunked = coding.lower() == "chunked"
        status = HTTPStatus.LENGTH_REQUIRED if chunked else HTTPStatus.NOT_IMPLEMENTED
        raise RequestError(status, "send the body with a Content-Length")
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise RequestError(HTTPStatus.BAD_REQUEST, "not a content length")
    if int(text) > MAX_BODY:
        raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is longer than 8 MiB")
    return int(text)


def pack_head(status: int, headers: tuple[tuple[str, str], ...]) -> bytes:
    """A line break inside a value would start a header of its own: it becomes a space."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {_CONTROL.sub(' ', value)}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
