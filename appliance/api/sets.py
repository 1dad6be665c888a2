"""Artifact sets as REST resources. What takes long is begun; the list shows how far it is."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import ConfigDict, Field, with_config

from appliance.access.model import Role
from appliance.api.etags import Tagged
from appliance.api.gate import needs
from appliance.api.port import Sets
from appliance.api.routes import App, Who
from appliance.model.set_views import SetImportRequest, SetsView

router = APIRouter(prefix="/v1", route_class=Tagged)


def the_desk(application: App) -> Sets:
    return application.sets


Desk = Annotated[Sets, Depends(the_desk)]
Named = Annotated[str, Path(alias="set", pattern=r"^[a-z0-9][A-Za-z0-9._+-]{0,127}$")]


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True, kw_only=True)
class ImportBody(SetImportRequest):
    """Which folder, of those that stand in the appliance's folder of sets."""

    folder: Annotated[str, Field(min_length=1, max_length=500)]


@router.get("/sets", dependencies=needs(Role.VIEWER))
async def sets(desk: Desk) -> SetsView:
    return desk.sets()


@router.post("/sets", status_code=202, dependencies=needs(Role.ADMIN))
async def import_set(desk: Desk, who: Who, body: ImportBody) -> SetsView:
    """Hashes all of it, puts it into the registry and onto the disk, and reads it back."""
    return desk.begin_import(body, who.by)


@router.post("/sets/{set}/check", status_code=202, dependencies=needs(Role.ADMIN))
async def check(desk: Desk, name: Named) -> SetsView:
    """Reads and hashes all of it."""
    return desk.begin_check(name)


@router.delete("/sets/{set}", status_code=202, dependencies=needs(Role.ADMIN))
async def remove(desk: Desk, who: Who, name: Named) -> SetsView:
    """Removes it, and whatever no other set names."""
    return desk.begin_removal(name, who.by)
