"""The REST resources of BMCs and of the vault. Passwords come in; no view shows one."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, with_config

from appliance.access.model import Role
from appliance.api.etags import Tagged, guard
from appliance.api.gate import needs
from appliance.api.port import Bmcs
from appliance.api.routes import App, Machine
from appliance.bmc.vault import Entry
from appliance.model.bmc_views import (
    BmcRequest,
    BmcSearchRequest,
    BmcsView,
    BmcView,
    SensorsView,
    VaultEntryRequest,
    VaultScope,
    VaultView,
)
from appliance.model.secret import Secret

_STRICT = ConfigDict(extra="forbid")

_INERT = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}

router = APIRouter(prefix="/v1", route_class=Tagged)


def the_desk(application: App) -> Bmcs:
    return application.bmc_desk


Desk = Annotated[Bmcs, Depends(the_desk)]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class SearchBody(BmcSearchRequest):
    """Where to look for BMCs, and whether to log in to them."""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class BmcBody(BmcRequest):
    """Which BMC."""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class EntryBody(VaultEntryRequest):
    """A log-in, and the BMCs that it is for."""


class EntryQuery(BaseModel):
    model_config = _STRICT

    scope: VaultScope
    value: str = Field(default="", max_length=128)
    user: str = Field(max_length=128)


@router.get("/bmcs", dependencies=needs(Role.VIEWER))
async def bmcs(desk: Desk) -> BmcsView:
    return desk.bmcs()


@router.post("/bmcs/search", status_code=202, dependencies=needs(Role.OPERATOR))
async def search(desk: Desk, body: SearchBody) -> BmcsView:
    return desk.search(body)


@router.post("/bmcs/rotate", dependencies=needs(Role.ADMIN))
async def rotate(desk: Desk, body: BmcBody) -> BmcView:
    return await desk.rotate(body.url)


@router.post("/bmcs/forgive", dependencies=needs(Role.ADMIN))
async def forgive(desk: Desk, body: BmcBody) -> BmcView:
    return await desk.forgive(body.url)


@router.post("/bmcs/forget", dependencies=needs(Role.ADMIN))
async def forget(desk: Desk, body: BmcBody) -> BmcView:
    return await desk.forget(body.url)


@router.get("/machines/{name}/sensors", dependencies=needs(Role.VIEWER))
async def sensors(desk: Desk, name: Machine) -> SensorsView:
    return await desk.sensors(name)


class Picture(Response):
    media_type = "image/png"


@router.get("/machines/{name}/screen", response_class=Picture, dependencies=needs(Role.VIEWER))
async def screen(desk: Desk, name: Machine) -> Picture:
    """What the machine's screen shows, where its BMC gives a picture of it. Nothing in it can act in a browser."""
    return Picture(await desk.screen(name), headers=_INERT)


@router.get("/vault", dependencies=needs(Role.ADMIN))
async def vault(desk: Desk) -> VaultView:
    return desk.vault()


@router.put("/vault/entries", dependencies=needs(Role.ADMIN))
async def add_entry(desk: Desk, request: Request, body: EntryBody) -> VaultView:
    guard(request, desk.vault())
    password = Secret(body.password)
    entry = Entry(scope=body.scope, value=body.value, user=body.user, password=password, priority=body.priority)
    return desk.add_entry(entry)


@router.delete("/vault/entries", dependencies=needs(Role.ADMIN))
async def remove_entry(desk: Desk, request: Request, query: Annotated[EntryQuery, Query()]) -> VaultView:
    guard(request, desk.vault())
    return desk.remove_entry(query.scope, query.value, query.user)


@router.post("/vault/defaults", dependencies=needs(Role.ADMIN))
async def add_defaults(desk: Desk) -> VaultView:
    return desk.add_defaults()
