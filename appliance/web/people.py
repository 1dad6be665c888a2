"""The accounts, for admins: who there is, what they may, what opens the door for them, and who is in."""

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from appliance.access.model import Caller, Role
from appliance.access.views import passkey_view, session_view, token_view, user_view
from appliance.api.entering import source_of
from appliance.api.etags import refuse_stale
from appliance.errors import InnervateError, UsageError
from appliance.model.codec import etag_of
from appliance.web.forms import Form, choice_of, form_of, html, known, one, told
from appliance.web.pages import Pages
from appliance.web.port import Doors

_SEE_OTHER = 303
_AGAIN = "what is shown now is new: look, and press again"

Act = Callable[[Request, Caller, Form], Awaitable[Response]]
Draw = Callable[[Request, InnervateError | None], Response]


class People:
    def __init__(self, doors: Doors, pages: Pages) -> None:
        self._doors, self._pages = doors, pages
        every, single = self._page, self._person
        acts: dict[str, tuple[Act, Draw]] = {
            "/people": (self.add, every),
            "/people/tokens/{id}/revoke": (self.revoke_token, every),
            "/people/sessions/{id}/end": (self.end_session, every),
            "/people/{name}/password": (self.password, single),
            "/people/{name}/remove-authenticator": (self.remove_totp, single),
            "/people/{name}/remove": (self.remove, single),
            "/people/{name}/passkeys/{id}/remove": (self.remove_passkey, single),
            "/people/{name}/{verb}": (self.change, single),
        }
        posts = [Route(path, self._doing(act, draw), methods=["POST"]) for path, (act, draw) in acts.items()]
        self.routes = [Route("/people", self.look), Route("/people/{name}", self.look_at), *posts]

    async def look(self, request: Request) -> Response:
        return self._page(request)

    async def look_at(self, request: Request) -> Response:
        return self._person(request)

    async def add(self, request: Request, caller: Caller, form: Form) -> Response:
        name = one(form, "name").strip()
        told(request, "user_created", user=name)
        await self._doors.desk.add_user(name, choice_of(form, "role", Role), one(form, "password"))
        return _see(f"/people/{quote(name)}")

    async def change(self, request: Request, caller: Caller, form: Form) -> Response:
        name, desk = _named(request), self._doors.desk
        self._refuse_stale(name, form)
        match request.path_params["verb"]:
            case "role":
                desk.change_user(name, choice_of(form, "role", Role), None)
            case "enable" | "disable" as verb:
                desk.change_user(name, None, verb == "enable")
            case "second-factor" | "no-second-factor" as verb:
                desk.change_user(name, None, None, verb == "second-factor")
            case _:
                raise HTTPException(404)
        return _see(f"/people/{quote(name)}")

    async def password(self, request: Request, caller: Caller, form: Form) -> Response:
        name = _named(request, "authn_password_change")
        await self._doors.desk.set_password(
            caller, name, one(form, "password"), one(form, "current"), source_of(request)
        )
        return _see(f"/people/{quote(name)}")

    async def remove_totp(self, request: Request, caller: Caller, form: Form) -> Response:
        name = _named(request)
        self._doors.desk.remove_totp(caller, name)
        return _see(f"/people/{quote(name)}")

    async def remove_passkey(self, request: Request, caller: Caller, form: Form) -> Response:
        name = _named(request)
        self._doors.desk.passkeys.remove(caller, name, request.path_params["id"])
        return _see(f"/people/{quote(name)}")

    async def remove(self, request: Request, caller: Caller, form: Form) -> Response:
        name = _named(request, "user_deleted")
        self._refuse_stale(name, form)
        if one(form, "typed").strip() != name:
            raise UsageError(f"type {name}, letter by letter, to remove the account")
        self._doors.desk.remove_user(name)
        return _see("/people")

    async def revoke_token(self, request: Request, caller: Caller, form: Form) -> Response:
        told(request, "authn_token_revoked", token=request.path_params["id"])
        self._doors.desk.revoke_token(caller, request.path_params["id"])
        return _see("/people")

    async def end_session(self, request: Request, caller: Caller, form: Form) -> Response:
        told(request, "session_expired", session=request.path_params["id"])
        self._doors.desk.end_session(caller, request.path_params["id"])
        return _see("/people")

    def _refuse_stale(self, name: str, form: Form) -> None:
        """Two admins may have the page open."""
        refuse_stale(one(form, "seen"), user_view(self._doors.desk.user(name)), _AGAIN)

    def _doing(self, act: Act, draw: Draw) -> Callable[[Request], Awaitable[Response]]:
        async def done(request: Request) -> Response:
            form = await form_of(request, self._doors, Role.ADMIN)
            try:
                return await act(request, known(request), form)
            except InnervateError as error:
                return draw(request, error)

        return done

    def _page(self, request: Request, error: InnervateError | None = None) -> Response:
        caller, desk = known(request, Role.ADMIN), self._doors.desk
        page = self._pages.draw(
            "people",
            users=tuple(map(user_view, desk.users())),
            tokens=tuple(map(token_view, desk.tokens(caller))),
            sessions=tuple(session_view(one, own=desk.is_own(caller, one)) for one in desk.sessions(caller)),
            roles=tuple(role.value for role in Role),
            problem=error,
        )
        return html(request, self._doors, page, error)

    def _person(self, request: Request, error: InnervateError | None = None) -> Response:
        """Raises `NotFoundError`."""
        caller, desk = known(request, Role.ADMIN), self._doors.desk
        user = desk.user(request.path_params["name"])
        page = self._pages.draw(
            "person",
            user=user_view(user),
            seen=etag_of(user_view(user)),
            own=user.name == caller.name,
            passkeys=tuple(map(passkey_view, user.passkeys)),
            roles=tuple(role.value for role in Role),
            problem=error,
        )
        return html(request, self._doors, page, error)


def _named(request: Request, event: str = "user_updated") -> str:
    name: str = request.path_params["name"]
    told(request, event, user=name)
    return name


def _see(path: str) -> Response:
    return RedirectResponse(path, status_code=_SEE_OTHER)
