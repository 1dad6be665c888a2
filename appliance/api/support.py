"""The support bundle as a REST resource."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from appliance.access.model import Role
from appliance.api.common import Support
from appliance.api.gate import needs
from appliance.api.routes import App
from appliance.services.support import bundle

router = APIRouter(prefix="/v1")


class Bundle(Response):
    media_type = "application/zip"


def the_desk(application: App) -> Support:
    return application.support_desk


Desk = Annotated[Support, Depends(the_desk)]


@router.get("/support-bundle", response_class=Bundle, dependencies=needs(Role.OPERATOR))
async def support_bundle(application: App, desk: Desk) -> Bundle:
    """A ZIP that opens in a browser: `index.html` says what is inside and what is not."""
    headers = {"Content-Disposition": 'attachment; filename="innervate-support.zip"', "Cache-Control": "no-store"}
    return Bundle(await bundle(application, desk), headers=headers)
