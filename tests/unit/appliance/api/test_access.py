"""Accounts, tokens and the audit log through the API, and that nothing secret leaves by another way."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from appliance.access import totp
from appliance.access.model import Role
from appliance.api.gate import COOKIE
from appliance.api.trail import event_of
from appliance.model.access_views import AuditEntryView
from appliance.model.phase import Phase
from appliance.model.views import MachineView
from tests.unit.appliance.api.asgi import HOST, LOCAL, PASSWORD, Answer, Api, api, with_accounts

OTHER = "staple staple staple"
SAME_SITE = {"origin": f"https://{HOST}"}


def play(scene: Callable[[Api], Awaitable[None]], *, accounts: bool = True) -> None:
    async def whole() -> None:
        with api() as one:
            await scene(await with_accounts(one) if accounts else one)

    asyncio.run(whole())


async def audit(one: Api) -> tuple[AuditEntryView, ...]:
    assert await one.access.audit.verify() is None
    return await one.access.audit.read(after=0, limit=1000, wait=0)


def shown(answer: Answer) -> dict[str, object]:
    document: dict[str, object] = json.loads(answer.body)
    return document


def test_the_first_admin_is_made_once() -> None:
    async def scene(one: Api) -> None:
        assert shown(await one.ask("GET", "/v1/setup")) == {"needed": True, "code": ""}
        code = shown(await one.ask("GET", "/v1/setup", peer=LOCAL))["code"]
        body = {"name": "ann", "code": code, "password": PASSWORD}
        wrong = await one.ask("POST", "/v1/setup", body | {"code": "AAAA-AAAA-AAAA-AAAA"})
        assert (wrong.status, wrong.code) == (401, "login")
        made = await one.ask("POST", "/v1/setup", body)
        assert (made.status, shown(made)["role"]) == (201, "admin")
        assert (await one.ask("POST", "/v1/setup", body | {"name": "eve"})).status == 409
        assert shown(await one.ask("GET", "/v1/setup", peer=LOCAL)) == {"needed": False, "code": ""}
        events = [(entry.event, entry.who, entry.status) for entry in await audit(one)]
        assert events == [
            ("authn_login_fail", "(unknown)", 401),
            ("user_created", "ann", 201),
            ("request", "(unknown)", 409),
        ]

    play(scene, accounts=False)


def test_log_in_and_out() -> None:
    async def scene(one: Api) -> None:
        wrong = await one.ask("POST", "/v1/login", {"name": "viewer", "password": OTHER})
        assert wrong.status == 401
        entered = await one.ask("POST", "/v1/login", {"name": "viewer", "password": PASSWORD})
        name, _, rest = entered.headers["set-cookie"].partition("=")
        cookie, *attributes = rest.split("; ")
        assert name == COOKIE == "__Host-innervate"
        assert {part.lower() for part in attributes} == {"httponly", "secure", "samesite=strict", "path=/"}
        assert entered.headers["cache-control"] == "no-store"
        session = {"cookie": f"{COOKIE}={cookie}", "x-csrf-token": str(shown(entered)["csrf"]), **SAME_SITE}
        assert shown(await one.ask("GET", "/v1/me", headers=session)) == shown(entered)
        left = await one.ask("POST", "/v1/logout", headers=session)
        assert left.status == 204
        assert "Max-Age=0" in left.headers["set-cookie"]
        assert (await one.ask("GET", "/v1/me", headers=session)).status == 401
        assert [(entry.event, entry.who, entry.source) for entry in await audit(one)] == [
            ("authn_login_fail", "viewer", "192.0.2.1"),
            ("authn_login_success", "viewer", "192.0.2.1"),
            ("session_expired", "viewer", "192.0.2.1"),
        ]

    play(scene)


def test_guessing_is_slowed_down_and_does_not_fill_the_log() -> None:
    async def scene(one: Api) -> None:
        body = {"name": "viewer", "password": OTHER}
        statuses = [(await one.ask("POST", "/v1/login", body)).status for _ in range(8)]
        assert statuses == [401] * 5 + [429] * 3
        late = await one.ask("POST", "/v1/login", body | {"password": PASSWORD})
        assert (late.status, late.headers["retry-after"]) == (429, "1")
        guesses = [(await one.ask("GET", "/v1/me", token=f"inv_1_{n}", source="192.0.2.7")).status for n in range(30)]
        assert guesses == [401] * 20 + [429] * 10
        assert len(await audit(one)) == 25
        assert (await one.ask("GET", "/v1/me", token=one.token(Role.VIEWER), source="192.0.2.7")).status == 200

    play(scene)


def test_accounts() -> None:
    async def scene(one: Api) -> None:
        boss = one.token(Role.ADMIN)
        made = await one.ask("POST", "/v1/users", {"name": "ann", "role": "operator", "password": PASSWORD}, token=boss)
        assert made.status == 201
        assert (
            await one.ask("POST", "/v1/users", {"name": "ann", "role": "viewer", "password": PASSWORD}, token=boss)
        ).status == 409
        etag = (await one.ask("GET", "/v1/users/ann", token=boss)).headers["etag"]
        change = {"role": "viewer"}
        assert (await one.ask("PATCH", "/v1/users/ann", change, token=boss)).status == 428
        assert (await one.ask("PATCH", "/v1/users/ann", change, token=boss, headers={"if-match": '"x"'})).status == 412
        changed = await one.ask("PATCH", "/v1/users/ann", change, token=boss, headers={"if-match": etag})
        assert (changed.status, shown(changed)["role"]) == (200, "viewer")
        assert (await one.ask("DELETE", "/v1/users/ann", token=boss, headers={"if-match": etag})).status == 412
        assert (await one.ask("DELETE", "/v1/users/ann", token=boss)).status == 428
        assert (await one.ask("DELETE", "/v1/users/ann", token=boss, headers={"if-match": "*"})).status == 204
        assert (await one.ask("GET", "/v1/users/ann", token=boss)).status == 404

    play(scene)


@pytest.mark.parametrize("change", [{"role": "viewer"}, {"enabled": False}, None])
def test_nobody_locks_the_last_admin_out(change: dict[str, object] | None) -> None:
    async def scene(one: Api) -> None:
        method = "DELETE" if change is None else "PATCH"
        answer = await one.ask(method, "/v1/users/admin", change, peer=LOCAL, headers={"if-match": "*"})
        assert (answer.status, answer.code) == (409, "conflict")

    play(scene)


def test_ones_own_password_and_that_of_others() -> None:
    async def scene(one: Api) -> None:
        viewer = one.token(Role.VIEWER)
        body = {"password": OTHER, "current": PASSWORD}
        assert (await one.ask("PUT", "/v1/users/operator/password", body, token=viewer)).status == 403
        assert (await one.ask("PUT", "/v1/users/viewer/password", {"password": OTHER}, token=viewer)).status == 401
        assert (await one.ask("PUT", "/v1/users/viewer/password", body, token=viewer)).status == 200
        assert (await one.ask("POST", "/v1/login", {"name": "viewer", "password": OTHER})).status == 200
        by_admin = {"password": PASSWORD}
        assert (await one.ask("PUT", "/v1/users/viewer/password", by_admin, peer=LOCAL)).status == 200
        assert [entry.event for entry in await audit(one)] == [
            "authz_fail",
            "authn_password_change_fail",
            "authn_password_change",
            "authn_login_success",
            "authn_password_change",
        ]

    play(scene)


def test_an_authenticator() -> None:
    async def scene(one: Api) -> None:
        viewer = one.token(Role.VIEWER)
        assert (await one.ask("POST", "/v1/users/operator/totp", token=viewer)).status == 403
        offered = await one.ask("POST", "/v1/users/viewer/totp", token=viewer)
        assert (offered.status, offered.headers["cache-control"]) == (201, "no-store")
        secret = one.access.desk.user("viewer").offered
        assert shown(offered)["secret"] == totp.base32(secret)
        code = totp.code_at(secret, int(time.time()) // 30)
        confirmed = await one.ask("POST", "/v1/users/viewer/totp/confirm", {"code": code}, token=viewer)
        assert shown(confirmed)["totp"] is True
        assert (await one.ask("POST", "/v1/login", {"name": "viewer", "password": PASSWORD})).status == 401
        assert (await one.ask("DELETE", "/v1/users/viewer/totp", token=viewer)).status == 403
        assert (await one.ask("DELETE", "/v1/users/viewer/totp", peer=LOCAL)).status == 200
        assert (await one.ask("POST", "/v1/login", {"name": "viewer", "password": PASSWORD})).status == 200

    play(scene)


def test_tokens() -> None:
    async def scene(one: Api) -> None:
        session = await one.log_in("operator")
        body = {"label": "ci", "role": "admin", "days": 1}
        assert (await one.ask("POST", "/v1/tokens", body, headers=session)).status == 403
        made = await one.ask("POST", "/v1/tokens", body | {"role": "viewer"}, headers=session)
        token, id_ = str(shown(made)["token"]), str(shown(made)["id"])
        assert shown(await one.ask("GET", "/v1/me", token=token)) == {
            "name": "operator", "role": "viewer", "via": "token", "csrf": "",
        }  # fmt: skip
        listed = await one.ask("GET", "/v1/tokens", headers=session)
        assert token.encode() not in listed.body
        assert (await one.ask("DELETE", f"/v1/tokens/{id_}", token=one.token(Role.VIEWER))).status == 404
        assert (await one.ask("DELETE", f"/v1/tokens/{id_}", headers=session)).status == 204
        assert (await one.ask("GET", "/v1/me", token=token)).status == 401
        assert [entry.event for entry in await audit(one)][:2] == ["authz_fail", "authn_token_created"]
        assert (await audit(one))[1].target == f"named={id_}"

    play(scene)


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("POST", "/v1/setup", {"name": "eve", "code": "x", "password": PASSWORD}),
        ("POST", "/v1/login", {"name": "viewer", "password": PASSWORD}),
        ("POST", "/v1/users", {"name": "eve", "role": "viewer", "password": PASSWORD}),
        ("PATCH", "/v1/users/viewer", {"enabled": True}),
        ("PUT", "/v1/users/viewer/password", {"password": PASSWORD}),
        ("POST", "/v1/users/viewer/totp/confirm", {"code": "123456"}),
        ("POST", "/v1/tokens", {"label": "x", "role": "viewer"}),
    ],
)
@pytest.mark.parametrize("more", [{"is_admin": True}, {"totp": "00"}, {"created": 0}, {"user": "admin"}, {"id": "x"}])
def test_nothing_is_assigned_that_is_not_asked_for(
    method: str, target: str, body: dict[str, object], more: dict[str, object]
) -> None:
    async def scene(one: Api) -> None:
        before = one.access.desk.users()
        answer = await one.ask(method, target, body | more, peer=LOCAL, headers={"if-match": "*"})
        assert (answer.status, answer.code) == (422, "usage")
        assert one.access.desk.users() == before

    play(scene)


def test_the_audit_log_says_who_did_what_to_which_machine() -> None:
    async def scene(one: Api) -> None:
        one.application.inventory["node-0"] = MachineView(name="node-0", phase=Phase.ACTIVE, since=0)
        for role in (Role.VIEWER, Role.OPERATOR):
            await one.ask("POST", "/v1/machines/node-0/power", {"action": "cycle"}, token=one.token(role))
        await one.ask("GET", "/v1/machines/nobody/tunnel", upgrade=True, token=one.token(Role.OPERATOR))
        await one.ask("GET", "/v1/machines", token=one.token(Role.VIEWER))
        entries = await audit(one)
        assert [(e.who, e.role, e.via, e.event, e.route, e.target, e.status) for e in entries] == [
            ("viewer", "viewer", "token", "authz_fail", "/v1/machines/{name}/power", "name=node-0", 403),
            ("operator", "operator", "token", "request", "/v1/machines/{name}/power", "name=node-0", 202),
            ("operator", "operator", "token", "request", "/v1/machines/{name}/tunnel", "name=nobody", 404),
        ]
        assert len({entry.trace for entry in entries}) == 3
        page = await one.ask("GET", "/v1/audit?after=1&limit=1", peer=LOCAL)
        assert (shown(page)["last"], len(json.loads(page.body)["entries"])) == (2, 1)
        latest = json.loads((await one.ask("GET", "/v1/audit?newest=1&limit=2&what=operator", peer=LOCAL)).body)
        assert latest["entries"] == []
        latest = json.loads((await one.ask("GET", "/v1/audit?newest=1&limit=1&who=operator", peer=LOCAL)).body)
        assert ([entry["seq"] for entry in latest["entries"]], latest["next"]) == ([3], 3)
        latest = json.loads((await one.ask("GET", "/v1/audit?newest=1&before=3&outcome=refused", peer=LOCAL)).body)
        assert ([entry["seq"] for entry in latest["entries"]], latest["next"]) == ([1], 0)
        assert shown(await one.ask("GET", "/v1/audit/verify", peer=LOCAL)) == {
            "entries": 3, "dropped": 0, "broken": None, "reason": "",
        }  # fmt: skip

    play(scene)


def test_what_cannot_be_written_down_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    async def scene(one: Api) -> None:
        token = one.token(Role.OPERATOR)
        monkeypatch.setattr("appliance.access.audit.os.fsync", full)
        answer = await one.ask("POST", "/v1/machines/nobody/plans", {"errand": "wipe"}, token=token)
        assert (answer.status, answer.code) == (500, "machinery")
        assert b"audit" in answer.body

    play(scene)


def test_a_failure_is_on_record_too() -> None:
    async def scene(one: Api) -> None:
        token, one.application.fails = one.token(Role.OPERATOR), ValueError("hunter2")
        with pytest.raises(ValueError, match="hunter2"):  # it is the server's to log
            await one.ask("POST", "/v1/plans", token=token)
        assert [(entry.event, entry.status) for entry in await audit(one)] == [("request", 500)]

    play(scene)


@pytest.mark.parametrize(
    ("method", "route", "status", "event"),
    [
        ("GET", "/v1/machines", 200, ""),
        ("GET", "/v1/machines", 403, "authz_fail"),
        ("GET", "/v1/clusters/{cluster}/kubeconfig", 200, "sensitive_read"),
        ("GET", "/v1/clusters/{cluster}/kubeconfig", 404, "request"),
        ("GET", "/v1/clusters/{cluster}", 200, ""),
        ("POST", "/v1/plans", 201, "request"),
        ("POST", "/v1/login", 200, "authn_login_success"),
        ("POST", "/v1/login", 422, "request"),
        ("POST", "/v1/login", 429, ""),
        ("DELETE", "/v1/users/{user}", 204, "user_deleted"),
        ("DELETE", "/v1/users/{user}", 412, "request"),
    ],
)
def test_events(method: str, route: str, status: int, event: str) -> None:
    assert event_of(method, route, status, upgrade=False, presented=True) == event


def test_who_knocks_without_a_key_leaves_no_line() -> None:
    assert event_of("POST", "/v1/plans", 401, upgrade=False, presented=False) == ""


def test_no_secret_is_shown_twice(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    """Canaries: whatever was told or handed out once is in no other answer, no log line and no audit line."""
    caplog.set_level(logging.DEBUG)
    new, wrong = "canary password new", "canary password wrong"
    secrets, answers, lines = [new, wrong], [], []

    async def scene(one: Api) -> None:
        code = one.access.desk.setup_code
        secrets.append(code)

        async def ask(method: str, target: str, body: object = None, **how: object) -> Answer:
            answer = await one.ask(method, target, body, **how)  # type: ignore[arg-type]
            answers.append(answer.body.decode())
            return answer

        await ask("POST", "/v1/setup", {"name": "ann", "code": code, "password": new, "x": wrong})
        await ask("POST", "/v1/setup", {"name": "ann", "code": code, "password": new})
        await ask("POST", "/v1/login", {"name": "ann", "password": wrong})
        await ask("POST", "/v1/login", {"name": wrong, "password": [new]})
        entered = await one.ask("POST", "/v1/login", {"name": "ann", "password": new})
        cookie, csrf = entered.headers["set-cookie"].partition(";")[0], str(shown(entered)["csrf"])
        secrets.append(cookie.partition("=")[2])
        session = {"cookie": cookie, "x-csrf-token": csrf, **SAME_SITE}
        made = await one.ask("POST", "/v1/tokens", {"label": "ci", "role": "admin"}, headers=session)
        secrets.append(str(shown(made)["token"]))
        offered = await one.ask("POST", "/v1/users/ann/totp", headers=session)
        secrets.append(str(shown(offered)["secret"]))
        for target in ("/v1/users", "/v1/users/ann", "/v1/tokens", "/v1/audit", "/v1/health", "/v1/setup"):
            await ask("GET", target, headers=session)
        await ask("PUT", "/v1/users/ann/password", {"password": "short", "current": wrong}, headers=session)
        await ask("PUT", "/v1/users/ann/password", {"password": wrong * 20, "current": new}, headers=session)
        await ask("POST", "/v1/users/ann/totp/confirm", {"code": wrong}, headers=session)
        await ask("GET", "/v1/me", token=secrets[-2] + "x")
        assert (await one.ask("GET", "/v1/me", token=secrets[-2])).status == 200
        lines.extend(repr(entry) for entry in await audit(one))

    play(scene, accounts=False)
    told = "\n".join((*answers, *lines, caplog.text, *capsys.readouterr()))
    assert "ann" in told
    assert not [secret for secret in secrets if secret in told]


def test_the_file_is_nobody_elses(tmp_path: Path) -> None:
    from appliance.access.access import opened
    from appliance.system import SystemClock, SystemRng

    with opened(tmp_path, SystemClock(), SystemRng(), issuer="lab"):
        assert {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()} == {
            "access.vault.key": "0o600",
            "answers.jsonl": "0o600",
            "answers.vault": "0o600",
            "answers.vault.key": "0o600",
            "audit.head": "0o600",
            "audit.jsonl": "0o600",
        }
