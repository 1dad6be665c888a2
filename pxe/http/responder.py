"""What an HTTP request gets: pure functions from request and content (or reply) to response."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv4Address
from typing import NamedTuple

from pxe.content import BytesContent, Content
from pxe.http.packet import RequestHead

TEXT = "text/plain; charset=utf-8"

# A known method that we do not allow is 405, any other 501 (RFC 9110 section 9.1).
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"))
_NO_BODY = frozenset((HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED))

_NO_STORE = ("Cache-Control", "no-store")

_RANGE = re.compile(r"bytes=\s*(\d{0,19})-(\d{0,19})\s*", re.ASCII | re.IGNORECASE)

Headers = tuple[tuple[str, str], ...]


class HttpRequest(NamedTuple):
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
    """The body is `count` bytes of `content` from `start`. `length` is what Content-Length says: that of the same GET
    for HEAD and 304, whose count is 0; None where RFC 9110 section 8.6 forbids the field."""

    status: int
    headers: Headers
    content: Content
    start: int
    count: int
    length: int | None


def respond(head: RequestHead, content: Content | None) -> Response:
    """Static content: GET and HEAD, preconditions in the order of RFC 9110 section 13.2.2, at most one byte range.

    Several ranges get the whole content, which section 14.2 allows: no boot client can read multipart/byteranges.
    """
    if head.method not in ("GET", "HEAD"):
        return from_reply(head, _refusal(head.method))
    if content is None:
        return from_reply(head, HttpReply(status=HTTPStatus.NOT_FOUND, body=b"no such file\n"))
    if not _listed(head.headers.get("if-match"), content, weak=False, absent=True):
        return from_reply(head, HttpReply(status=HTTPStatus.PRECONDITION_FAILED, body=b"the file has changed\n"))
    if _listed(head.headers.get("if-none-match"), content, weak=True, absent=False):
        return _static(head, content, HTTPStatus.NOT_MODIFIED, range(content.size))
    wanted = _range(head, content)
    if wanted is None:
        return _static(head, content, HTTPStatus.OK, range(content.size))
    if not wanted:
        total = (("Content-Range", f"bytes */{content.size}"),)
        return from_reply(head, HttpReply(status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=total))
    return _static(head, content, HTTPStatus.PARTIAL_CONTENT, wanted)


def from_reply(head: RequestHead, reply: HttpReply) -> Response:
    bodiless = reply.status in _NO_BODY
    body = b"" if bodiless else reply.body
    return Response(
        status=int(reply.status),
        headers=(("Content-Type", reply.media_type), _NO_STORE, *reply.headers),
        content=BytesContent(data=body, media_type=reply.media_type),
        start=0,
        count=0 if head.method == "HEAD" else len(body),
        length=None if bodiless else len(body),
    )


def busy(why: str, seconds: int) -> HttpReply:
    """iPXE tries again by itself after Retry-After; GRUB and UEFI HTTP Boot give up (see `pxe.http.admission`)."""
    return HttpReply(
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        body=f"{why}; try again in {seconds} s\n".encode(),
        headers=(("Retry-After", str(seconds)),),
    )


def _refusal(method: str) -> HttpReply:
    if method in _METHODS:
        allow = (("Allow", "GET, HEAD"),)
        return HttpReply(status=HTTPStatus.METHOD_NOT_ALLOWED, body=b"read only\n", headers=allow)
    return HttpReply(status=HTTPStatus.NOT_IMPLEMENTED, body=b"no such method\n")


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
        count=0 if head.method == "HEAD" or status is HTTPStatus.NOT_MODIFIED else len(wanted),
        length=len(wanted),
    )


def _range(head: RequestHead, content: Content) -> range | None:
    """None: send everything. An empty range: nothing of what was asked exists. Ranges are for GET alone (14.2)."""
    asked = head.headers.get("range")
    if asked is None or head.method != "GET":
        return None
    found = _RANGE.fullmatch(asked)
    stale = not _listed(head.headers.get("if-range"), content, weak=False, absent=True)
    if found is None or stale or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return range(max(0, content.size - int(last)), content.size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, content.size) if last else content.size)


def _listed(field: str | None, content: Content, *, weak: bool, absent: bool) -> bool:
    """Whether the content's entity tag is in the field (RFC 9110 section 8.8.3.2); content without one matches `*`."""
    if field is None:
        return absent
    if field == "*":
        return True
    tags = (tag.strip(" \t") for tag in field.split(","))
    return bool(content.digest) and _etag(content) in {tag.removeprefix("W/") if weak else tag for tag in tags}


def _etag(content: Content) -> str:
    return f'"{content.digest}"'
