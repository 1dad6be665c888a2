"""The REST resources of accounts, sessions, tokens and the audit log. Secrets come in; each is shown once at most."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, with_config
from starlette.requests import HTTPConnection

from appliance.access.access import Access
from appliance.access.book import Token, User
from appliance.access.model import Role, Via
from appliance.api.entering import claim, let_in, let_out
from appliance.api.etags import Tagged, guard
from appliance.api.gate import Asker, Source, needs
from appliance.api.once import asked_of
from appliance.model.access_views import (
    AuditVerdictView,
    AuditView,
    LoginRequest,
    MeView,
    PasswordRequest,
    SetupRequest,
    SetupView,
    TokenRequest,
    TokensView,
    TokenView,
    TotpRequest,
    TotpView,
    UserChangeRequest,
    UserRequest,
    UsersView,
    UserView,
)

_STRICT = ConfigDict(extra="forbid")

router = APIRouter(prefix="/v1", route_class=Tagged)

UserName = Annotated[str, Path(max_length=32)]
Short = Annotated[str, Field(max_length=64, repr=False)]
Long = Annotated[str, Field(max_length=256, repr=False)]


def the_access(connection: HTTPConnection) -> Access:
    access: Access = connection.app.state.access
    return access


Doors = Annotated[Access, Depends(the_access)]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class SetupBody(SetupRequest):
    """The first admin's name and password, and the code that allows it."""

    name: Short
    code: Short
    password: Long


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class LoginBody(LoginRequest):
    """Who comes in."""

    name: Short
    password: Long
    code: Short = ""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class UserBody(UserRequest):
    """A new account."""

    name: Short
    password: Long


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class UserChangeBody(UserChangeRequest):
    """What is to be another."""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordBody(PasswordRequest):
    """The new password."""

    password: Long
    current: Long = ""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class TotpBody(TotpRequest):
    """What the authenticator shows."""

    code: Short


@with_config(_STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBody(TokenRequest):
    """What the token is for, and what it may."""

    label: Annotated[str, Field(max_length=64)]


class AuditQuery(BaseModel):
    model_config = _STRICT

    after: int = Field(default=0, ge=0, description="only lines with a greater `seq`")
    limit: int = Field(default=100, ge=1, le=1000)
    wait: float = Field(default=0, ge=0, le=30, description="seconds to wait for the first line")


@router.get("/setup")
async def setup(doors: Doors, request: Request) -> SetupView:
    """The code itself on the Unix socket only."""
    code, caller = doors.desk.setup_code, request.state.caller
    local = caller is not None and caller.via is Via.SOCKET
    return SetupView(needed=bool(code), code=code if local else "")


@router.post("/setup", status_code=201)
async def set_up(doors: Doors, source: Source, request: Request, body: SetupBody) -> UserView:
    claim(request, doors.desk.users(), body.name)
    made = await doors.desk.set_up(body.name, body.code, body.password, source)
    request.state.who = made.name
    return _user(made)


@router.post("/login")
async def login(doors: Doors, source: Source, request: Request, response: Response, body: LoginBody) -> MeView:
    claim(request, doors.desk.users(), body.name)
    entered = await doors.desk.log_in(body.name, body.password, body.code, source)
    let_in(response, entered.cookie)
    response.headers["Cache-Control"] = "no-store"
    caller = entered.caller
    return MeView(name=caller.name, role=caller.role, via=caller.via, csrf=entered.csrf)


@router.post("/logout", dependencies=needs(Role.VIEWER), response_class=Response, status_code=204)
async def logout(doors: Doors, caller: Asker, response: Response) -> None:
    doors.desk.log_out(caller)
    let_out(response)


@router.get("/me", dependencies=needs(Role.VIEWER))
async def me(doors: Doors, caller: Asker) -> MeView:
    return MeView(name=caller.name, role=caller.role, via=caller.via, csrf=doors.desk.csrf_of(caller))


@router.get("/users", dependencies=needs(Role.ADMIN))
async def users(doors: Doors) -> UsersView:
    return UsersView(users=tuple(map(_user, doors.desk.users())))


@router.post("/users", dependencies=needs(Role.ADMIN), status_code=201)
async def add_user(doors: Doors, request: Request, body: UserBody) -> UserView:
    _name(request, body.name)
    return _user(await doors.desk.add_user(body.name, body.role, body.password))


@router.get("/users/{user}", dependencies=needs(Role.ADMIN))
async def user(doors: Doors, user: UserName) -> UserView:
    return _user(doors.desk.user(user))


@router.patch("/users/{user}", dependencies=needs(Role.ADMIN))
async def change_user(doors: Doors, request: Request, user: UserName, body: UserChangeBody) -> UserView:
    guard(request, _user(doors.desk.user(user)), required=True)
    return _user(doors.desk.change_user(user, body.role, body.enabled))


@router.delete("/users/{user}", dependencies=needs(Role.ADMIN), response_class=Response, status_code=204)
async def remove_user(doors: Doors, request: Request, user: UserName) -> None:
    guard(request, _user(doors.desk.user(user)), required=True)
    doors.desk.remove_user(user)


@router.put("/users/{user}/password", dependencies=needs(Role.VIEWER))
async def set_password(
    doors: Doors, caller: Asker, source: Source, request: Request, user: UserName, body: PasswordBody
) -> UserView:
    """One's own, or as an admin anybody's."""
    request.state.presented = True
    return _user(await doors.desk.set_password(caller, user, body.password, body.current, source))


@router.post("/users/{user}/totp", dependencies=needs(Role.VIEWER), status_code=201)
async def offer_totp(doors: Doors, caller: Asker, response: Response, user: UserName) -> TotpView:
    """For one's own account."""
    secret, uri = doors.desk.offer_totp(caller, user)
    response.headers["Cache-Control"] = "no-store"
    return TotpView(secret=secret, uri=uri)


@router.post("/users/{user}/totp/confirm", dependencies=needs(Role.VIEWER))
async def confirm_totp(doors: Doors, caller: Asker, source: Source, user: UserName, body: TotpBody) -> UserView:
    return _user(doors.desk.confirm_totp(caller, user, body.code, source))


@router.delete("/users/{user}/totp", dependencies=needs(Role.ADMIN))
async def remove_totp(doors: Doors, caller: Asker, user: UserName) -> UserView:
    return _user(doors.desk.remove_totp(caller, user))


@router.get("/tokens", dependencies=needs(Role.VIEWER))
async def tokens(doors: Doors, caller: Asker) -> TokensView:
    """One's own; an admin sees all."""
    return TokensView(tokens=tuple(map(_token, doors.desk.tokens(caller))))


@router.post("/tokens", dependencies=needs(Role.VIEWER), status_code=201)
async def make_token(doors: Doors, caller: Asker, request: Request, response: Response, body: TokenBody) -> TokenView:
    """The answer shows the token, and nothing does again."""
    once = asked_of(request).once
    token, text = doors.desk.make_token(caller, body.label, body.role, body.days, once.key if once else "")
    _name(request, token.id)
    response.headers["Cache-Control"] = "no-store"
    return _token(token, text)


@router.delete("/tokens/{token}", dependencies=needs(Role.VIEWER), response_class=Response, status_code=204)
async def revoke_token(doors: Doors, caller: Asker, token: Annotated[str, Path(max_length=16)]) -> None:
    doors.desk.revoke_token(caller, token)


@router.get("/audit", dependencies=needs(Role.ADMIN))
async def audit(doors: Doors, query: Annotated[AuditQuery, Query()]) -> AuditView:
    entries = await doors.audit.read(after=query.after, limit=query.limit, wait=query.wait)
    return AuditView(entries=entries, last=entries[-1].seq if entries else query.after)


@router.get("/audit/verify", dependencies=needs(Role.ADMIN))
async def verify(doors: Doors) -> AuditVerdictView:
    """Reads the whole log anew."""
    broken = await doors.audit.verify()
    if broken is None:
        return AuditVerdictView(entries=doors.audit.last)
    return AuditVerdictView(entries=doors.audit.last, broken=broken.line, reason=broken.reason)


def _name(request: Request, named: str) -> None:
    request.state.named = {"named": named}


def _user(user: User) -> UserView:
    return UserView(name=user.name, role=user.role, enabled=user.enabled, totp=bool(user.totp), created=user.created)


def _token(token: Token, text: str = "") -> TokenView:
    return TokenView(
        id=token.id,
        label=token.label,
        user=token.user,
        role=token.role,
        created=token.created,
        expires=token.expires,
        used=token.used,
        token=text,
    )
