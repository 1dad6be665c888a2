"""The hand-over report as a page, to be read and to be printed."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from appliance.api.common import Looking
from appliance.frontend.report import body
from appliance.model.filter import parse
from appliance.web.forms import html
from appliance.web.pages import Pages
from appliance.web.port import Doors


class ReportPage:
    def __init__(self, appliance: Looking, doors: Doors, pages: Pages) -> None:
        self._appliance, self._doors, self._pages = appliance, doors, pages
        self.routes = [Route("/report", self.page)]

    async def page(self, request: Request) -> Response:
        text = request.query_params.get("filter", "")
        view = self._appliance.report(parse(text), text)
        drawn = await asyncio.to_thread(body, view)
        return html(request, self._doors, self._pages.draw("report", report=drawn, text=text))
