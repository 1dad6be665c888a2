"""A name for each request, in its problem document, its audit line, and every log line that was written meanwhile."""

import logging
from contextvars import ContextVar

from starlette.types import ASGIApp, Receive, Scope, Send

from appliance.ports import Rng

_BYTES = 8
_TRACE: ContextVar[str] = ContextVar("trace", default="-")


class Traced:
    """Puts `trace_id` into the request's state."""

    def __init__(self, app: ASGIApp, rng: Rng) -> None:
        self._app, self._rng = app, rng

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            trace = self._rng.token(_BYTES)
            scope.setdefault("state", {})["trace_id"] = trace
            _TRACE.set(trace)  # never reset: the server runs each request in a task, and a context, of its own
        await self._app(scope, receive, send)


class TraceFilter(logging.Filter):
    """Gives each log record a `trace_id`; "-" where no request is served."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.trace_id = _TRACE.get()
        return True
