"""The REST resources; plans and runs, BMCs, tunnel and console have modules of their own.

Each route parses, calls one method of the application, and returns its view.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field, with_config
from starlette.requests import HTTPConnection

from appliance.access.model import Role
from appliance.api.etags import Tagged, guard
from appliance.api.gate import needs
from appliance.api.once import asked_of
from appliance.api.port import Application
from appliance.errors import UsageError
from appliance.metrics.model import MEDIA_TYPE, exposition
from appliance.model.asked import Asked
from appliance.model.codec import to_json
from appliance.model.filter import FILTER_LIMIT, Filter, chosen, parse
from appliance.model.ids import MachineName, machine_name
from appliance.model.paging import MachinesQuery, last_of
from appliance.model.site_views import ReloadRequest, SiteView
from appliance.model.views import (
    ConfirmRequest,
    EventOrder,
    EventsView,
    ExplainView,
    HealthView,
    HoldRequest,
    MachinesView,
    MachineView,
    PowerRequest,
    RunView,
    ShellView,
    SnapshotView,
    SummaryView,
)
from appliance.store.records import RECORD_KINDS

_STREAM_WAIT = 15.0
_STREAM_BATCH = 100
STRICT = ConfigDict(extra="forbid")

router = APIRouter(prefix="/v1", route_class=Tagged)


def the_application(connection: HTTPConnection) -> Application:
    application: Application = connection.app.state.application
    return application


def the_machine(name: Annotated[str, Path(max_length=63)]) -> MachineName:
    return machine_name(name)


App = Annotated[Application, Depends(the_application)]
Who = Annotated[Asked, Depends(asked_of)]
Machine = Annotated[MachineName, Depends(the_machine)]


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class PowerBody(PowerRequest):
    """What to do with the machine's power."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class HoldBody(HoldRequest):
    """Why nothing may touch the machine for now."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmBody(ConfirmRequest):
    """What the machine's console shows."""

    code: Annotated[str, Field(pattern=r"^[0-9]{6}$")]


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadBody(ReloadRequest):
    """What was looked at."""

    digest: Annotated[str, Field(max_length=64)]


class OpenMetrics(Response):
    media_type = MEDIA_TYPE


class FilterParam(BaseModel):
    model_config = STRICT

    filter: str = Field(
        default="", max_length=FILTER_LIMIT, description="such as `state:failed role:worker mac:b8:ce*`"
    )

    def wanted(self) -> Filter:
        return parse(self.filter)


class PageParam(BaseModel):
    model_config = STRICT

    limit: int | None = Field(default=None, ge=1, le=1000, description="how many; all when left out")
    cursor: str | None = Field(default=None, max_length=200, description="`next` of the page before")

    def after(self) -> str:
        return "" if self.cursor is None else last_of(self.cursor)


class MachinesParam(FilterParam, PageParam):
    def query(self) -> MachinesQuery:
        return MachinesQuery(wanted=self.wanted(), after=self.after(), limit=self.limit)


class StreamQuery(BaseModel):
    model_config = STRICT

    after: int = Field(default=0, ge=0, description="only events with a greater `seq`")
    machine: str | None = Field(default=None, max_length=63)
    kind: str = Field(default="", max_length=1000, description="only events of these kinds, such as `step-*,run-ended`")

    def machine_name(self) -> MachineName | None:
        return None if self.machine is None else machine_name(self.machine)

    def kinds(self) -> frozenset[str] | None:
        return chosen(self.kind, RECORD_KINDS, "kind of events") or None


class EventsQuery(StreamQuery):
    limit: int = Field(default=100, ge=1, le=1000)
    wait: float = Field(default=0, ge=0, le=30, description="seconds to wait for the first event")
    order: EventOrder = Field(default=EventOrder.OLDEST, description="which events come first")
    before: int | None = Field(default=None, ge=1, description="with `order=newest`: only those with a lesser `seq`")

    def check(self) -> None:
        """Raises `UsageError`: from one end one asks after an event and may wait, from the other before one."""
        wrong = (self.after or self.wait) if self.order is EventOrder.NEWEST else self.before is not None
        if wrong:
            raise UsageError(
                "`after` and `wait` go with order=oldest, `before` with order=newest",
                next_action="ask from one end",
            )


@router.get("/health")
async def health(application: App, request: Request) -> HealthView:
    return replace(application.health(), fingerprint=request.app.state.fingerprint, urls=request.app.state.urls)


@router.get("/metrics", response_class=OpenMetrics, dependencies=needs(Role.VIEWER))
async def metrics(application: App) -> OpenMetrics:
    return OpenMetrics(exposition(application.metrics()))


@router.get("/machines", dependencies=needs(Role.VIEWER))
async def machines(
    application: App, request: Request, response: Response, query: Annotated[MachinesParam, Query()]
) -> MachinesView:
    view = application.machines(query.query())
    linked(request, response, view.next)
    return view


@router.get("/machines/summary", dependencies=needs(Role.VIEWER))
async def summary(application: App, query: Annotated[FilterParam, Query()]) -> SummaryView:
    return application.summary(query.wanted())


@router.get("/machines/{name}", dependencies=needs(Role.VIEWER))
async def machine(application: App, name: Machine) -> MachineView:
    return application.machine(name)


@router.get("/site", dependencies=needs(Role.OPERATOR))
async def program(application: App) -> SiteView:
    """The site program on disk, checked, beside the one that runs. What looks like a secret is masked."""
    return await application.program()


@router.post("/site/reload", dependencies=needs(Role.ADMIN))
async def reload(application: App, request: Request, body: ReloadBody) -> SiteView:
    """Where only scores differ: what is on disk runs from now on. Plans that were made before are stale."""
    request.state.named = {"digest": body.digest[:12]}
    return await application.reload(body.digest)


@router.get("/machines/{name}/explain", dependencies=needs(Role.VIEWER))
async def explain(application: App, name: Machine) -> ExplainView:
    return application.explain(name)


@router.post("/machines/{name}/power", status_code=202, dependencies=needs(Role.OPERATOR))
async def power(application: App, who: Who, name: Machine, body: PowerBody, response: Response) -> RunView:
    return located(response, await application.power(name, body.action, who))


@router.put("/machines/{name}/hold", dependencies=needs(Role.OPERATOR))
async def hold(application: App, who: Who, request: Request, name: Machine, body: HoldBody) -> MachineView:
    guard(request, application.machine(name))
    return await application.hold(name, body.reason, who)


@router.delete("/machines/{name}/hold", dependencies=needs(Role.OPERATOR))
async def release(application: App, who: Who, request: Request, name: Machine) -> MachineView:
    guard(request, application.machine(name))
    return await application.release(name, who)


@router.post("/machines/{name}/identity", dependencies=needs(Role.OPERATOR))
async def confirm(application: App, who: Who, name: Machine, body: ConfirmBody) -> MachineView:
    return await application.confirm(name, body.code, who)


@router.post("/segment/take-over", status_code=202, dependencies=needs(Role.OPERATOR))
async def take_over(application: App) -> MachinesView:
    return application.take_over()


@router.post("/snapshots", status_code=201, dependencies=needs(Role.ADMIN))
async def snapshot(application: App) -> SnapshotView:
    return await application.snapshot()


@router.get("/machines/{name}/ssh", dependencies=needs(Role.OPERATOR))
async def shell(application: App, name: Machine) -> ShellView:
    return await application.shell(name)


@router.get("/events", dependencies=needs(Role.VIEWER))
async def events(application: App, query: Annotated[EventsQuery, Query()]) -> EventsView:
    query.check()
    name, kinds = query.machine_name(), query.kinds()
    if query.order is EventOrder.NEWEST:
        return await application.latest(before=query.before, machine=name, limit=query.limit, kinds=kinds)
    return await application.events(after=query.after, machine=name, limit=query.limit, wait=query.wait, kinds=kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    machine: MachineName | None
    kinds: frozenset[str] | None
    after: int


def the_stream(
    application: App,
    query: Annotated[StreamQuery, Query()],
    last_event_id: Annotated[int | None, Header(ge=0)] = None,
) -> Stream:
    """Parsed before the stream begins: once its head is sent, an error can no longer be told."""
    name = query.machine_name()
    if name is not None:
        application.machine(name)
    after = query.after if last_event_id is None else last_event_id
    return Stream(machine=name, kinds=query.kinds(), after=after)


@router.get("/events/stream", response_class=EventSourceResponse, dependencies=needs(Role.VIEWER))
async def stream(application: App, start: Annotated[Stream, Depends(the_stream)]) -> AsyncIterator[ServerSentEvent]:
    after = start.after
    while True:
        view = await application.events(
            after=after, machine=start.machine, limit=_STREAM_BATCH, wait=_STREAM_WAIT, kinds=start.kinds
        )
        for event in view.events:
            yield ServerSentEvent(id=str(event.seq), event="event", raw_data=to_json(event).decode())
        after = max(after, view.last)


def located(response: Response, view: RunView) -> RunView:
    response.headers["Location"] = f"/v1/runs/{view.id}"
    return view


def linked(request: Request, response: Response, following: str) -> None:
    """The next page for clients that know nothing of ours (RFC 8288 section 3)."""
    if following:
        kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
        target = f"{request.url.path}?{urlencode([*kept, ('cursor', following)])}"
        response.headers["Link"] = f'<{target}>; rel="next"'
