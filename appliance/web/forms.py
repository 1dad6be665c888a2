"""What browsers send, checked; and pages on their way to one person."""

from enum import Enum
from html import escape
from typing import TypeVar
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse

from appliance.access.model import Caller, Role, Via
from appliance.api.problems import problem
from appliance.errors import AccessError, UsageError
from appliance.model.asked import Asked
from appliance.web.port import Doors
from appliance.web.render import CSRF, ROLE, WHO

_BODY_LIMIT = 1 << 20
_FIELDS = 5000

E = TypeVar("E", bound=Enum)
Form = dict[str, list[str]]


def caller_of(connection: HTTPConnection) -> Caller | None:
    """Who the gate says that it is."""
    caller: Caller | None = getattr(connection.state, "caller", None)
    return caller


def asked_of(request: Request) -> Asked:
    """A form is sent by hand: nothing says that it came before."""
    caller = caller_of(request)
    return Asked() if caller is None else Asked(by=caller.name)


def html(request: Request, doors: Doors, page: str, error: Exception | None = None) -> HTMLResponse:
    """`page` was drawn for anybody; `error` gives it its status."""
    status = 200 if error is None else problem(error).status
    response = HTMLResponse(personal(request, doors, page), status_code=status)
    response.headers["Cache-Control"] = "no-store"
    return response


def personal(request: Request, doors: Doors, text: str) -> str:
    """With the token of this session, which only its own pages know, and the caller's name."""
    caller = caller_of(request)
    name, role, token = (caller.name, caller.role.value, doors.csrf_of(caller)) if caller else ("", "", "")
    return text.replace(CSRF, token).replace(WHO, escape(name)).replace(ROLE, role)


async def form_of(request: Request, doors: Doors, role: Role = Role.OPERATOR) -> Form:
    """What a form of our own pages asks for, of somebody who may ask it."""
    caller, form = caller_of(request), await fields_of(request)
    if caller is None or not caller.role.includes(role):
        seen = f"{caller.name} is {caller.role.value}" if caller else ""
        raise AccessError(f"this needs the role {role.value}", evidence=seen, next_action="ask an admin for the role")
    if caller.via is Via.SESSION and not doors.is_csrf(caller, one(form, "csrf")):
        raise AccessError("this form is not of this session", next_action="load the page again, and send its form")
    return form


async def fields_of(request: Request) -> Form:
    """Of `application/x-www-form-urlencoded`. A form that another site sends is refused."""
    _check_origin(request)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise HTTPException(413, f"a form may have {_BODY_LIMIT} bytes")
    try:
        return parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError as error:
        raise UsageError("this is no form", evidence=str(error), next_action="use the page's own form") from error


def _check_origin(request: Request) -> None:
    """A browser names the page that sent the form, and no script can make it lie (RFC 6454 section 7)."""
    origin = request.headers.get("origin", "")
    if origin.partition("://")[2] != request.headers.get("host", ""):
        raise HTTPException(403, "the form came from another site")


def one(form: Form, name: str) -> str:
    return form.get(name, [""])[0]


def reason_of(form: Form) -> str:
    if not (reason := one(form, "reason").strip()[:1000]):
        raise UsageError("a reason is needed: others will read it", next_action="say why in a few words")
    return reason


def choice_of(form: Form, name: str, kind: type[E]) -> E:
    try:
        return kind(one(form, name))
    except ValueError as error:
        known = ", ".join(str(known.value) for known in kind)
        raise UsageError(f"{name} is none of: {known}", evidence=one(form, name)[:70]) from error
