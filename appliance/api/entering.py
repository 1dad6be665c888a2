"""What coming in by the API and by a page have in common: the session's cookie, and what the audit log is told."""

from collections.abc import Iterable
from typing import Protocol

from starlette.requests import HTTPConnection
from starlette.responses import Response

from appliance.access.model import COOKIE


class Named(Protocol):
    @property
    def name(self) -> str: ...


def let_in(response: Response, cookie: str) -> None:
    response.set_cookie(COOKIE, cookie, path="/", secure=True, httponly=True, samesite="strict")


def let_out(response: Response) -> None:
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")


def claim(connection: HTTPConnection, users: Iterable[Named], name: str) -> None:
    """Who a caller that is not known says to be, for the audit log: an account, since people type passwords there."""
    known = any(user.name == name for user in users)
    connection.state.presented, connection.state.who = True, name if known else "(unknown)"


def origin_of(connection: HTTPConnection) -> str:
    """Of our own pages, by the name that this request calls us (RFC 6454 section 7); the gate has judged it."""
    return f"https://{connection.headers.get('host', '')}".lower()


def source_of(connection: HTTPConnection) -> str:
    """Where a request comes from: an address, or "socket". A socket for both kinds shows IPv4 as IPv6 (RFC 4291 section
    2.5.5.2)."""
    return connection.client.host.removeprefix("::ffff:") if connection.client else "socket"
