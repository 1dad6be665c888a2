"""The REST resources of passkeys: added by who is logged in, and the way in by one (WebAuthn)."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import ConfigDict, Field, with_config

from appliance.access.model import TICKET, Role
from appliance.access.views import passkey_view
from appliance.access.webauthn import ANSWER_LIMIT, CHALLENGE_SECONDS
from appliance.api.access import Doors, Long, Short, UserName
from appliance.api.entering import claim, let_in, origin_of
from appliance.api.etags import Tagged
from appliance.api.gate import Asker, Source, needs
from appliance.errors import LoginError
from appliance.model.access_views import (
    ChallengeView,
    MeView,
    PasskeyLoginRequest,
    PasskeyOfferRequest,
    PasskeyRequest,
    PasskeysView,
    PasskeyView,
)

_STRICT = ConfigDict(extra="forbid")

router = APIRouter(prefix="/v1", route_class=Tagged)

Credential = Annotated[str, Field(max_length=ANSWER_LIMIT, repr=False)]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyOfferBody(PasskeyOfferRequest):
    """The proof that it is still the account's owner who asks."""

    password: Long
    code: Short = ""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyBody(PasskeyRequest):
    """What the authenticator has made, and what to call it."""

    label: Annotated[str, Field(max_length=64)]
    credential: Credential


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyLoginBody(PasskeyLoginRequest):
    """What the authenticator has signed."""

    credential: Credential


@router.post("/login/passkey/challenge")
async def ask(doors: Doors, source: Source, request: Request, response: Response) -> ChallengeView:
    """The answer is bound to this browser by a cookie, counts once, and for two minutes."""
    asked = doors.desk.passkeys.ask(origin_of(request), source)
    response.set_cookie(
        TICKET, asked.ticket, max_age=int(CHALLENGE_SECONDS), path="/", secure=True, httponly=True, samesite="strict"
    )
    response.headers["Cache-Control"] = "no-store"
    return ChallengeView(options=asked.options)


@router.post("/login/passkey")
async def log_in(doors: Doors, source: Source, request: Request, response: Response, body: PasskeyLoginBody) -> MeView:
    passkeys = doors.desk.passkeys
    challenge = passkeys.take(request.cookies.get(TICKET, ""))
    claim(request, doors.desk.users(), passkeys.owner_of(body.credential))
    try:
        entered = passkeys.log_in(challenge, body.credential, source)
    except LoginError as error:
        request.state.named = {"passkey": error.evidence}
        raise
    let_in(response, entered.cookie)
    response.delete_cookie(TICKET, path="/", secure=True, httponly=True, samesite="strict")
    response.headers["Cache-Control"] = "no-store"
    caller = entered.caller
    return MeView(name=caller.name, role=caller.role, via=caller.via, csrf=entered.csrf)


@router.get("/users/{user}/passkeys", dependencies=needs(Role.VIEWER))
async def passkeys(doors: Doors, caller: Asker, user: UserName) -> PasskeysView:
    """One's own, or as an admin anybody's."""
    return PasskeysView(passkeys=tuple(map(passkey_view, doors.desk.passkeys.of(caller, user))))


@router.post("/users/{user}/passkeys/challenge", dependencies=needs(Role.VIEWER))
async def offer(
    doors: Doors, caller: Asker, source: Source, request: Request, response: Response, user: UserName,
    body: PasskeyOfferBody,
) -> ChallengeView:  # fmt: skip
    """For one's own account; what is made goes to POST `/v1/users/{user}/passkeys` in the same session."""
    request.state.presented = True
    origin = origin_of(request)
    options = await doors.desk.passkeys.offer(caller, user, origin, body.password, body.code, source)
    response.headers["Cache-Control"] = "no-store"
    return ChallengeView(options=options)


@router.post("/users/{user}/passkeys", dependencies=needs(Role.VIEWER), status_code=201)
async def add(doors: Doors, caller: Asker, request: Request, user: UserName, body: PasskeyBody) -> PasskeyView:
    made = doors.desk.passkeys.add(caller, user, body.label, body.credential)
    request.state.named = {"passkey": made.id}
    return passkey_view(made)


@router.delete(
    "/users/{user}/passkeys/{passkey}", dependencies=needs(Role.VIEWER), response_class=Response, status_code=204
)
async def remove(doors: Doors, caller: Asker, user: UserName, passkey: Annotated[str, Path(max_length=16)]) -> None:
    """One's own, or as an admin anybody's; the account's other sessions end."""
    doors.desk.passkeys.remove(caller, user, passkey)
