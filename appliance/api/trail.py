"""Writes the audit line of each request that changes something or is turned away, before its answer leaves."""

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.access.audit import AuditLog, Deed
from appliance.access.model import Caller
from appliance.api.entering import source_of
from appliance.api.problems import answered
from appliance.errors import MachineryError

_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})
_STARTS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})
_EVENTS: dict[tuple[str, str], str] = {
    ("POST", "/v1/login"): "authn_login_success",
    ("POST", "/login"): "authn_login_success",
    ("POST", "/v1/login/passkey"): "authn_login_success",
    ("POST", "/v1/login/passkey/challenge"): "",
    ("POST", "/v1/logout"): "session_expired",
    ("POST", "/logout"): "session_expired",
    ("POST", "/v1/setup"): "user_created",
    ("POST", "/setup"): "user_created",
    ("POST", "/v1/users"): "user_created",
    ("PATCH", "/v1/users/{user}"): "user_updated",
    ("DELETE", "/v1/users/{user}"): "user_deleted",
    ("PUT", "/v1/users/{user}/password"): "authn_password_change",
    ("POST", "/v1/users/{user}/totp"): "user_updated",
    ("POST", "/v1/users/{user}/totp/confirm"): "user_updated",
    ("DELETE", "/v1/users/{user}/totp"): "user_updated",
    ("POST", "/v1/users/{user}/passkeys"): "user_updated",
    ("DELETE", "/v1/users/{user}/passkeys/{passkey}"): "user_updated",
    ("DELETE", "/v1/sessions/{session}"): "session_expired",
    ("POST", "/v1/tokens"): "authn_token_created",
    ("DELETE", "/v1/tokens/{token}"): "authn_token_revoked",
    ("GET", "/v1/clusters/{cluster}/kubeconfig"): "sensitive_read",
}
"""OWASP Logging Vocabulary Cheat Sheet. "" leaves no line. A page says its event itself: `request.state.event`."""


def event_of(method: str, route: str, status: int, *, upgrade: bool, presented: bool) -> str:
    """What a request is called in the log; "" where it is none of its business. Who knocks without a key, or has to
    wait, leaves no line: nobody unknown shall fill the disk."""
    if status == 429 or (status == 401 and not presented):
        return ""
    if status == 401:
        return "authn_password_change_fail" if route.endswith("/password") else "authn_login_fail"
    if status == 403:
        return "authz_fail"
    if method in _HARMLESS and not upgrade and (method, route) not in _EVENTS:
        return ""
    return _EVENTS.get((method, route), "request") if status < 400 else "request"


class Trail:
    def __init__(self, app: ASGIApp, audit: AuditLog) -> None:
        self._app, self._audit = app, audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection, told, lost = HTTPConnection(scope), False, False

        async def witnessed(message: Message) -> None:
            nonlocal told, lost
            if message["type"] in _STARTS:
                told = True
                try:
                    await self._write(connection, message.get("status", 101))
                except MachineryError as error:
                    lost = True
                    await answered(connection, error)(scope, receive, send)
            if not lost:
                await send(message)

        try:
            await self._app(scope, receive, witnessed)
        except Exception:
            if not told:  # what it has done by then is done
                await self._write(connection, 500)
            raise

    async def _write(self, connection: HTTPConnection, status: int) -> None:
        scope, state = connection.scope, connection.state
        method, route = scope.get("method", "GET"), route_of(scope)
        presented = getattr(state, "presented", False)
        upgrade = scope["type"] == "websocket"
        event = event_of(method, route, status, upgrade=upgrade, presented=presented)
        if event == "request" and status < 400:
            event = getattr(state, "event", event)
        if not event:
            return
        caller: Caller | None = getattr(state, "caller", None)
        await self._audit.write(
            Deed(
                who=caller.name if caller else getattr(state, "who", ""),
                role=caller.role.value if caller else "",
                via=caller.via.value if caller else "",
                source=source_of(connection),
                event=event,
                method=method,
                route=route,
                target=_target(connection),
                status=status,
                trace=state.trace_id,
            )
        )


def route_of(scope: Scope) -> str:
    """The template of the path, where the router has found one."""
    route = scope.get("route")
    return str(getattr(route, "path", "") or scope["path"])


def _target(connection: HTTPConnection) -> str:
    """What the path names, and what the route says that the body named."""
    named = {**connection.path_params, **getattr(connection.state, "named", {})}
    return ", ".join(f"{key}={value}" for key, value in named.items())
