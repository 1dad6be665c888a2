"""The REST resources of the end: a site is left, an appliance forgets."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import ConfigDict, with_config

from appliance.access.model import Role
from appliance.api.gate import needs
from appliance.api.port import Leaving
from appliance.api.routes import App
from appliance.model.leaving_views import LeaveRequest, LeaveView, ResetRequest, ResetView

_STRICT = ConfigDict(extra="forbid")

router = APIRouter(prefix="/v1")


def the_desk(application: App) -> Leaving:
    return application.leaving_desk


Desk = Annotated[Leaving, Depends(the_desk)]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveBody(LeaveRequest):
    """Which site, and what seals the hand-over."""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class ResetBody(ResetRequest):
    """Which site."""


@router.post("/site/leave", dependencies=needs(Role.ADMIN))
async def leave(desk: Desk, body: LeaveBody) -> LeaveView:
    return await desk.leave(body)


@router.post("/appliance/reset", status_code=202, dependencies=needs(Role.ADMIN))
async def reset(desk: Desk, body: ResetBody) -> ResetView:
    return await desk.reset(body)
