"""What browsers send, checked; and pages on their way to one person."""

from enum import Enum
from html import escape
from typing import TypeVar
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse

from appliance.access.model import Caller, Role, Via
from appliance.api.gate import Needs
from appliance.api.gate import caller_of as caller_needed
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


def known(connection: HTTPConnection, role: Role = Role.VIEWER) -> Caller:
    """Raises `AccessError` for whom the role is lacking."""
    Needs(role)(connection)
    return caller_needed(connection)


def told(request: Request, event: str, **named: str) -> None:
    """What the audit log calls this, and what it was done to; where it is refused, that it was."""
    request.state.event, request.state.named, request.state.presented = event, named, True


def html(request: Request, doors: Doors, page: str, error: Exception | None = None) -> HTMLResponse:
    """`page` was drawn for anybody; `error` gives it its status."""
    status = 200 if error is None else problem(error).status
    response = HTMLResponse(personal(request, doors, page), status_code=status)
    response.headers["Cache-Control"] = "no-store"
    return response


def personal(request: Request, doors: Doors, text: str) -> str:
    """With the token of this session, which only its own pages know, and the caller's name."""
    caller = caller_of(request)
    name, role, token = (caller.name, caller.role.value, doors.desk.csrf_of(caller)) if caller else ("", "", "")
    return text.replace(CSRF, token).replace(WHO, escape(name)).replace(ROLE, role)


async def form_of(request: Request, doors: Doors, role: Role = Role.OPERATOR) -> Form:
    """What a form of our own pages asks for, of somebody who may ask it."""
    form, caller = await fields_of(request), known(request, role)
    if caller.via is Via.SESSION and not doors.desk.is_csrf(caller, one(form, "csrf")):
        raise AccessError("this form is not of this session", next_action="load the page again, and send its form")
    return form


async def fields_of(request: Request) -> Form:
    """Of `application/x-www-form-urlencoded`. That it is no other site's is the gate's word."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise HTTPException(413, f"a form may have {_BODY_LIMIT} bytes")
    try:
        return parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError as error:
        raise UsageError("this is no form", evidence=str(error), next_action="use the page's own form") from error


def one(form: Form, name: str) -> str:
    return form.get(name, [""])[0]


def reason_of(form: Form) -> str:
    if not (reason := one(form, "reason").strip()[:1000]):
        raise UsageError("a reason is needed: others will read it", next_action="say why in a few words")
    return reason


def number_of(form: Form, name: str, default: int) -> int:
    text = one(form, name).strip()
    if text and not (text.isdecimal() and len(text) < 10):
        raise UsageError(f"{name} is a whole number", evidence=text[:70], next_action="use digits alone")
    return int(text) if text else default


def choice_of(form: Form, name: str, kind: type[E]) -> E:
    try:
        return kind(one(form, name))
    except ValueError as error:
        known = ", ".join(str(known.value) for known in kind)
        raise UsageError(f"{name} is none of: {known}", evidence=one(form, name)[:70]) from error
