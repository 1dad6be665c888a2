"""The pages as an ASGI application, to be mounted beside the API. It knows the appliance only through its port."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.api.common import Steering
from appliance.api.problems import problem
from appliance.errors import InnervateError, UsageError
from appliance.manual.reading import own
from appliance.model.filter import parse
from appliance.model.ids import PlanDigest, RunId, machine_name
from appliance.web.account import Account
from appliance.web.actions import Actions
from appliance.web.auditing import Auditing
from appliance.web.docs import Docs
from appliance.web.doctor import DoctorPages
from appliance.web.entry import Entry
from appliance.web.forms import html, personal
from appliance.web.giving import Chosen
from appliance.web.live import Hub, Update
from appliance.web.pages import Pages, draw_of
from appliance.web.people import People
from appliance.web.port import Doors
from appliance.web.program import SitePage
from appliance.web.render import render
from appliance.web.report import ReportPage

_STATIC = Path(__file__).with_name("static")
_BEAT = "event: beat\ndata:\n\n"
_FOR_EVER = "public, max-age=31536000, immutable"

_HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def create_pages(appliance: Steering, doors: Doors, *, life: str, now: Callable[[], float]) -> Starlette:
    """To stand behind the API's gate. `life` is another one for each start of the daemon; `now` in seconds since the
    epoch."""
    hub, pages = Hub(appliance, life), Pages(appliance, now)
    looks, actions, entry = _Looks(pages, hub, doors), Actions(appliance, doors, pages), Entry(doors)
    docs = Docs(own(), doors, appliance.health().site)
    return Starlette(
        routes=[
            Route("/", looks.rack),
            Route("/machines", looks.machines),
            Route("/machines/{name}", looks.machine),
            Route("/machines/{name}/console", looks.console),
            Route("/machines/{name}/sensors", looks.sensors),
            Route("/machines/{name}/screen", looks.screen),
            Route("/runs", looks.runs),
            Route("/runs/{run}", looks.run),
            Route("/plans/{digest}", looks.plan),
            Route("/images", looks.images),
            Route("/networks", looks.networks),
            Route("/clusters", looks.clusters),
            Route("/clusters/{name}", looks.cluster),
            Route("/events", looks.events),
            Route("/keys", looks.keys),
            Route("/live", looks.live),
            *actions.routes,
            *entry.routes,
            *docs.routes,
            *SitePage(appliance, doors, pages).routes,
            *ReportPage(appliance, doors, pages).routes,
            *Account(doors, pages).routes,
            *People(doors, pages).routes,
            *Auditing(doors, pages, now).routes,
            *DoctorPages(appliance, doors, appliance.health().site).routes,
            Mount("/static", _Static(directory=_STATIC)),
        ],
        middleware=[Middleware(_Headers)],
        exception_handlers=dict.fromkeys((InnervateError, HTTPException, Exception), looks.told),
    )


class _Looks:
    def __init__(self, pages: Pages, hub: Hub, doors: Doors) -> None:
        self._pages = pages
        self._hub = hub
        self._doors = doors

    async def rack(self, request: Request) -> Response:
        return html(request, self._doors, await self._pages.rack(self._hub.mark()))

    async def machines(self, request: Request) -> Response:
        text = request.query_params.get("filter", "")
        everything = "all" in request.query_params
        return html(
            request, self._doors, await self._pages.machines(self._hub.mark(), parse(text), text, everything=everything)
        )

    async def machine(self, request: Request) -> Response:
        return html(
            request, self._doors, await self._pages.machine(self._hub.mark(), machine_name(request.path_params["name"]))
        )

    async def console(self, request: Request) -> Response:
        return html(request, self._doors, await self._pages.console(machine_name(request.path_params["name"])))

    async def sensors(self, request: Request) -> Response:
        return html(request, self._doors, await self._pages.sensors(machine_name(request.path_params["name"])))

    async def screen(self, request: Request) -> Response:
        return html(request, self._doors, await self._pages.screen(machine_name(request.path_params["name"])))

    async def runs(self, request: Request) -> Response:
        return html(request, self._doors, self._pages.runs(self._hub.mark()))

    async def run(self, request: Request) -> Response:
        return html(request, self._doors, self._pages.run(self._hub.mark(), RunId(request.path_params["run"])))

    async def plan(self, request: Request) -> Response:
        return html(request, self._doors, self._pages.plan(PlanDigest(request.path_params["digest"])))

    async def images(self, request: Request) -> Response:
        return html(request, self._doors, await self._pages.images(self._hub.mark()))

    async def networks(self, request: Request) -> Response:
        chosen = Chosen.parse(request.url.query)
        return html(request, self._doors, await self._pages.networks(self._hub.mark(), chosen))

    async def clusters(self, request: Request) -> Response:
        return html(request, self._doors, self._pages.clusters(self._hub.mark()))

    async def cluster(self, request: Request) -> Response:
        return html(request, self._doors, self._pages.cluster(self._hub.mark(), request.path_params["name"]))

    async def events(self, request: Request) -> Response:
        mark = self._hub.mark()
        after = request.query_params.get("after")
        return html(request, self._doors, await self._pages.events(mark, _number(after) if after else None))

    async def keys(self, request: Request) -> Response:
        return html(request, self._doors, self._pages.keys())

    async def told(self, request: Request, error: Exception) -> Response:
        page = render("problem", site="", mark="", live="", now=0.0, problem=problem(error))
        return html(request, self._doors, page, error)

    async def live(self, request: Request) -> Response:
        page = request.query_params.get("page", "")
        mark = request.headers.get("Last-Event-ID") or request.query_params.get("since", "")
        draw_of(self._pages, page)
        return StreamingResponse(
            self._messages(request, page, mark), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    async def _messages(self, request: Request, page: str, mark: str) -> AsyncIterator[str]:
        """The gate ends it with the caller's session or token."""
        yield "retry: 1000\n\n"
        async for update in self._hub.watch(mark):
            if update is not None:
                await self._pages.look_ahead(page)
            message = _BEAT if update is None else self._message(page, update)
            yield personal(request, self._doors, message)

    def _message(self, page: str, update: Update) -> str:
        draw, drawn = draw_of(self._pages, page), dict[str, str]()
        for key in sorted(update.keys):
            drawn.update(self._hub.drawn(page, key, draw))
        shown = (event for event in update.events if _is_shown(page, event.machine))
        log = [self._hub.line(event, self._pages.event) for event in shown]
        body = json.dumps({"parts": drawn, "log": log, "said": update.said})
        return f"id: {update.mark}\ndata: {body}\n\n"


def _is_shown(page: str, machine: str) -> bool:
    kind, _, name = page.partition("/")
    return kind == "events" or (kind == "machine" and name == machine)


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise UsageError("`after` is the number of an event", evidence=text[:70], next_action="begin at /events")
    return int(text)


class _Headers:
    """On every answer: a page runs no script and loads nothing but ours, and nobody frames it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, guarded)


class _Static(StaticFiles):
    def file_response(self, *arguments: object, **options: object) -> Response:
        response = super().file_response(*arguments, **options)  # type: ignore[arg-type]  # handed through
        response.headers["Cache-Control"] = _FOR_EVER
        return response
