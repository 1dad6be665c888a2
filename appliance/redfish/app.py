"""ASGI on the outside, values on the inside."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from appliance.redfish.errors import Refusal
from appliance.redfish.events import EventHub
from appliance.redfish.exchange import Request, Response, refusal
from appliance.redfish.messages import MessageId, say
from appliance.redfish.service import MAX_BODY, RedfishService

_BODY_SECONDS = 30.0
_log = logging.getLogger(__name__)
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


def make_app(service: RedfishService, hub: EventHub) -> Asgi:
    """An ASGI application for HTTP; it needs no lifespan."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                request = await _read(HttpRequest(scope, receive))
        except (TimeoutError, ClientDisconnect):
            return
        response = await _answer(service, request)
        await _http(service, hub, request, response)(scope, receive, send)

    return app


async def _read(http: HttpRequest) -> Request:
    """One byte too many is enough to refuse a body."""
    body = bytearray()
    async for chunk in http.stream():
        body += chunk[: MAX_BODY + 1 - len(body)]
        if len(body) > MAX_BODY:
            break
    query = http.url.query
    raw = http.scope.get("raw_path") or http.url.path.encode()
    target = raw.decode("latin-1").partition("?")[0] + (f"?{query}" if query else "")
    return Request(method=http.method, target=target, headers=dict(http.headers), body=bytes(body))


async def _answer(service: RedfishService, request: Request) -> Response:
    try:
        return await service.respond(request)
    except Exception:
        _log.exception("request failed method=%s path=%r", request.method[:16], request.path[:200])
        return refusal(Refusal(status=500, messages=(say(MessageId.INTERNAL_ERROR),)))


def _http(service: RedfishService, hub: EventHub, request: Request, response: Response) -> Asgi:
    subscriber = response.subscriber
    if subscriber is not None and request.method == "GET":
        stream = hub.stream(lambda: service.is_welcome(subscriber))
        return StreamingResponse(stream, response.status, headers=dict(response.headers))
    body = b"" if request.method == "HEAD" else response.body
    answer = HttpResponse(body, response.status, headers=dict(response.headers))
    if request.method == "HEAD":
        answer.headers["Content-Length"] = str(len(response.body))
    return answer
