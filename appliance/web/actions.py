"""What forms ask for. Each POST changes one thing and sends the browser to the page that shows it."""

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TypeVar
from urllib.parse import parse_qs, quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from appliance.errors import ConflictError, InnervateError, UsageError
from appliance.model.ids import MachineName, PlanDigest, RunId, machine_name
from appliance.model.views import Errand, PlanView, PowerAction
from appliance.web.pages import Pages, Result, to_type
from appliance.web.port import Appliance

_BODY_LIMIT = 1 << 20
_SEE_OTHER = 303

E = TypeVar("E", bound=Enum)
Form = dict[str, list[str]]


class Actions:
    def __init__(self, appliance: Appliance, pages: Pages) -> None:
        self._appliance = appliance
        self._pages = pages
        self.routes = [
            Route("/provision", self.provision, methods=["POST"]),
            Route("/plans/{digest}/apply", self.apply, methods=["POST"]),
            Route("/machines", self.many, methods=["POST"]),
            Route("/machines/{name}/errand", self.errand, methods=["POST"]),
            Route("/machines/{name}/power", self.power, methods=["POST"]),
            Route("/machines/{name}/hold", self.hold, methods=["POST"]),
            Route("/machines/{name}/release", self.release, methods=["POST"]),
            Route("/runs/{run}/{verb}", self.steer, methods=["POST"]),
        ]

    async def provision(self, request: Request) -> Response:
        """The button. What destroys nothing, such as discovery, begins at once; the rest is shown first."""
        await _form(request)
        plan = await self._appliance.make_plan()
        if plan.steps and not to_type(plan):
            return _see(f"/runs/{(await self._appliance.apply(PlanDigest(plan.digest))).id}")
        return _see(f"/plans/{plan.digest}")

    async def apply(self, request: Request) -> Response:
        form, digest = await _form(request), PlanDigest(request.path_params["digest"])
        plan = self._appliance.plan(digest)
        if _one(form, "name").strip() != to_type(plan):
            return self._again(plan, f"Nothing was done: type {to_type(plan)}, letter by letter, to begin.", 422)
        try:
            return _see(f"/runs/{(await self._appliance.apply(digest)).id}")
        except ConflictError as error:
            return self._again(plan, f"Nothing was done: {error}. {error.next_action}.", 409)

    def _again(self, plan: PlanView, problem: str, status: int) -> Response:
        return HTMLResponse(self._pages.plan(PlanDigest(plan.digest), problem), status_code=status)

    async def errand(self, request: Request) -> Response:
        errand = _choice(await _form(request), "errand", Errand)
        plan = await self._appliance.plan_errand(_machine(request), errand)
        return _see(f"/plans/{plan.digest}")

    async def power(self, request: Request) -> Response:
        action = _choice(await _form(request), "action", PowerAction)
        return _see(f"/runs/{(await self._appliance.power(_machine(request), action)).id}")

    async def hold(self, request: Request) -> Response:
        name, reason = _machine(request), _reason(await _form(request))
        await self._appliance.hold(name, reason)
        return _see(f"/machines/{quote(name)}")

    async def release(self, request: Request) -> Response:
        await _form(request)
        name = _machine(request)
        await self._appliance.release(name)
        return _see(f"/machines/{quote(name)}")

    async def many(self, request: Request) -> Response:
        """One after the other; whoever refuses stops none of the others."""
        form = await _form(request)
        act, names = self._act(form), form.get("machine", [])
        if not names:
            raise UsageError("no machine was chosen", next_action="tick the machines first")
        results = [await _tried(act, name) for name in names]
        failed = any(result.problem is not None for result in results)
        return HTMLResponse(self._pages.results(_one(form, "verb"), results), status_code=207 if failed else 200)

    def _act(self, form: Form) -> Callable[[MachineName], Awaitable[object]]:
        match _one(form, "verb"):
            case "hold":
                reason = _reason(form)
                return lambda name: self._appliance.hold(name, reason)
            case "release":
                return self._appliance.release
            case verb:
                action = _choice({"verb": [verb]}, "verb", PowerAction)
                return lambda name: self._appliance.power(name, action)

    async def steer(self, request: Request) -> Response:
        form, run = await _form(request), RunId(request.path_params["run"])
        match request.path_params["verb"]:
            case "pause":
                await self._appliance.pause(run, _reason(form))
            case "resume":
                await self._appliance.resume(run)
            case "cancel":
                await self._appliance.cancel(run)
            case "retry":
                await self._appliance.retry(run, machine_name(_one(form, "machine")))
            case "set-aside":
                await self._appliance.set_aside(run, machine_name(_one(form, "machine")), _reason(form))
            case _:
                raise HTTPException(404)
        return _see(f"/runs/{quote(run)}")


async def _tried(act: Callable[[MachineName], Awaitable[object]], name: str) -> Result:
    try:
        await act(machine_name(name))
    except InnervateError as error:
        return Result(machine=name, problem=error)
    return Result(machine=name)


async def _form(request: Request) -> Form:
    """Of `application/x-www-form-urlencoded`. A form that another site sends is refused."""
    _check_origin(request)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise HTTPException(413, f"a form may have {_BODY_LIMIT} bytes")
    try:
        return parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=5000)
    except ValueError as error:
        raise UsageError("this is no form", evidence=str(error), next_action="use the page's own form") from error


def _check_origin(request: Request) -> None:
    """A browser names the page that sent the form, and no script can make it lie (RFC 6454 section 7)."""
    origin = request.headers.get("origin", "")
    if origin.partition("://")[2] != request.headers.get("host", ""):
        raise HTTPException(403, "the form came from another site")


def _machine(request: Request) -> MachineName:
    return machine_name(request.path_params["name"])


def _one(form: Form, name: str) -> str:
    return form.get(name, [""])[0]


def _reason(form: Form) -> str:
    if not (reason := _one(form, "reason").strip()[:1000]):
        raise UsageError("a reason is needed: others will read it", next_action="say why in a few words")
    return reason


def _choice(form: Form, name: str, kind: type[E]) -> E:
    try:
        return kind(_one(form, name))
    except ValueError as error:
        known = ", ".join(str(one.value) for one in kind)
        raise UsageError(f"{name} is none of: {known}", evidence=_one(form, name)[:70]) from error


def _see(path: str) -> Response:
    return RedirectResponse(path, status_code=_SEE_OTHER)
