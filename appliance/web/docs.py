"""The documentation, for everybody who can reach the appliance: it says nothing of the site, and who cannot log in
needs it most."""

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from appliance.manual.finding import find, words_of
from appliance.manual.page import ROOT
from appliance.manual.reading import Manual
from appliance.web.forms import caller_of, html
from appliance.web.port import Doors
from appliance.web.render import render

_PICTURE = ".png"
_LONGEST = 100


class Docs:
    """`site` is shown to whom the gate knows."""

    def __init__(self, manual: Manual, doors: Doors, site: str) -> None:
        self._manual, self._doors, self._site = manual, doors, site
        self.routes = [
            Route(ROOT, self.page),
            Route(f"{ROOT}/search", self.search),
            Route(f"{ROOT}/files/{{path:path}}", self.file),
            Route(f"{ROOT}/{{page:path}}", self.page),
        ]

    def page(self, request: Request) -> Response:
        name = request.path_params.get("page", "")
        page = self._manual.page(f"{ROOT}/{name}" if name else ROOT)
        return self._drawn(request, "doc", page=page)

    def search(self, request: Request) -> Response:
        text = request.query_params.get("q", "")[:_LONGEST]
        return self._drawn(request, "found", text=text, hits=find(self._manual.pages.values(), words_of(text)))

    def file(self, request: Request) -> Response:
        """Whatever is no picture is text to read, never something for the browser to run."""
        path = self._manual.file(request.path_params["path"])
        kind = "image/png" if path.suffix == _PICTURE else "text/plain; charset=utf-8"
        return FileResponse(path, media_type=kind)

    def _drawn(self, request: Request, template: str, **context: object) -> Response:
        site = self._site if caller_of(request) is not None else ""
        page = render(template, site=site, mark="", live="", now=0.0, **context)
        return html(request, self._doors, page)
