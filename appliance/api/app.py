"""The REST API as an ASGI application; it knows the appliance only through `appliance.api.port`."""

from collections.abc import Iterator
from functools import cache

from fastapi import FastAPI
from fastapi.routing import APIRoute, APIRouter
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from appliance import __version__
from appliance.access.access import Access
from appliance.access.model import COOKIE
from appliance.api import access as access_routes
from appliance.api import (
    bmcs,
    clusters,
    console,
    doctor,
    leaving,
    passkeys,
    report,
    routes,
    runs,
    sets,
    stores,
    support,
    tunnel,
    upgrades,
)
from appliance.api.bodies import Bodies
from appliance.api.gate import Gate, Needs, is_api
from appliance.api.once import Once
from appliance.api.port import Application
from appliance.api.problems import MEDIA_TYPE, add_handlers
from appliance.api.trace import Traced
from appliance.api.trail import Trail
from appliance.model.views import ProblemView
from appliance.ports import Rng

_SCHEMES: dict[str, dict[str, str]] = {
    "token": {"type": "http", "scheme": "bearer"},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
}
_EITHER: list[dict[str, list[str]]] = [{scheme: []} for scheme in _SCHEMES]
_ROUTERS = (
    routes.router,
    report.router,
    support.router,
    runs.router,
    stores.router,
    sets.router,
    clusters.router,
    clusters.secrets,
    bmcs.router,
    doctor.router,
    leaving.router,
    upgrades.router,
    tunnel.router,
    console.router,
    access_routes.router,
    passkeys.router,
)


def create_app(
    application: Application,
    access: Access,
    rng: Rng,
    *,
    hosts: frozenset[str] = frozenset(),
    fingerprint: str = "",
    urls: tuple[str, ...] = (),
    pages: ASGIApp | None = None,
) -> FastAPI:
    """`hosts` are the names and addresses (without port) under which a TCP listener answers, against DNS rebinding: a
    request that did not come by a Unix socket has to name one. `fingerprint` is that of the listener's certificate,
    `urls` are what people type to reach it. `pages` answer whatever is not the API's, behind the same gate.
    """
    app = _Api(
        title="Innervate",
        version=__version__,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.application, app.state.access = application, access
    app.state.fingerprint, app.state.urls = fingerprint, urls
    app.router.routes += _mounted()
    if pages is not None:
        app.router.default = _beside(pages, app.router.default)
    add_handlers(app)
    app.add_middleware(Bodies)  # the last one that is added sees a request first
    app.add_middleware(Once, application=application, answers=access.answers)
    app.add_middleware(Gate, desk=access.desk, hosts=hosts)
    app.add_middleware(Trail, audit=access.audit)
    app.add_middleware(Traced, rng=rng)
    return app


@cache
def _mounted() -> tuple[BaseRoute, ...]:
    """The same for every application of a process: what FastAPI works out of their types takes longest."""
    root = APIRouter(responses={"default": {"model": ProblemView, "description": "Problem (RFC 9457)"}})
    for router in _ROUTERS:
        root.include_router(router)
    return tuple(root.routes)


def _beside(pages: ASGIApp, unknown: ASGIApp) -> ASGIApp:
    async def chosen(scope: Scope, receive: Receive, send: Send) -> None:
        await (unknown if is_api(scope["path"]) else pages)(scope, receive, send)

    return chosen


class _Api(FastAPI):
    def openapi(self) -> dict[str, object]:
        """As FastAPI draws it, but for the media type of problems and the roles, which it cannot be told."""
        if self.openapi_schema is None:
            drawn = super().openapi()
            for operations in drawn["paths"].values():
                for operation in operations.values():
                    response = operation["responses"]["default"]
                    (content,) = response["content"].values()
                    response["content"] = {MEDIA_TYPE: content}
            drawn["components"]["securitySchemes"] = _SCHEMES
            for method, path, role in _roles():
                drawn["paths"][path][method.lower()] |= {"security": [{scheme: []} for scheme in _SCHEMES]} | {
                    "x-role": role
                }
        assert self.openapi_schema is not None  # noqa: S101  the line above drew it
        return self.openapi_schema


def _roles() -> Iterator[tuple[str, str, str]]:
    """Method, path and role of each route that needs one."""
    for router in _ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                needed = [one.dependency.role for one in route.dependencies if isinstance(one.dependency, Needs)]
                yield from (
                    (method, route.path_format, role.value) for method in route.methods or () for role in needed
                )
