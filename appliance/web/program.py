"""The site program, for operators: its text, whether it is sound, what it would do otherwise than the one that runs."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from appliance.access.model import Role
from appliance.api.common import Steering
from appliance.errors import InnervateError
from appliance.frontend.units import numbered
from appliance.web.forms import form_of, html, known, one
from appliance.web.pages import Pages
from appliance.web.port import Doors


class SitePage:
    def __init__(self, appliance: Steering, doors: Doors, pages: Pages) -> None:
        self._appliance, self._doors, self._pages = appliance, doors, pages
        self.routes = [Route("/site", self.look), Route("/site/reload", self.reload, methods=["POST"])]

    async def look(self, request: Request) -> Response:
        known(request, Role.OPERATOR)
        return await self._page(request)

    async def reload(self, request: Request) -> Response:
        """Exactly what the page has shown."""
        digest = one(await form_of(request, self._doors, Role.ADMIN), "digest")
        request.state.named = {"digest": digest[:12]}
        try:
            await self._appliance.reload(digest)
        except InnervateError as error:
            return await self._page(request, error)
        return RedirectResponse("/site", status_code=303)

    async def _page(self, request: Request, error: InnervateError | None = None) -> Response:
        view = await self._appliance.program()
        page = self._pages.draw("site", program=view, lines=tuple(numbered(view.source)), problem=error)
        return html(request, self._doors, page, error)
