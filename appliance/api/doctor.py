"""The doctor as a REST resource: one examination at a time, and what it has found by now."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, with_config

from appliance.access.model import Role
from appliance.api.common import Doctor
from appliance.api.etags import Tagged
from appliance.api.gate import needs
from appliance.api.routes import App
from appliance.model.doctor import DoctorRequest, DoctorView

_STRICT = ConfigDict(extra="forbid")
_LONGEST_WAIT = 30.0

router = APIRouter(prefix="/v1", route_class=Tagged)


def the_desk(application: App) -> Doctor:
    return application.doctor_desk


Desk = Annotated[Doctor, Depends(the_desk)]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorBody(DoctorRequest):
    """How long it may take."""


class DoctorQuery(BaseModel):
    model_config = _STRICT

    seen: int = Field(default=-1, ge=-1, description="the `version` that you know: another one is waited for")
    wait: float = Field(default=0, ge=0, le=_LONGEST_WAIT, description="seconds, at most")


@router.get("/doctor", dependencies=needs(Role.VIEWER))
async def doctor(desk: Desk, query: Annotated[DoctorQuery, Query()]) -> DoctorView:
    return await desk.look(query.seen, query.wait)


@router.post("/doctor", status_code=202, dependencies=needs(Role.OPERATOR))
async def start(desk: Desk, body: DoctorBody) -> DoctorView:
    return desk.start(body)
