"""The REST resources of plans and of their runs."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field, with_config

from appliance.access.model import Role
from appliance.api.etags import Tagged
from appliance.api.gate import needs
from appliance.api.routes import STRICT, App, Machine, PageParam, Who, linked, located
from appliance.errors import UsageError
from appliance.model.doctor import Check
from appliance.model.goal import Consent
from appliance.model.ids import GoalId, PlanDigest, RunId, machine_name
from appliance.model.paging import RunsQuery
from appliance.model.views import (
    ApplyRequest,
    ErrandRequest,
    GoalsView,
    GoalView,
    PauseRequest,
    PlanView,
    RunMachineRequest,
    RunState,
    RunsView,
    RunView,
)

router = APIRouter(prefix="/v1", route_class=Tagged)

Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
Run = Annotated[str, Path(max_length=64)]
Goal = Annotated[str, Path(max_length=64)]
Serial = Annotated[str, Field(min_length=1, max_length=100)]
Despite = Annotated[tuple[Check, ...], Field(max_length=len(Check))]
Reason = Annotated[str, Field(max_length=1000, pattern=r"\S")]
"""A view shows an empty one where nothing is paused or set aside."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentBody(Consent):
    """What the plans that follow may destroy: nothing, blank disks, anything; `disks` whatever these hold. They begin
    although the checks in `despite` find failures."""

    disks: Annotated[tuple[Serial, ...], Field(max_length=1000)] = ()
    despite: Despite = ()


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyBody(ApplyRequest):
    """Approves the plan with this digest, and no other. With `then` the daemon plans what had to wait when this run is
    done, and carries out what destroys no more than that says; anything else waits for another approval.

    Refused (409, `refused`) while the doctor finds a failure of the site whose check is not in `despite`."""

    then: ConsentBody | None = None
    despite: Despite = ()


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class ErrandBody(ErrandRequest):
    """What is wanted of the machine."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class PauseBody(PauseRequest):
    """Why no machine may begin a step for now."""

    reason: Reason


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class SetAsideBody:
    """Which machine is left as it is, and why. A `RunMachineRequest`, but its reason is never empty."""

    machine: str
    reason: Reason


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBody(RunMachineRequest):
    """Which machine is tried again."""


class GoalsParam(BaseModel):
    model_config = STRICT

    all: bool = Field(default=False, description="also those that are over")


@router.post("/plans", status_code=201, dependencies=needs(Role.OPERATOR))
async def make_plan(application: App, response: Response) -> PlanView:
    return _stored(response, await application.make_plan())


@router.post("/machines/{name}/plans", status_code=201, dependencies=needs(Role.OPERATOR))
async def plan_errand(application: App, name: Machine, body: ErrandBody, response: Response) -> PlanView:
    return _stored(response, await application.plan_errand(name, body.errand))


@router.post("/site/retirement", status_code=201, dependencies=needs(Role.OPERATOR))
async def plan_retirement(application: App, response: Response) -> PlanView:
    return _stored(response, await application.plan_retirement())


@router.get("/plans/{digest}", dependencies=needs(Role.VIEWER))
async def plan(application: App, digest: Digest) -> PlanView:
    return application.plan(PlanDigest(digest))


@router.post("/plans/{digest}/apply", status_code=202, dependencies=needs(Role.OPERATOR))
async def apply(application: App, who: Who, digest: Digest, body: ApplyBody, response: Response) -> RunView:
    if body.digest != digest:
        raise UsageError(
            "the digest in the body is not that of the plan being applied",
            evidence=f"path {digest}, body {body.digest[:64]}",
            next_action="send the digest of the plan that was read",
        )
    return located(response, await application.apply(PlanDigest(digest), who, body.then, body.despite))


@router.get("/goals", dependencies=needs(Role.VIEWER))
async def goals(application: App, query: Annotated[GoalsParam, Query()]) -> GoalsView:
    return application.goals(every=query.all)


@router.get("/goals/{goal}", dependencies=needs(Role.VIEWER))
async def goal(application: App, goal: Goal) -> GoalView:
    return application.goal(GoalId(goal))


@router.post("/goals/{goal}/drop", dependencies=needs(Role.OPERATOR))
async def drop(application: App, who: Who, goal: Goal) -> GoalView:
    return await application.drop(GoalId(goal), who)


class RunsParam(PageParam):
    state: RunState | None = None

    def query(self) -> RunsQuery:
        return RunsQuery(state=self.state, after=self.after(), limit=self.limit)


@router.get("/runs", dependencies=needs(Role.VIEWER))
async def runs(
    application: App, request: Request, response: Response, query: Annotated[RunsParam, Query()]
) -> RunsView:
    view = application.runs(query.query())
    linked(request, response, view.next)
    return view


@router.get("/runs/{run}", dependencies=needs(Role.VIEWER))
async def run(application: App, run: Run) -> RunView:
    return application.run(RunId(run))


@router.post("/runs/{run}/pause", dependencies=needs(Role.OPERATOR))
async def pause(application: App, who: Who, run: Run, body: PauseBody) -> RunView:
    return await application.pause(RunId(run), body.reason, who)


@router.post("/runs/{run}/resume", dependencies=needs(Role.OPERATOR))
async def resume(application: App, who: Who, run: Run) -> RunView:
    return await application.resume(RunId(run), who)


@router.post("/runs/{run}/cancel", dependencies=needs(Role.OPERATOR))
async def cancel(application: App, who: Who, run: Run) -> RunView:
    return await application.cancel(RunId(run), who)


@router.post("/runs/{run}/set-aside", dependencies=needs(Role.OPERATOR))
async def set_aside(application: App, who: Who, run: Run, body: SetAsideBody) -> RunView:
    return await application.set_aside(RunId(run), machine_name(body.machine), body.reason, who)


@router.post("/runs/{run}/retry", dependencies=needs(Role.OPERATOR))
async def retry(application: App, who: Who, run: Run, body: RetryBody) -> RunView:
    return await application.retry(RunId(run), machine_name(body.machine), who)


def _stored(response: Response, view: PlanView) -> PlanView:
    response.headers["Location"] = f"/v1/plans/{view.digest}"
    return view
