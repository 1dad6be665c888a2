"""How large and how deep a body may be. Judged before it is parsed: parsers have died of brackets."""

import re

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STREAMED = "/v1/appliance/bundle"
"""The one path whose body is no JSON, and large: its route reads it piece by piece, once it knows who sends it."""
BODY_LIMIT = 1 << 20
DEPTH_LIMIT = 32
STRING_LIMIT = 64 << 10

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


class Bodies:
    """Raises where the body is read, inside the exception handlers; FastAPI's own limit answers in plain text."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") == STREAMED:
            await self._app(scope, receive, send)
            return
        body = bytearray()

        async def counted() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                body.extend(message.get("body", b""))
                if len(body) > BODY_LIMIT:
                    raise HTTPException(413, f"a body may have {BODY_LIMIT} bytes")
                if not message.get("more_body", False) and (fault := fault_of(bytes(body))):
                    raise HTTPException(400, fault)
            return message

        await self._app(scope, counted, send)


def fault_of(body: bytes) -> str:
    """What keeps a JSON text from the parser, or ""."""
    depth = 0
    for token in _TOKEN.finditer(body):
        match body[token.start()]:
            case 0x22:
                if token.end() - token.start() > STRING_LIMIT + 2:
                    return f"a string may have {STRING_LIMIT} bytes"
            case 0x5B | 0x7B:
                depth += 1
                if depth > DEPTH_LIMIT:
                    return f"a body may be nested {DEPTH_LIMIT} deep"
            case _:
                depth -= 1
    return ""
