"""Coming in: the first admin, logging in and out. Whoever is known is known to the gate before any page."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from appliance.access.model import Caller, Via
from appliance.access.webauthn import unfit
from appliance.api.entering import claim, let_in, let_out, source_of
from appliance.api.gate import host_name
from appliance.errors import InnervateError
from appliance.web.forms import fields_of, html, one
from appliance.web.port import Doors
from appliance.web.render import render

_SEE_OTHER = 303
_LONGEST = 256


class Entry:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self.routes = [
            Route("/login", self.login),
            Route("/login", self.log_in, methods=["POST"]),
            Route("/setup", self.setup),
            Route("/setup", self.set_up, methods=["POST"]),
            Route("/logout", self.log_out, methods=["POST"]),
        ]

    async def login(self, request: Request) -> Response:
        if self._doors.desk.setup_code:
            return RedirectResponse("/setup", status_code=_SEE_OTHER)
        return self._form(request, "login", None)

    async def setup(self, request: Request) -> Response:
        if not self._doors.desk.setup_code:
            return RedirectResponse("/login", status_code=_SEE_OTHER)
        return self._form(request, "setup", None)

    async def log_in(self, request: Request) -> Response:
        return await self._tried(request, "login", self._enter)

    async def set_up(self, request: Request) -> Response:
        """The first admin is also the first who is in."""

        async def made(name: str, password: str, code: str, source: str) -> str:
            await self._doors.desk.set_up(name, code, password, source)
            return await self._enter(name, password, "", source)

        return await self._tried(request, "setup", made)

    async def _enter(self, name: str, password: str, code: str, source: str) -> str:
        return (await self._doors.desk.log_in(name, password, code, source)).cookie

    async def _tried(
        self, request: Request, page: str, enter: Callable[[str, str, str, str], Awaitable[str]]
    ) -> Response:
        form = await fields_of(request)
        name, password, code = (one(form, field)[:_LONGEST] for field in ("name", "password", "code"))
        claim(request, self._doors.desk.users(), name)
        try:
            cookie = await enter(name, password, code, source_of(request))
        except InnervateError as error:
            return self._form(request, page, error)
        request.state.who = name
        response = RedirectResponse("/", status_code=_SEE_OTHER)
        let_in(response, cookie)
        return response

    async def log_out(self, request: Request) -> Response:
        await fields_of(request)
        caller: Caller = request.state.caller
        if caller.via is Via.SESSION:
            self._doors.desk.log_out(caller)
        response = RedirectResponse("/login", status_code=_SEE_OTHER)
        let_out(response)
        return response

    def _form(self, request: Request, page: str, error: InnervateError | None) -> Response:
        why = unfit(host_name(request.headers.get("host", "")))
        drawn = render(page, site="", mark="", live="", now=0.0, problem=error, unfit=why)
        return html(request, self._doors, drawn, error)
