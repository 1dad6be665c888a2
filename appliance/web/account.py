"""One's own account: password, authenticator, passkeys, tokens, and where one is logged in."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from appliance.access.model import Caller, Role
from appliance.access.views import passkey_view, session_view, token_view, user_view
from appliance.access.webauthn import unfit
from appliance.api.entering import source_of
from appliance.api.gate import host_name
from appliance.errors import InnervateError, UsageError
from appliance.frontend.units import grouped
from appliance.web.forms import Form, choice_of, form_of, html, known, number_of, one, told
from appliance.web.pages import Pages
from appliance.web.port import Doors

_SEE_OTHER = 303
_DAYS = 90

Act = Callable[[Request, Caller, Form], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What is shown once: a token's text; an authenticator's key and URI."""

    token: str = ""
    key: str = ""
    uri: str = ""


class Account:
    def __init__(self, doors: Doors, pages: Pages) -> None:
        self._doors, self._pages = doors, pages
        acts: dict[str, Act] = {
            "/account/password": self.password,
            "/account/totp": self.offer_totp,
            "/account/totp/confirm": self.confirm_totp,
            "/account/passkeys/{id}/remove": self.remove_passkey,
            "/account/tokens": self.make_token,
            "/account/tokens/{id}/revoke": self.revoke_token,
            "/account/sessions/{id}/end": self.end_session,
        }
        posts = [Route(path, self._doing(act), methods=["POST"]) for path, act in acts.items()]
        self.routes = [Route("/account", self.look), *posts]

    async def look(self, request: Request) -> Response:
        return self._page(request)

    async def password(self, request: Request, caller: Caller, form: Form) -> Response:
        told(request, "authn_password_change", user=caller.name)
        new, current = _twice(form), one(form, "current")
        await self._doors.desk.set_password(caller, caller.name, new, current, source_of(request))
        return _see()

    async def offer_totp(self, request: Request, caller: Caller, form: Form) -> Response:
        told(request, "user_updated", user=caller.name)
        key, uri = self._doors.desk.offer_totp(caller, caller.name)
        return self._page(request, shown=Shown(key=key, uri=uri))

    async def confirm_totp(self, request: Request, caller: Caller, form: Form) -> Response:
        told(request, "user_updated", user=caller.name)
        try:
            self._doors.desk.confirm_totp(caller, caller.name, one(form, "code").strip(), source_of(request))
        except UsageError as error:  # another code: the key on the page is still the one that counts
            key, uri = self._doors.desk.offered_totp(caller, caller.name) or ("", "")
            return self._page(request, error, Shown(key=key, uri=uri))
        return _see()

    async def remove_passkey(self, request: Request, caller: Caller, form: Form) -> Response:
        told(request, "user_updated", user=caller.name)
        self._doors.desk.passkeys.remove(caller, caller.name, request.path_params["id"])
        return _see()

    async def make_token(self, request: Request, caller: Caller, form: Form) -> Response:
        role, days = choice_of(form, "role", Role), number_of(form, "days", _DAYS)
        token, text = self._doors.desk.make_token(caller, one(form, "label").strip(), role, days)
        told(request, "authn_token_created", named=token.id)
        return self._page(request, shown=Shown(token=text))

    async def revoke_token(self, request: Request, caller: Caller, form: Form) -> Response:
        told(request, "authn_token_revoked", token=request.path_params["id"])
        self._doors.desk.revoke_token(caller, request.path_params["id"])
        return _see()

    async def end_session(self, request: Request, caller: Caller, form: Form) -> Response:
        told(request, "session_expired", session=request.path_params["id"])
        self._doors.desk.end_session(caller, request.path_params["id"])
        return _see()

    def _doing(self, act: Act) -> Callable[[Request], Awaitable[Response]]:
        async def done(request: Request) -> Response:
            form = await form_of(request, self._doors, Role.VIEWER)
            try:
                return await act(request, known(request), form)
            except InnervateError as error:
                return self._page(request, error)

        return done

    def _page(self, request: Request, error: InnervateError | None = None, shown: Shown = Shown()) -> Response:
        caller, desk = known(request), self._doors.desk
        user = next((one for one in desk.users() if one.name == caller.name), None)
        page = self._pages.draw(
            "account",
            caller=caller,
            user=None if user is None else user_view(user),
            passkeys=() if user is None else tuple(map(passkey_view, user.passkeys)),
            tokens=tuple(token_view(one) for one in desk.tokens(caller) if one.user == caller.name),
            sessions=tuple(
                session_view(one, own=desk.is_own(caller, one))
                for one in desk.sessions(caller)
                if one.session.user == caller.name
            ),
            roles=tuple(role.value for role in Role if caller.role.includes(role)),
            unfit=unfit(host_name(request.headers.get("host", ""))),
            problem=error,
            shown=shown,
            key=grouped(shown.key),
        )
        return html(request, self._doors, page, error)


def _twice(form: Form) -> str:
    if one(form, "password") != one(form, "again"):
        raise UsageError("the two new passwords are not the same", next_action="type it twice")
    return one(form, "password")


def _see() -> Response:
    return RedirectResponse("/account", status_code=_SEE_OTHER)
