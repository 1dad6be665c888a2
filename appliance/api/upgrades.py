"""The appliance's two slots as a REST resource."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from appliance.access.model import Role
from appliance.api.bodies import STREAMED
from appliance.api.etags import Tagged
from appliance.api.gate import needs
from appliance.api.port import Upgrades
from appliance.api.routes import App
from appliance.model.upgrade_views import ApplianceView

router = APIRouter(prefix="/v1", route_class=Tagged)
_BUNDLE = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


def the_desk(application: App) -> Upgrades:
    return application.upgrade_desk


Desk = Annotated[Upgrades, Depends(the_desk)]


@router.get("/appliance", dependencies=needs(Role.VIEWER))
async def appliance(desk: Desk) -> ApplianceView:
    return desk.appliance()


@router.put(
    STREAMED.removeprefix("/v1"),
    status_code=202,
    dependencies=needs(Role.ADMIN),
    openapi_extra={"requestBody": {"required": True, "content": _BUNDLE}},
)
async def upgrade(desk: Desk, request: Request) -> ApplianceView:
    """Takes an upgrade bundle. Where it is sound, it is written into the other slot, and the appliance restarts."""
    return await desk.upgrade(request.stream())


@router.post("/appliance/rollback", status_code=202, dependencies=needs(Role.ADMIN))
async def rollback(desk: Desk) -> ApplianceView:
    """Restarts into the version in the other slot, which has to prove healthy, too."""
    return await desk.rollback()
