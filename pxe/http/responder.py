"""What an HTTP request gets: pure functions from request and content (or reply) to response."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv4Address

from pxe.content import BytesContent, Content
from pxe.http.packet import RequestHead

TEXT = "text/plain; charset=utf-8"

_RANGE = re.compile(r"bytes=\s*(\d{0,19})-(\d{0,19})\s*", re.ASCII)

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """Header names are lower case; `path` is percent-decoded; `client` is the address of the connection."""

    client: IPv4Address
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """What a handler answers. The server adds lengths and connection headers itself."""

    status: int = 200
    body: bytes = b""
    media_type: str = TEXT
    headers: Headers = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The body is `count` bytes of `content` from `start`; `length` is what Content-Length says (HEAD: count is 0)."""

    status: int
    headers: Headers
    content: Content
    start: int
    count: int
    length: int


def respond(head: RequestHead, content: Content | None) -> Response:
    """Static content: GET and HEAD with at most one byte range (RFC 9110 section 14); several ranges get it all."""
    if head.method not in ("GET", "HEAD"):
        allow = HttpReply(status=HTTPStatus.METHOD_NOT_ALLOWED, body=b"read only\n", headers=(("Allow", "GET, HEAD"),))
        return from_reply(head, allow)
    if content is None:
        return from_reply(head, HttpReply(status=HTTPStatus.NOT_FOUND, body=b"no such file\n"))
    wanted = _range(head, content)
    if wanted is None:
        return _static(head, content, HTTPStatus.OK, range(content.size))
    if not wanted:
        total = (("Content-Range", f"bytes */{content.size}"),)
        return from_reply(head, HttpReply(status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=total))
    return _static(head, content, HTTPStatus.PARTIAL_CONTENT, wanted)


def from_reply(head: RequestHead, reply: HttpReply) -> Response:
    body = BytesContent(data=reply.body, media_type=reply.media_type)
    return Response(
        status=int(reply.status),
        headers=(("Content-Type", reply.media_type), ("Cache-Control", "no-store"), *reply.headers),
        content=body,
        start=0,
        count=0 if head.method == "HEAD" else body.size,
        length=body.size,
    )


def _static(head: RequestHead, content: Content, status: HTTPStatus, wanted: range) -> Response:
    headers = [("Content-Type", content.media_type), ("Accept-Ranges", "bytes")]
    if content.digest:
        headers.append(("ETag", _etag(content)))
    if status is HTTPStatus.PARTIAL_CONTENT:
        headers.append(("Content-Range", f"bytes {wanted.start}-{wanted.stop - 1}/{content.size}"))
    return Response(
        status=status,
        headers=tuple(headers),
        content=content,
        start=wanted.start,
        count=0 if head.method == "HEAD" else len(wanted),
        length=len(wanted),
    )


def _range(head: RequestHead, content: Content) -> range | None:
    """None: send everything. An empty range: nothing of what was asked exists."""
    found = _RANGE.fullmatch(head.headers.get("range", ""))
    stale = head.headers.get("if-range", _etag(content)) != _etag(content)
    if found is None or stale or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return range(max(0, content.size - int(last)), content.size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, content.size) if last else content.size)


def _etag(content: Content) -> str:
    return f'"{content.digest}"'
