"""What forms ask for. Each POST changes one thing and sends the browser to the page that shows it."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from appliance.api.common import Steering
from appliance.errors import ConflictError, InnervateError, RefusedError, UsageError
from appliance.frontend.preflight import ANYWAY
from appliance.model.asked import Asked
from appliance.model.doctor import Check, DoctorRequest
from appliance.model.goal import ASK, Consent
from appliance.model.ids import GoalId, MachineName, PlanDigest, RunId, machine_name
from appliance.model.views import Errand, PlanView, PowerAction
from appliance.model.words import Destroys
from appliance.web.forms import Form, asked_of, choice_of, form_of, html, one, reason_of
from appliance.web.pages import Pages, Result, failed_of, to_type
from appliance.web.port import Doors

_SEE_OTHER = 303
_CODE_DIGITS = 6


class Actions:
    def __init__(self, appliance: Steering, doors: Doors, pages: Pages) -> None:
        self._appliance = appliance
        self._doors = doors
        self._pages = pages
        self.routes = [
            Route("/provision", self.provision, methods=["POST"]),
            Route("/plans/{digest}/apply", self.apply, methods=["POST"]),
            Route("/goals/{goal}/drop", self.drop, methods=["POST"]),
            Route("/machines", self.many, methods=["POST"]),
            Route("/machines/{name}/errand", self.errand, methods=["POST"]),
            Route("/machines/{name}/power", self.power, methods=["POST"]),
            Route("/machines/{name}/hold", self.hold, methods=["POST"]),
            Route("/machines/{name}/release", self.release, methods=["POST"]),
            Route("/machines/{name}/confirm", self.confirm, methods=["POST"]),
            Route("/runs/{run}/{verb}", self.steer, methods=["POST"]),
            Route("/site/retirement", self.retire, methods=["POST"]),
        ]

    async def provision(self, request: Request) -> Response:
        """The button. What destroys nothing, such as discovery, begins at once; the rest is shown first. A typed name
        lets the appliance write to blank disks later without asking again."""
        form = await form_of(request, self._doors)
        then, site = _then(form) or ASK, self._appliance.health().site
        if then != ASK and one(form, "name").strip() != site:
            raise UsageError(f"type {site}, letter by letter, to begin", next_action="nothing was done")
        self._appliance.doctor_desk.start(DoctorRequest())
        plan = await self._appliance.make_plan()
        if plan.steps and not to_type(plan):
            with suppress(RefusedError):  # the plan's page says what stands in the way
                run = await self._appliance.apply(PlanDigest(plan.digest), asked_of(request), then)
                return _see(f"/runs/{run.id}")
        return _see(f"/plans/{plan.digest}")

    async def apply(self, request: Request) -> Response:
        form, digest = await form_of(request, self._doors), PlanDigest(request.path_params["digest"])
        plan = self._appliance.plan(digest)
        if one(form, "name").strip() != to_type(plan):
            asked = UsageError(f"type {to_type(plan)}, letter by letter, to begin")
            return self._again(request, plan, asked)
        despite, then = _despite(form), _then(form)
        wanted = replace(then, despite=despite) if then is not None else None
        try:
            return _see(f"/runs/{(await self._appliance.apply(digest, asked_of(request), wanted, despite)).id}")
        except (ConflictError, RefusedError) as error:
            return self._again(request, plan, error)

    def _again(self, request: Request, plan: PlanView, error: InnervateError) -> Response:
        lead = "" if isinstance(error, RefusedError) else "Nothing was done: "
        said = "; ".join(filter(None, (str(error), error.next_action)))
        return html(request, self._doors, self._pages.plan(PlanDigest(plan.digest), f"{lead}{said}."), error)

    async def drop(self, request: Request) -> Response:
        await form_of(request, self._doors)
        await self._appliance.drop(GoalId(request.path_params["goal"]), asked_of(request))
        return _see("/")

    async def errand(self, request: Request) -> Response:
        errand = choice_of(await form_of(request, self._doors), "errand", Errand)
        plan = await self._appliance.plan_errand(_machine(request), errand)
        return _see(f"/plans/{plan.digest}")

    async def retire(self, request: Request) -> Response:
        await form_of(request, self._doors)
        return _see(f"/plans/{(await self._appliance.plan_retirement()).digest}")

    async def power(self, request: Request) -> Response:
        action = choice_of(await form_of(request, self._doors), "action", PowerAction)
        return _see(f"/runs/{(await self._appliance.power(_machine(request), action, asked_of(request))).id}")

    async def hold(self, request: Request) -> Response:
        name, reason = _machine(request), reason_of(await form_of(request, self._doors))
        await self._appliance.hold(name, reason, asked_of(request))
        return _see(f"/machines/{quote(name)}")

    async def release(self, request: Request) -> Response:
        await form_of(request, self._doors)
        name = _machine(request)
        await self._appliance.release(name, asked_of(request))
        return _see(f"/machines/{quote(name)}")

    async def confirm(self, request: Request) -> Response:
        name, code = _machine(request), one(await form_of(request, self._doors), "code")
        await self._appliance.confirm(name, "".join(code.split())[:_CODE_DIGITS], asked_of(request))
        return _see(f"/machines/{quote(name)}")

    async def many(self, request: Request) -> Response:
        """One after the other; whoever refuses stops none of the others."""
        form = await form_of(request, self._doors)
        act, names = self._act(form, asked_of(request)), form.get("machine", [])
        if not names:
            raise UsageError("no machine was chosen", next_action="tick the machines first")
        results = [await _tried(act, name) for name in names]
        response = html(request, self._doors, self._pages.results(one(form, "verb"), results))
        response.status_code = 207 if any(result.problem is not None for result in results) else 200
        return response

    def _act(self, form: Form, asked: Asked) -> Callable[[MachineName], Awaitable[object]]:
        match one(form, "verb"):
            case "hold":
                reason = reason_of(form)
                return lambda name: self._appliance.hold(name, reason, asked)
            case "release":
                return lambda name: self._appliance.release(name, asked)
            case _:
                action = choice_of(form, "verb", PowerAction)
                return lambda name: self._appliance.power(name, action, asked)

    async def steer(self, request: Request) -> Response:
        form, run, asked = await form_of(request, self._doors), RunId(request.path_params["run"]), asked_of(request)
        match request.path_params["verb"]:
            case "pause":
                await self._appliance.pause(run, reason_of(form), asked)
            case "resume":
                await self._appliance.resume(run, asked)
            case "cancel":
                await self._appliance.cancel(run, asked)
            case "retry":
                await self._appliance.retry(run, machine_name(one(form, "machine")), asked)
            case "retry-failed":
                return await self._retry_failed(request, run, asked)
            case "set-aside":
                await self._appliance.set_aside(run, machine_name(one(form, "machine")), reason_of(form), asked)
            case _:
                raise HTTPException(404)
        return _see(f"/runs/{quote(run)}")

    async def _retry_failed(self, request: Request, run: RunId, asked: Asked) -> Response:
        """Of those that cannot be tried again it is said why; the others are."""
        failed = failed_of(self._appliance.run(run))
        results = [await _tried(lambda name: self._appliance.retry(run, name, asked), name) for name in failed]
        if all(result.problem is None for result in results):
            return _see(f"/runs/{quote(run)}")
        response = html(request, self._doors, self._pages.results("retry", results))
        response.status_code = 207
        return response


def _despite(form: Form) -> tuple[Check, ...]:
    """What the box says: the checks whose failures were read, and no others."""
    words = one(form, ANYWAY).split()
    return tuple(check for check in Check if check.value in words)


def _then(form: Form) -> Consent | None:
    """What the form says of the plans that follow; None where it asks nothing about them."""
    return Consent(destroys=choice_of(form, "destroys", Destroys)) if one(form, "destroys") else None


async def _tried(act: Callable[[MachineName], Awaitable[object]], name: str) -> Result:
    try:
        await act(machine_name(name))
    except InnervateError as error:
        return Result(machine=name, problem=error)
    return Result(machine=name)


def _machine(request: Request) -> MachineName:
    return machine_name(request.path_params["name"])


def _see(path: str) -> Response:
    return RedirectResponse(path, status_code=_SEE_OTHER)
