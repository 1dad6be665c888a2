"""The REST API as an ASGI application; it knows the appliance only through `appliance.api.port`."""

from collections.abc import Callable

from fastapi import Depends, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance import __version__
from appliance.api import bmcs, console, routes, runs, tunnel
from appliance.api.port import Application
from appliance.api.problems import MEDIA_TYPE, add_handlers
from appliance.model.views import ProblemView

BODY_LIMIT = 1 << 20


def create_app(application: Application, *, hosts: frozenset[str] = frozenset()) -> FastAPI:
    """`hosts` are the names (without port) under which a TCP listener answers, against DNS rebinding.

    Leave it empty on a Unix socket: no browser reaches one.
    """
    app = _Api(
        title="Innervate",
        version=__version__,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses={"default": {"model": ProblemView, "description": "Problem (RFC 9457)"}},
        dependencies=[Depends(_allow(hosts))] if hosts else [],
    )
    app.add_middleware(_BodyLimit)
    app.state.application = application
    app.include_router(routes.router)
    app.include_router(runs.router)
    app.include_router(bmcs.router)
    app.include_router(tunnel.router)
    app.include_router(console.router)
    add_handlers(app)
    return app


class _Api(FastAPI):
    def openapi(self) -> dict[str, object]:
        """As FastAPI draws it, but for the media type of problems, which it cannot be told."""
        if self.openapi_schema is None:
            for operations in super().openapi()["paths"].values():
                for operation in operations.values():
                    response = operation["responses"]["default"]
                    (content,) = response["content"].values()
                    response["content"] = {MEDIA_TYPE: content}
        assert self.openapi_schema is not None  # noqa: S101  the line above drew it
        return self.openapi_schema


class _BodyLimit:
    """Raises where the body is read, inside the exception handlers; FastAPI's own limit answers in plain text."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left = BODY_LIMIT

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b"")) if message["type"] == "http.request" else 0
            if left < 0:
                raise HTTPException(413, f"a body may have {BODY_LIMIT} bytes")
            return message

        await self._app(scope, counted, send)


def _allow(hosts: frozenset[str]) -> Callable[[HTTPConnection], None]:
    def check(connection: HTTPConnection) -> None:
        """RFC 9110 section 15.5.20."""
        if connection.url.hostname not in hosts:
            raise HTTPException(421, "this name is not served here")

    return check
