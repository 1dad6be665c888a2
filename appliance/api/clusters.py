"""Clusters as REST resources."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from appliance.access.model import Role
from appliance.api.common import Clusters
from appliance.api.etags import Tagged
from appliance.api.gate import needs
from appliance.api.routes import App, PageParam, linked
from appliance.model.cluster_views import ClustersView, ClusterView
from appliance.model.paging import ClustersQuery

router = APIRouter(prefix="/v1", route_class=Tagged)
secrets = APIRouter(prefix="/v1")
"""Nothing of what these show goes into an ETag."""


def the_desk(application: App) -> Clusters:
    return application.cluster_desk


Desk = Annotated[Clusters, Depends(the_desk)]
Named = Annotated[str, Path(alias="cluster", max_length=40)]


class ClustersParam(PageParam):
    def query(self) -> ClustersQuery:
        return ClustersQuery(after=self.after(), limit=self.limit)


class Kubeconfig(JSONResponse):
    def render(self, content: object) -> bytes:
        """It is JSON as it came."""
        return str(content).encode()


@router.get("/clusters", dependencies=needs(Role.VIEWER))
async def clusters(
    desk: Desk, request: Request, response: Response, query: Annotated[ClustersParam, Query()]
) -> ClustersView:
    view = desk.clusters(query.query())
    linked(request, response, view.next)
    return view


@router.get("/clusters/{cluster}", dependencies=needs(Role.VIEWER))
async def cluster(desk: Desk, name: Named) -> ClusterView:
    """`api`, `nodes` and `ready` are what it said when it was last asked, some seconds ago."""
    return desk.cluster(name)


@secrets.get("/clusters/{cluster}/kubeconfig", response_class=Kubeconfig, dependencies=needs(Role.ADMIN))
async def kubeconfig(desk: Desk, name: Named) -> Kubeconfig:
    """In JSON, which `kubectl` reads as it is. Whoever has it may do everything in the cluster: it is in the audit
    log."""
    return Kubeconfig(desk.kubeconfig(name).reveal(), headers={"Cache-Control": "no-store"})
