"""Passkeys and sessions through the API: bound to a browser, in the audit log, for those who may."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from appliance.access.model import TICKET, Role
from appliance.model.access_views import AuditEntryView
from tests.unit.appliance.access.authenticator import Authenticator
from tests.unit.appliance.api.asgi import HOST, PASSWORD, Answer, Api, api, with_accounts

ORIGIN = f"https://{HOST}"
CHALLENGE, LOGIN = "/v1/login/passkey/challenge", "/v1/login/passkey"


def play(scene: Callable[[Api], Awaitable[None]]) -> None:
    async def whole() -> None:
        with api() as one:
            await scene(await with_accounts(one))

    asyncio.run(whole())


def said(answer: Answer, key: str) -> str:
    return str(json.loads(answer.body)[key])


async def added(one: Api, name: str, authenticator: Authenticator) -> str:
    session, path = await one.log_in(name), f"/v1/users/{name}/passkeys"
    offered = await one.ask("POST", f"{path}/challenge", {"password": PASSWORD}, headers=session)
    assert (offered.status, offered.headers["cache-control"]) == (200, "no-store")
    body = {"label": "blue key", "credential": authenticator.make(said(offered, "options"))}
    made = await one.ask("POST", path, body, headers=session)
    assert made.status == 201
    return said(made, "id")


async def asked(one: Api) -> tuple[str, str]:
    """The browser's cookie, and what it is asked."""
    answer = await one.ask("POST", CHALLENGE, headers={"origin": ORIGIN})
    assert answer.status == 200
    cookie, *attributes = answer.headers["set-cookie"].split("; ")
    assert cookie.startswith(f"{TICKET}=")
    assert {part.lower() for part in attributes} == {"httponly", "secure", "samesite=strict", "path=/", "max-age=120"}
    return cookie, said(answer, "options")


async def signed_in(one: Api, authenticator: Authenticator, **change: str) -> Answer:
    cookie, options = await asked(one)
    headers = {"cookie": cookie, "origin": ORIGIN} | change
    return await one.ask("POST", LOGIN, {"credential": authenticator.sign(options)}, headers=headers)


async def events(one: Api) -> list[AuditEntryView]:
    return list(await one.access.audit.read(after=0, limit=100, wait=0))


def test_added_listed_used_and_removed() -> None:
    async def scene(one: Api) -> None:
        key = Authenticator(origin=ORIGIN)
        passkey = await added(one, "operator", key)
        entered = await signed_in(one, key)
        assert (entered.status, said(entered, "name"), said(entered, "role")) == (200, "operator", "operator")
        mine, admins, others = one.token(Role.OPERATOR), one.token(Role.ADMIN), one.token(Role.VIEWER)
        path = "/v1/users/operator/passkeys"
        for token, status in ((mine, 200), (admins, 200), (others, 403)):
            assert (await one.ask("GET", path, token=token)).status == status
        assert (await one.ask("DELETE", f"{path}/{passkey}", token=others)).status == 403
        assert (await one.ask("DELETE", f"{path}/{passkey}", token=admins)).status == 204
        assert (await one.ask("DELETE", f"{path}/{passkey}", token=admins)).status == 404
        assert (await signed_in(one, key)).status == 401
        told = [(entry.event, entry.who, entry.route, entry.status) for entry in await events(one)]
        assert told == [
            ("request", "operator", f"{path}/challenge".replace("operator", "{user}"), 200),
            ("user_updated", "operator", "/v1/users/{user}/passkeys", 201),
            ("authn_login_success", "operator", LOGIN, 200),
            ("authz_fail", "viewer", "/v1/users/{user}/passkeys", 403),
            ("authz_fail", "viewer", "/v1/users/{user}/passkeys/{passkey}", 403),
            ("user_updated", "admin", "/v1/users/{user}/passkeys/{passkey}", 204),
            ("request", "admin", "/v1/users/{user}/passkeys/{passkey}", 404),
            ("authn_login_fail", "(unknown)", LOGIN, 401),
        ]

    play(scene)


def test_a_challenge_belongs_to_the_browser_that_asked() -> None:
    async def scene(one: Api) -> None:
        key = Authenticator(origin=ORIGIN)
        await added(one, "operator", key)
        before = one.access.audit.last
        cookie, options = await asked(one)
        other, _ = await asked(one)
        body = {"credential": key.sign(options)}
        assert (await one.ask("POST", LOGIN, body, headers={"origin": ORIGIN})).status == 401
        assert one.access.audit.last == before  # nobody who knocks without a ticket fills the log
        assert (await one.ask("POST", LOGIN, body, headers={"origin": ORIGIN, "cookie": other})).status == 401
        assert (await one.ask("POST", LOGIN, body, headers={"origin": ORIGIN, "cookie": cookie})).status == 200
        assert (await one.ask("POST", LOGIN, body, headers={"origin": ORIGIN, "cookie": cookie})).status == 401
        assert (await signed_in(one, key, origin="https://evil.example")).status == 403

    play(scene)


def test_why_a_passkey_was_refused_is_in_the_audit_log() -> None:
    async def scene(one: Api) -> None:
        key = Authenticator(origin=ORIGIN, count=9)
        await added(one, "operator", key)
        assert (await signed_in(one, key)).status == 200
        key.count = 3
        refused = await signed_in(one, key)
        assert (refused.status, refused.code) == (401, "login")
        last = (await events(one))[-1]
        assert (last.event, last.who) == ("authn_login_fail", "operator")
        assert "signature 4 after 10: there is a copy of it" in last.target

    play(scene)


def test_adding_one_needs_the_password_and_the_sessions_token() -> None:
    async def scene(one: Api) -> None:
        session, path = await one.log_in("operator"), "/v1/users/operator/passkeys"
        for change, password, status in (
            ({}, "wrong", 401),
            ({"x-csrf-token": "0" * 64}, PASSWORD, 403),
            ({"origin": "https://evil.example"}, PASSWORD, 403),
        ):
            answer = await one.ask("POST", f"{path}/challenge", {"password": password}, headers={**session, **change})
            assert answer.status == status
        assert (await one.ask("POST", path, {"label": "x", "credential": "{}"}, headers=session)).status == 401

    play(scene)


def test_a_second_factor_is_asked_for_by_an_admin() -> None:
    async def scene(one: Api) -> None:
        boss, change = one.token(Role.ADMIN), {"second_factor": True}
        refused = await one.ask("PATCH", "/v1/users/viewer", change, token=boss, headers={"if-match": "*"})
        assert (refused.status, refused.code) == (409, "conflict")
        await added(one, "viewer", Authenticator(origin=ORIGIN))
        answer = await one.ask("PATCH", "/v1/users/viewer", change, token=boss, headers={"if-match": "*"})
        assert (said(answer, "second_factor"), said(answer, "passkeys")) == ("True", "1")
        entered = await one.ask("POST", "/v1/login", {"name": "viewer", "password": PASSWORD})
        assert (entered.status, entered.code) == (401, "login")

    play(scene)


def test_sessions_are_seen_and_ended() -> None:
    async def scene(one: Api) -> None:
        mine, other = await one.log_in("viewer"), await one.log_in("operator")
        seen = json.loads((await one.ask("GET", "/v1/sessions", headers=mine)).body)["sessions"]
        assert [(one["user"], one["own"], one["how"], one["source"]) for one in seen] == [
            ("viewer", True, "password", "192.0.2.1")
        ]
        every = json.loads((await one.ask("GET", "/v1/sessions", token=one.token(Role.ADMIN))).body)["sessions"]
        assert [(one["user"], one["own"]) for one in every] == [("operator", False), ("viewer", False)]
        assert (await one.ask("DELETE", f"/v1/sessions/{every[0]['id']}", headers=mine)).status == 404
        boss = one.token(Role.ADMIN)
        assert (await one.ask("DELETE", f"/v1/sessions/{every[0]['id']}", token=boss)).status == 204
        assert (await one.ask("GET", "/v1/me", headers=other)).status == 401
        assert (await one.ask("GET", "/v1/me", headers=mine)).status == 200

    play(scene)
