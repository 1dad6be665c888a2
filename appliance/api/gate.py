"""Who comes in, and what each route asks of them. Denied is what nobody allowed.

* The gate stands before the router: whoever is not known gets 401, wherever they knock, but for `OPEN`.
* Each route says by `needs` which role it asks for; a test looks that none forgot to.
* `request.state.caller` is the `Caller`, or None on what is open.
* What is not the API is a page: who is not known is sent to log in, and forms carry the session's token themselves.
"""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from fastapi.params import Depends as DependsMarker
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.access.desk import Desk
from appliance.access.model import COOKIE, Caller, Role, Via
from appliance.api.entering import origin_of, source_of
from appliance.api.problems import answered
from appliance.errors import AccessError, InnervateError, LoginError

OPEN = frozenset(
    {
        ("GET", "/v1/health"),
        ("GET", "/v1/openapi.json"),
        ("GET", "/v1/setup"),
        ("POST", "/v1/setup"),
        ("POST", "/v1/login"),
        ("POST", "/v1/login/passkey"),
        ("POST", "/v1/login/passkey/challenge"),
    }
)
"""What anybody may ask, who may reach us at all."""

_OPEN_PAGES = frozenset({"/login", "/setup"})
_OPEN_FILES = "/static/"
_OPEN_DOCS = "/docs"
"""They say nothing of the site: the same bytes in every appliance of a version, which is no secret (`/v1/health`)."""

CSRF_HEADER = "x-csrf-token"
_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})
_POLICY_VIOLATION = 1008
"""RFC 6455 section 7.4.1."""
_LOG_IN = "log in, or send a token: Authorization: Bearer TOKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Whom the kernel names at the other end of a Unix socket; `trusted`: root, or the daemon's own user."""

    user: str
    trusted: bool


@dataclass(frozen=True, slots=True)
class Needs:
    role: Role

    def __call__(self, connection: HTTPConnection) -> None:
        caller = caller_of(connection)
        if not caller.role.includes(self.role):
            raise AccessError(
                f"this needs the role {self.role.value}",
                evidence=f"{caller.name} is {caller.role.value}",
                next_action="ask an admin for the role",
            )


def needs(role: Role) -> list[DependsMarker]:
    """A route's `dependencies`."""
    return [Depends(Needs(role))]


def caller_of(connection: HTTPConnection) -> Caller:
    caller: Caller | None = connection.state.caller
    if caller is None:
        raise LoginError("this needs a log-in", next_action=_LOG_IN)
    return caller


Asker = Annotated[Caller, Depends(caller_of)]
Source = Annotated[str, Depends(source_of)]


class Gate:
    """`hosts` are the names and addresses, in lower case and without port, by which the TCP listener may be called: a
    page of another name cannot reach it through its visitor's browser (DNS rebinding)."""

    def __init__(self, app: ASGIApp, desk: Desk, hosts: frozenset[str]) -> None:
        self._app, self._desk, self._hosts = app, desk, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        connection.state.caller = None
        try:
            self._admit(connection, scope.get("method", "GET"))
        except LoginError as error:
            asks = scope["type"] == "http" and not is_api(scope["path"])
            reply = RedirectResponse("/login", status_code=303) if asks else answered(connection, error)
            await reply(scope, receive, send)
            return
        except (InnervateError, HTTPException) as error:
            await answered(connection, error)(scope, receive, send)
            return
        caller: Caller | None = connection.state.caller
        if caller is None or caller.via is Via.SOCKET:
            await self._app(scope, receive, send)
        else:
            watched = _Watched(self._desk, caller, receive, send)
            await self._app(scope, watched.receive, watched.send)

    def _admit(self, connection: HTTPConnection, method: str) -> None:
        peer: Peer | None = getattr(connection.state, "peer", None)
        if peer is None:
            self._check_host(connection)
        caller = connection.state.caller = self._known(connection, peer)
        upgrade = connection.scope["type"] == "websocket"
        if caller is None and (upgrade or not _is_open(method, connection.scope["path"])):
            raise LoginError("this needs a log-in", next_action=_LOG_IN)
        if upgrade or method not in _HARMLESS:
            api = is_api(connection.scope["path"])
            self._check_origin(connection, caller, is_form=not api, needs_token=api and not upgrade)

    def _check_host(self, connection: HTTPConnection) -> None:
        """RFC 9110 section 15.5.20. `connection.url` would believe the header that is judged here."""
        said = connection.headers.getlist("host")
        if len(said) != 1 or host_name(said[0]) not in self._hosts:
            raise HTTPException(421, "this name is not served here")

    def _known(self, connection: HTTPConnection, peer: Peer | None) -> Caller | None:
        """The kernel's word, then a token, then a session. Raises `LoginError` for a token that is none."""
        if peer is not None and peer.trusted:
            return Caller(name=f"local:{peer.user}", role=Role.ADMIN, via=Via.SOCKET)
        said = connection.headers.getlist("authorization")
        if said:
            connection.state.presented = True
            scheme, _, token = said[0].partition(" ")
            if len(said) != 1 or scheme.lower() != "bearer":
                raise LoginError("only bearer tokens are taken (RFC 6750)", next_action=_LOG_IN)
            return self._desk.by_token(token.strip(), source_of(connection))
        cookie = connection.cookies.get(COOKIE, "")
        return self._desk.by_session(cookie) if cookie else None

    def _check_origin(
        self, connection: HTTPConnection, caller: Caller | None, *, is_form: bool, needs_token: bool
    ) -> None:
        """Against forged requests: a browser says which site a request comes from (RFC 6454 section 7), and only our
        pages know the token, which their forms carry. Programs send no Origin, no cookie, and no form of a page."""
        by_session = caller is not None and caller.via is Via.SESSION
        said = connection.headers.getlist("origin")
        own = origin_of(connection)
        if (said or by_session or is_form) and [origin.lower() for origin in said] != [own]:
            raise AccessError("this request comes from another site", next_action="use the appliance's own pages")
        if caller is not None and by_session and needs_token:
            token = connection.headers.get(CSRF_HEADER, "")
            if not self._desk.is_csrf(caller, token):
                raise AccessError(
                    "this request lacks the session's token", next_action="send the csrf of GET /v1/me: X-CSRF-Token"
                )


class _Watched:
    """Ends a WebSocket or a stream with the next message, once its caller may no longer what they might at first."""

    def __init__(self, desk: Desk, caller: Caller, receive: Receive, send: Send) -> None:
        self._desk, self._caller = desk, caller
        self._receive, self._send = receive, send
        self._ended = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.receive" and not self._desk.still(self._caller, active=True):
            return {"type": "websocket.disconnect", "code": _POLICY_VIOLATION}
        return message

    async def send(self, message: Message) -> None:
        goes_on = message["type"] == "websocket.send" or message.get("more_body", False)
        if goes_on and not self._ended and not self._desk.still(self._caller, active=False):
            self._ended = True
            if message["type"] == "websocket.send":
                await self._send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            else:
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        if not self._ended:
            await self._send(message)


def is_api(path: str) -> bool:
    return path == "/v1" or path.startswith("/v1/")


def _is_open(method: str, path: str) -> bool:
    if path in _OPEN_PAGES:
        return True
    reads = path == _OPEN_DOCS or path.startswith((f"{_OPEN_DOCS}/", _OPEN_FILES))
    return (method, path) in OPEN or (method in _HARMLESS and reads)


def host_name(header: str) -> str:
    """The name or address in a Host header (RFC 9110 section 7.2), in lower case; an IPv6 address without brackets."""
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]
