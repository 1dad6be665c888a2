"""The REST resources of what the appliance has to give: images, networks, addresses."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from appliance.access.model import Role
from appliance.api.etags import Tagged
from appliance.api.gate import needs
from appliance.api.routes import App, PageParam, linked
from appliance.model.image_views import ImagesView, ImageView
from appliance.model.network_views import AddressState, HistoryView, LeasesView, NetworksView
from appliance.model.paging import LeasesQuery

router = APIRouter(prefix="/v1", route_class=Tagged)

Image = Annotated[str, Path(max_length=128)]


class LeasesParam(PageParam):
    network: str = Field(default="", max_length=18, description="only those of this network, such as 10.77.0.0/24")
    state: AddressState | None = Field(default=None, description="only those in this state")

    def query(self) -> LeasesQuery:
        return LeasesQuery(network=self.network, state=self.state, after=self.after(), limit=self.limit)


@router.get("/images", dependencies=needs(Role.VIEWER))
async def images(application: App) -> ImagesView:
    return await application.stores.images()


@router.get("/images/{image}", dependencies=needs(Role.VIEWER))
async def image(application: App, image: Image) -> ImageView:
    return await application.stores.image(image)


@router.get("/networks", dependencies=needs(Role.VIEWER))
async def networks(application: App) -> NetworksView:
    return application.stores.networks()


@router.get("/leases", dependencies=needs(Role.VIEWER))
async def leases(
    application: App, request: Request, response: Response, query: Annotated[LeasesParam, Query()]
) -> LeasesView:
    view = application.stores.leases(query.query())
    linked(request, response, view.next)
    return view


@router.get("/history", dependencies=needs(Role.VIEWER))
async def history(application: App) -> HistoryView:
    return application.stores.history()
