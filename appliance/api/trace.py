"""A name for each request, in its problem document, its audit line, and every log line that was written meanwhile.

It is the name of its trace (`appliance.tracing`).
"""

import logging
from contextvars import ContextVar

from opentelemetry.trace import Span, StatusCode, Tracer, use_span
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.api.trail import route_of
from appliance.ports import Rng
from appliance.tracing import begun, name_of, tracer

_STARTS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})
_TRACE: ContextVar[str] = ContextVar("trace", default="-")


class Traced:
    """Puts `trace_id` into the request's state, and a span around the request."""

    def __init__(self, app: ASGIApp, rng: Rng, source: Tracer | None = None) -> None:
        self._app, self._rng = app, rng
        self._source = source or tracer()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        span = begun(self._source, "request", self._rng)
        scope.setdefault("state", {})["trace_id"] = name_of(span)
        _TRACE.set(name_of(span))  # never reset: the server runs each request in a task, and a context, of its own

        async def seen(message: Message) -> None:
            if message["type"] in _STARTS:
                _answered(span, scope, message.get("status", 101))
            await send(message)

        with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            await self._app(scope, receive, seen)


def _answered(span: Span, scope: Scope, status: int) -> None:
    """By the names of the semantic conventions for HTTP; nothing that a body or a query said."""
    method, route = scope.get("method", "GET"), route_of(scope)
    span.update_name(f"{method} {route}")
    span.set_attribute("http.request.method", method)
    span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(StatusCode.ERROR)


class TraceFilter(logging.Filter):
    """Gives each log record a `trace_id`; "-" where no request is served."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.trace_id = _TRACE.get()
        return True
