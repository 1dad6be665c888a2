"""What is handed over with a site, as a REST resource."""

from typing import Annotated

from fastapi import APIRouter, Query

from appliance.access.model import Role
from appliance.api.gate import needs
from appliance.api.routes import App, FilterParam
from appliance.model.report_views import ReportView

router = APIRouter(prefix="/v1")


@router.get("/report", dependencies=needs(Role.VIEWER))
async def report(application: App, query: Annotated[FilterParam, Query()]) -> ReportView:
    """Serial numbers, firmware, disks, addresses, what was installed and what proved it; `filter` as for machines."""
    return application.report(query.wanted(), query.filter)
