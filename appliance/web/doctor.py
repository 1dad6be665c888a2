"""The doctor's findings: a page of their own, and what of them stands before a plan; they come while it is read."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from appliance.api.common import Steering
from appliance.frontend.preflight import accepted, matters, verdict
from appliance.model.doctor import DoctorRequest, DoctorView, Finding
from appliance.model.ids import PlanDigest
from appliance.model.views import PlanView
from appliance.web.forms import form_of, html
from appliance.web.port import Doors
from appliance.web.render import render

_LOOK_SECONDS = 10.0


class DoctorPages:
    def __init__(self, appliance: Steering, doors: Doors, site: str) -> None:
        self._appliance, self._doors, self._site = appliance, doors, site
        self.routes = [
            Route("/doctor", self.page),
            Route("/doctor", self.start, methods=["POST"]),
            Route("/doctor/findings", self.findings),
            Route("/plans/{digest}/findings", self.before_plan),
        ]

    async def page(self, request: Request) -> Response:
        drawn = all_findings(self._appliance.doctor_desk.doctor())
        page = render("doctor", site=self._site, mark="", live="", now=0.0, findings=drawn)
        return html(request, self._doors, page)

    async def start(self, request: Request) -> Response:
        await form_of(request, self._doors)
        self._appliance.doctor_desk.start(DoctorRequest())
        return RedirectResponse("/doctor", status_code=303)

    async def findings(self, request: Request) -> Response:
        return html(request, self._doors, all_findings(await self._looked(request)))

    async def before_plan(self, request: Request) -> Response:
        plan = self._appliance.plan(PlanDigest(request.path_params["digest"]))
        return html(request, self._doors, findings_before(await self._looked(request), plan))

    async def _looked(self, request: Request) -> DoctorView:
        seen = request.query_params.get("seen", "")
        known = int(seen) if seen.isdecimal() and len(seen) < 12 else -1
        return await self._appliance.doctor_desk.look(known, _LOOK_SECONDS)


def all_findings(view: DoctorView) -> str:
    return _drawn(view, view.findings, title="Findings", path="/doctor/findings", in_the_way="")


def findings_before(view: DoctorView, plan: PlanView) -> str:
    path = f"/plans/{plan.digest}/findings"
    in_the_way = " ".join(check.value for check in accepted(view))
    return _drawn(view, matters(view, plan), title="Before you begin", path=path, in_the_way=in_the_way)


def _drawn(view: DoctorView, findings: tuple[Finding, ...], *, title: str, path: str, in_the_way: str) -> str:
    poll = f"{path}?seen={view.version}" if view.running else ""
    return render(
        "_findings", view=view, findings=findings, verdict=verdict(view), blocking=in_the_way, title=title, poll=poll
    )
