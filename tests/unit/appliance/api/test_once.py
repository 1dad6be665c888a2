"""Requests with a key, on the fake application; across a crash see `tests/contract/test_once.py`."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from appliance.access.model import Role
from appliance.api.bodies import DEPTH_LIMIT, STRING_LIMIT, fault_of
from appliance.api.fake import FakeApplication
from appliance.errors import MachineryError
from appliance.model.phase import Phase
from appliance.model.views import MachineView, PlanView, PowerAction, StepView
from appliance.store.answers import DAY, Answer, Answers
from appliance.system import SystemRng
from tests.unit.appliance.access.test_desk import Hands
from tests.unit.appliance.api.asgi import LOCAL, Api, api, with_accounts

POWER = "/v1/machines/node-0/power"
ON = {"action": "on"}
KEY = {"idempotency-key": "7f1d-1"}


def application() -> FakeApplication:
    node = MachineView(name="node-0", phase=Phase.ACTIVE, since=0)
    step = StepView(id="s", machine="node-0", score="x", summary="x", kind="read", budget=1)
    plan = PlanView(digest="a" * 64, site="lab", steps=(step,), deferred=())
    return FakeApplication(inventory={"node-0": node}, plans=[plan])


def play(scene: Callable[[Api], Awaitable[None]]) -> None:
    async def whole() -> None:
        with api(application()) as one:
            await scene(await with_accounts(one))

    asyncio.run(whole())


def test_a_request_that_comes_twice_counts_once() -> None:
    async def scene(one: Api) -> None:
        token = one.token(Role.OPERATOR)
        first = await one.ask("POST", POWER, ON, token=token, headers=KEY)
        again = await one.ask("POST", POWER, ON, token=token, headers=KEY)
        assert (first.status, first.body) == (again.status, again.body)
        assert first.headers["location"] == again.headers["location"]
        assert again.headers["idempotency-replayed"] == "true"
        assert one.application.powered == [("node-0", PowerAction.ON)]
        other = await one.ask("POST", POWER, {"action": "off"}, token=token, headers=KEY)
        assert (other.status, other.code) == (422, "usage")
        elsewhere = await one.ask("POST", "/v1/machines/node-1/power", ON, token=token, headers=KEY)
        assert elsewhere.status == 422
        await one.ask("POST", POWER, ON, token=token, headers={"idempotency-key": "7f1d-2"})
        await one.ask("POST", POWER, ON, token=token)
        assert len(one.application.powered) == 3

    play(scene)


def test_the_keys_of_two_callers_are_two() -> None:
    async def scene(one: Api) -> None:
        for role in (Role.OPERATOR, Role.ADMIN):
            assert (await one.ask("POST", POWER, ON, token=one.token(role), headers=KEY)).status == 202
        assert len(one.application.powered) == 2

    play(scene)


def test_one_that_is_under_way() -> None:
    async def scene(one: Api) -> None:
        begun, go = asyncio.Event(), asyncio.Event()
        make_plan = one.application.make_plan

        async def slow() -> PlanView:
            begun.set()
            await go.wait()
            return await make_plan()

        one.application.make_plan = slow  # type: ignore[method-assign]
        first = asyncio.create_task(one.ask("POST", "/v1/plans", peer=LOCAL, headers=KEY))
        await begun.wait()
        early = await one.ask("POST", "/v1/plans", peer=LOCAL, headers=KEY)
        assert (early.status, early.code) == (409, "conflict")
        go.set()
        assert (await first).status == 201
        assert (await one.ask("POST", "/v1/plans", peer=LOCAL, headers=KEY)).body == (await first).body

    play(scene)


def test_what_was_refused_or_broke_may_be_asked_again() -> None:
    async def scene(one: Api) -> None:
        node = one.application.inventory.pop("node-0")
        assert (await one.ask("POST", POWER, ON, peer=LOCAL, headers=KEY)).status == 404
        one.application.fails = MachineryError("disk")
        assert (await one.ask("POST", POWER, ON, peer=LOCAL, headers=KEY)).status == 500
        one.application.inventory["node-0"] = node
        assert (await one.ask("POST", POWER, ON, peer=LOCAL, headers=KEY)).status == 202

    play(scene)


def test_a_token_is_not_shown_again() -> None:
    async def scene(one: Api) -> None:
        body = {"label": "ci", "role": "viewer"}
        made = await one.ask("POST", "/v1/tokens", body, peer=LOCAL, headers=KEY)
        again = await one.ask("POST", "/v1/tokens", body, peer=LOCAL, headers=KEY)
        assert (made.status, again.status) == (201, 409)
        assert json.loads(made.body)["token"].encode() not in again.body

    play(scene)


@pytest.mark.parametrize("key", ["", "two words", "x" * 129, "\x7f", "é"])
def test_keys_that_are_none(key: str) -> None:
    async def scene(one: Api) -> None:
        answer = await one.ask("POST", POWER, ON, peer=LOCAL, headers={"idempotency-key": key})
        assert (answer.status, answer.code) == (422, "usage")
        assert not one.application.powered

    play(scene)


def test_the_role_is_asked_each_time() -> None:
    async def scene(one: Api) -> None:
        token = one.token(Role.OPERATOR)
        await one.ask("POST", POWER, ON, token=token, headers=KEY)
        one.access.desk.change_user("operator", None, False)
        assert (await one.ask("POST", POWER, ON, token=token, headers=KEY)).status == 401

    play(scene)


def test_answers_are_taken_up_again_and_end_after_a_day(tmp_path: Path) -> None:
    path, clock = tmp_path / "answers.jsonl", Hands()
    answer = Answer(key="k", print="p", status=202, headers=(("location", "/x"),), body="{}")

    async def whole() -> None:
        answers = Answers(path, clock, SystemRng())
        wanted = answers.print(b"wanted")
        await answers.keep(answer)
        answers.close()
        path.write_bytes(path.read_bytes() + b'{"key":"cut off')
        answers = Answers(path, clock, SystemRng())
        assert answers.print_of("k") == "p"
        assert (await answers.read("k")).headers == answer.headers
        assert answers.print_of("cut off") is None
        assert answers.print(b"wanted") == wanted
        clock.seconds += DAY
        assert answers.print_of("k") is None
        answers.close()
        Answers(path, clock, SystemRng()).close()
        assert path.stat().st_size == 0

    asyncio.run(whole())


def test_stale_answers_make_room_while_the_daemon_runs(tmp_path: Path) -> None:
    path, clock = tmp_path / "answers.jsonl", Hands()

    async def whole() -> None:
        answers = Answers(path, clock, SystemRng())
        for at in range(5):
            await answers.keep(Answer(key=f"old-{at}", print="p", status=200, headers=(), body="x" * 300_000))
        large = path.stat().st_size
        clock.seconds += DAY - 10
        await answers.keep(Answer(key="young", print="p", status=200, headers=(), body="young"))
        assert path.stat().st_size > large
        clock.seconds += 20
        await answers.keep(Answer(key="now", print="p", status=200, headers=(), body="now"))
        assert path.stat().st_size < 10_000
        assert [answers.print_of(key) for key in ("old-0", "young", "now")] == [None, "p", "p"]
        assert [(await answers.read(key)).body for key in ("young", "now")] == ["young", "now"]
        answers.close()
        answers = Answers(path, clock, SystemRng())
        assert (await answers.read("now")).body == "now"
        answers.close()

    asyncio.run(whole())


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"[" * DEPTH_LIMIT + b"]" * DEPTH_LIMIT, ""),
        (b"[" * (DEPTH_LIMIT + 1), "nested"),
        (b'{"a":' * (DEPTH_LIMIT + 1), "nested"),
        (b"[]" * 1000, ""),
        (b'"' + b"[" * 100 + b'"', ""),
        (b'"\\"' + b"[" * 100 + b'"', ""),
        (b'"a\\\\"' + b"[" * 100, "nested"),
        (b'"' + b"x" * STRING_LIMIT + b'"', ""),
        (b'"' + b"x" * (STRING_LIMIT + 1) + b'"', "string"),
        (b'"' + b"x" * (STRING_LIMIT + 10), "string"),
        (("[" * 100).encode("utf-16"), "nested"),
        (b"\xff\x00", ""),
    ],
)
def test_bodies(body: bytes, fault: str) -> None:
    assert fault in fault_of(body)
    assert bool(fault) is bool(fault_of(body))


def test_deep_and_long_bodies_are_refused_whoever_sends_them() -> None:
    async def scene(one: Api) -> None:
        for body in (b"[" * 100_000, b'{"name":"' + b"x" * (STRING_LIMIT + 1) + b'"}'):
            for path in ("/v1/login", POWER):
                assert (await one.ask("POST", path, body, peer=LOCAL)).status == 400

    play(scene)


def test_an_answer_that_is_nothing_new() -> None:
    async def scene(one: Api) -> None:
        first = await one.ask("GET", "/v1/machines/node-0", peer=LOCAL)
        for known in (first.headers["etag"], f'"x", {first.headers["etag"]}', f"W/{first.headers['etag']}", "*"):
            again = await one.ask("GET", "/v1/machines/node-0", peer=LOCAL, headers={"if-none-match": known})
            assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
        assert (await one.ask("GET", "/v1/machines/node-0", peer=LOCAL, headers={"if-none-match": '"x"'})).status == 200
        hold, guard = {"reason": "x"}, {"if-match": first.headers["etag"]}
        assert (await one.ask("PUT", "/v1/machines/node-0/hold", hold, peer=LOCAL, headers=guard)).status == 200
        assert (await one.ask("DELETE", "/v1/machines/node-0/hold", peer=LOCAL, headers=guard)).status == 412
        assert (await one.ask("DELETE", "/v1/machines/node-0/hold", peer=LOCAL)).status == 200
        made = await one.ask("POST", "/v1/plans", peer=LOCAL)
        for target in (made.headers["location"], "/v1/users/admin"):
            assert "etag" in (await one.ask("GET", target, peer=LOCAL)).headers

    play(scene)
