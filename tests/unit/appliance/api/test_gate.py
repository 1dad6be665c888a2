"""Who comes in, and what each route asks of them: complete by construction, from the routes themselves."""

import asyncio
import re
from collections.abc import Awaitable, Callable

import pytest

from appliance.access.model import Role
from appliance.api.fake import FakeApplication
from appliance.api.gate import COOKIE, OPEN, Peer, host_name
from tests.unit.appliance.api.asgi import HOST, LOCAL, PASSWORD, Api, Declared, api, declared, with_accounts

with api() as _drawn:
    ROUTES = declared(_drawn.app)
GUARDED = [route for route in ROUTES if (route.method, route.path) not in OPEN]
DOCS = {"/docs", "/docs/stuck"}
"""The documentation is for everybody, to read."""
KEYS = {"/v1/clusters/{cluster}/kubeconfig"}
"""Whoever reads these is in the audit log."""
ASKED = [route for route in GUARDED if route.method != "HEAD"]


def play(scene: Callable[[Api], Awaitable[None]]) -> None:
    async def whole() -> None:
        with api() as one:
            await scene(await with_accounts(one))

    asyncio.run(whole())


def filled(route: Declared) -> str:
    """A target that names nothing that is there."""
    target = re.sub(r"\{digest\}", "a" * 64, route.path)
    return re.sub(r"\{\w+\}", "nobody", target) + ("?wait=0" if route.path == "/v1/audit" else "")


async def knocked(one: Api, route: Declared, **how: object) -> int:
    return (await one.ask(route.method, filled(route), upgrade=route.upgrade, **how)).status  # type: ignore[arg-type]


def test_every_route_says_which_role_it_needs() -> None:
    assert len(ROUTES) > 50
    silent = {(route.method, route.path) for route in ROUTES if route.role is None}
    assert silent <= OPEN | {("HEAD", "/v1/openapi.json")}
    assert {(route.method, route.path) for route in ROUTES} >= OPEN


def test_the_openapi_document_says_so_too() -> None:
    with api() as one:
        paths = one.app.openapi()["paths"]
    assert isinstance(paths, dict)
    drawn = {
        (method.upper(), path): (operation.get("x-role"), "security" in operation)
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    roles = {(route.method, route.path): route.role for route in ROUTES if (route.method, route.path) in drawn}
    assert drawn == {key: (role and role.value, role is not None) for key, role in roles.items()}
    assert len(drawn) > 45


def test_what_is_open_is_short() -> None:
    assert sorted(path for _, path in OPEN) == [
        "/v1/health", "/v1/login", "/v1/login/passkey", "/v1/login/passkey/challenge", "/v1/openapi.json",
        "/v1/setup", "/v1/setup",
    ]  # fmt: skip


@pytest.mark.parametrize("route", ASKED, ids=lambda route: f"{route.method} {route.path}")
def test_role_matrix(route: Declared) -> None:
    """Nobody gets 401, a lower role 403; a role that is high enough gets past the gate, whatever comes then."""
    assert route.role is not None

    async def scene(one: Api) -> None:
        assert await knocked(one, route) == 401
        for role in Role:
            allowed = role.includes(route.role)  # type: ignore[arg-type]
            by_token = await knocked(one, route, token=one.token(role))
            session = await one.log_in(role.value)
            by_session = await knocked(one, route, headers=session)
            for status in (by_token, by_session):
                assert (status in (401, 403)) is (not allowed) or route.path.startswith("/v1/users/{user}/"), role
            if not allowed:
                assert {by_token, by_session} == {403}

    if route.path != "/v1/events/stream":  # it has no end; the gate stands before it like before any other
        play(scene)


def test_a_crawl_without_a_key_finds_only_what_is_open() -> None:
    async def scene(one: Api) -> None:
        everywhere = {route.path for route in ROUTES} | {
            "/",
            "/v1",
            "/v2/x",
            "/v1/health/",
            "/v1//health",
            *DOCS,
            "/docsx",
        }
        methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
        found = {
            (method, path)
            for path in everywhere
            for method in methods
            if (await one.ask(method, path.replace("{", "").replace("}", ""), source="198.51.100.1")).status
            not in (401, 303)  # what is not the API sends people to log in
        }
        assert found == OPEN | {(method, path) for method in ("GET", "HEAD", "OPTIONS") for path in DOCS}

    play(scene)


def test_the_kernels_word_counts_on_the_socket() -> None:
    async def scene(one: Api) -> None:
        me = await one.ask("GET", "/v1/me", peer=LOCAL, host="whatever")
        assert b'"local:root"' in me.body
        assert b'"admin"' in me.body
        stranger = Peer(user="daemon", trusted=False)
        assert (await one.ask("GET", "/v1/me", peer=stranger)).status == 401
        assert (await one.ask("GET", "/v1/me", peer=stranger, token=one.token(Role.VIEWER))).status == 200

    play(scene)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("rack.example", 200),
        ("RACK.example:8443", 200),
        ("evil.example", 421),
        ("rack.example.evil.example", 421),
        ("evil.example:rack.example", 421),
        ("", 421),
        (None, 421),
        ("[::1]", 421),
    ],
)
def test_host(header: str | None, status: int) -> None:
    async def scene(one: Api) -> None:
        assert (await one.ask("GET", "/v1/health", host=header)).status == status
        assert (await one.ask("GET", "/v1/health", host=header, peer=LOCAL)).status == 200

    play(scene)


@pytest.mark.parametrize(
    ("header", "name"), [("[2001:DB8::1]:443", "2001:db8::1"), ("192.0.2.1:443", "192.0.2.1"), ("a", "a"), ("[", "")]
)
def test_host_names(header: str, name: str) -> None:
    assert host_name(header) == name


CHANGE = ("PUT", "/v1/machines/node-9/hold", {"reason": "x"})


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 404),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://rack.example"}, 403),
        ({"origin": "https://rack.example:8443"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": None}, 403),
        ({"x-csrf-token": "0" * 64}, 403),
        ({"x-csrf-token": None}, 403),
        ({"x-csrf-token": ""}, 403),
        ({"cookie": f"{COOKIE}=" + "0" * 64}, 401),
        ({"cookie": None}, 401),
    ],
)
def test_forged_requests(change: dict[str, str | None], status: int) -> None:
    async def scene(one: Api) -> None:
        headers = {**await one.log_in("operator"), **change}
        answer = await one.ask(*CHANGE, headers=headers)  # type: ignore[arg-type]
        assert answer.status == status

    play(scene)


def test_the_token_of_another_session_is_none() -> None:
    async def scene(one: Api) -> None:
        mine, other = await one.log_in("operator"), await one.log_in("operator")
        mine["x-csrf-token"] = other["x-csrf-token"]
        assert (await one.ask(*CHANGE, headers=mine)).status == 403

    play(scene)


def test_reading_needs_no_csrf_token_and_a_get_changes_nothing() -> None:
    async def scene(one: Api) -> None:
        cookie = {"cookie": (await one.log_in("admin"))["cookie"]}
        before = one.access.desk.users(), one.access.desk.setup_code
        for route in ROUTES:
            if route.method == "GET" and route.path != "/v1/events/stream":
                answer = await one.ask("GET", filled(route), headers=cookie)
                assert answer.status in (200, 404, 422), route.path
        assert (one.access.desk.users(), one.access.desk.setup_code) == before
        assert one.access.audit.last == len(KEYS)

    play(scene)


@pytest.mark.parametrize("origin", [None, "https://evil.example", f"https://{HOST}"])
def test_websockets_of_other_sites_are_refused(origin: str | None) -> None:
    async def scene(one: Api) -> None:
        headers = {**await one.log_in("operator"), "origin": origin, "x-csrf-token": None}
        answer = await one.ask("GET", "/v1/machines/nobody/console", headers=headers, upgrade=True)  # type: ignore[arg-type]
        assert answer.status == (404 if origin == f"https://{HOST}" else 403)
        by_token = {"origin": origin}
        answer = await one.ask(
            "GET",
            "/v1/machines/nobody/console",
            headers=by_token,
            upgrade=True,
            token=one.token(Role.OPERATOR),  # type: ignore[arg-type]
        )
        assert answer.status == (403 if origin == "https://evil.example" else 404)

    play(scene)


def test_a_log_in_from_another_site_is_refused() -> None:
    async def scene(one: Api) -> None:
        body = {"name": "admin", "password": PASSWORD}
        for path in ("/v1/login", "/v1/setup"):
            answer = await one.ask("POST", path, body, headers={"origin": "https://evil.example"})
            assert answer.status == 403

    play(scene)


@pytest.mark.parametrize("header", ["Basic YWRtaW46YWRtaW4=", "Bearer", "Bearer ", "bearer x", "inv_1_2", "\x80"])
def test_credentials_that_are_none(header: str) -> None:
    async def scene(one: Api) -> None:
        answer = await one.ask("GET", "/v1/machines", headers={"authorization": header})
        assert (answer.status, answer.code) == (401, "login")
        assert answer.headers["www-authenticate"].startswith("Bearer")

    play(scene)


def test_a_problem_has_the_requests_trace() -> None:
    async def scene(one: Api) -> None:
        first, second = (
            (await one.ask("GET", "/v1/nothing") for _ in range(2))
            if False
            else (
                await one.ask("GET", "/v1/nothing"),
                await one.ask("GET", "/v1/nothing", token=one.token(Role.VIEWER)),
            )
        )
        assert (first.status, second.status) == (401, 404)
        traces = [re.findall(rb'"trace_id":"([0-9a-f]{32})"', answer.body) for answer in (first, second)]
        assert all(len(found) == 1 for found in traces)
        assert traces[0] != traces[1]

    play(scene)


def test_a_fake_application_is_not_asked_by_nobody() -> None:
    application = FakeApplication(fails=ValueError("asked"))

    async def whole() -> None:
        with api(application) as one:
            for route in ASKED:
                assert await knocked(one, route) == 401

    asyncio.run(whole())
    assert application.fails is not None
