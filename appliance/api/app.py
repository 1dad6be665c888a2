"""The REST API as an ASGI application; it knows the appliance only through `appliance.api.port`."""

from fastapi import FastAPI

from appliance import __version__
from appliance.access.access import Access
from appliance.api import access as access_routes
from appliance.api import bmcs, console, routes, runs, tunnel
from appliance.api.bodies import Bodies
from appliance.api.gate import Gate
from appliance.api.once import Once
from appliance.api.port import Application
from appliance.api.problems import MEDIA_TYPE, add_handlers
from appliance.api.trace import Traced
from appliance.api.trail import Trail
from appliance.model.views import ProblemView
from appliance.ports import Rng

_ROUTERS = (routes.router, runs.router, bmcs.router, tunnel.router, console.router, access_routes.router)


def create_app(
    application: Application,
    access: Access,
    rng: Rng,
    *,
    hosts: frozenset[str] = frozenset(),
    fingerprint: str = "",
) -> FastAPI:
    """`hosts` are the names and addresses (without port) under which a TCP listener answers, against DNS rebinding: a
    request that did not come by a Unix socket has to name one. `fingerprint` is that of the listener's certificate.
    """
    app = _Api(
        title="Innervate",
        version=__version__,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses={"default": {"model": ProblemView, "description": "Problem (RFC 9457)"}},
    )
    app.state.application, app.state.access, app.state.fingerprint = application, access, fingerprint
    for router in _ROUTERS:
        app.include_router(router)
    add_handlers(app)
    app.add_middleware(Bodies)  # the last one that is added sees a request first
    app.add_middleware(Once, application=application, answers=access.answers)
    app.add_middleware(Gate, desk=access.desk, hosts=hosts)
    app.add_middleware(Trail, audit=access.audit)
    app.add_middleware(Traced, rng=rng)
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
