"""Runs as a person steers them, against the real API with nothing behind it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from appliance.api.fake import FakeApplication, Served
from appliance.model.codec import from_json
from appliance.model.goal import ASK
from appliance.model.ids import PlanDigest, RunId
from appliance.model.views import GoalState, GoalsView, MachinesView, PlanView, RunState, RunsView, RunView

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def under_way(application: FakeApplication, server: Served, plan: PlanView) -> Callable[[], RunView]:
    """Starts a run of the plan each time; the first plan's machine, a second one, and so on."""

    async def start(at: int) -> RunView:
        steps = tuple(replace(step, machine=f"node-{at}") for step in plan.steps)
        application.plans = [replace(plan, digest=f"{at:064x}", steps=steps)]
        return await application.apply(PlanDigest((await application.make_plan()).digest))

    numbers = iter(range(3))
    return lambda: server.do(start(next(numbers)))


def test_runs(run: Run, under_way: Callable[[], RunView]) -> None:
    assert run("runs")[:2] == (0, "No run was started yet.\n")
    under_way()
    assert "run-1  running" in run("runs")[1]
    assert [one.id for one in from_json(RunsView, run("runs", "--json")[1]).runs] == ["run-1"]


def test_only_the_latest_unless_all(run: Run) -> None:
    for _ in range(21):
        run("power", "node-0", "on", "--json")
    assert run("runs")[1].splitlines()[-1] == "1 older: innervate runs --all"
    assert "run-1 " not in run("runs")[1]
    assert "run-1 " in run("runs", "--all")[1]
    assert len(from_json(RunsView, run("runs", "--json")[1]).runs) == 21


def test_pause_and_go_on(run: Run, under_way: Callable[[], RunView]) -> None:
    under_way()
    told = "run run-1 is paused: smoke; `innervate resume run-1` lets it go on\n"
    assert run("pause", "run-1", "--reason", "smoke") == (0, told, "")
    assert "paused" in run("runs")[1]
    for shown in (run("status")[1], run("status", "node-0")[1]):
        why = "smoke (by local:root)"
        assert shown.splitlines()[-1] == f"run run-1 is paused: {why}; innervate resume run-1 lets it go on"
    assert from_json(MachinesView, run("status", "--json")[1]).machines
    assert run("resume", "run-1")[1] == "run run-1 goes on; `innervate status` shows it\n"
    assert "paused" not in run("status")[1]


def test_cancel(run: Run, under_way: Callable[[], RunView]) -> None:
    under_way()
    assert run("cancel")[1].startswith("run run-1 is cancelled; ")
    status, _, err = run("cancel", "run-1")
    assert status == 5
    assert "over" in err


def test_set_aside_and_retry(run: Run, under_way: Callable[[], RunView]) -> None:
    under_way()
    told = "run run-1 goes on without node-0; `innervate retry run-1 node-0` takes it in again\n"
    assert run("set-aside", "run-1", "node-0", "--reason", "loud fan")[:2] == (0, told)
    assert from_json(RunView, run("retry", "run-1", "node-0", "--json")[1]).set_aside == {}
    assert from_json(RunView, run("set-aside", "node-0", "--reason", "loud fan", "--json")[1]).set_aside
    assert run("retry", "node-0")[1].startswith("run run-1 tries node-0 again; ")


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel"])
def test_the_run_may_be_left_out_when_it_is_the_only_one(run: Run, under_way: Callable[[], RunView], verb: str) -> None:
    status, _, err = run(verb)
    assert (status, "innervate runs" in err) == (4, True)
    under_way()
    assert from_json(RunView, run(verb, "--json")[1]).id == "run-1"


@pytest.mark.parametrize(
    "arguments", [("pause",), ("retry", "node-0"), ("set-aside", "node-0", "--reason", "x"), ("retry", "a", "b", "c")]
)
def test_two_runs_have_to_be_told_apart(
    run: Run, application: FakeApplication, under_way: Callable[[], RunView], arguments: tuple[str, ...]
) -> None:
    under_way()
    under_way()
    assert run(*arguments)[0] == 2
    assert all(one.state is RunState.RUNNING and not one.paused for one in application.runs().runs)
    if arguments == ("pause",):
        assert "seen: run-2, run-1" in run(*arguments)[2]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("pause", "run-9"), 4),
        (("retry", "run-1", "node-9"), 4),
        (("set-aside", "run-1", "node-0"), 2),
        (("set-aside", "run-1", "node-0", "--reason", " "), 2),
        (("set-aside", "--reason", "x"), 2),
        (("pause", "run-1", "--reason", ""), 2),
        (("retry", "run-1", "Node 0"), 2),
    ],
)
def test_exit_statuses(run: Run, under_way: Callable[[], RunView], arguments: tuple[str, ...], status: int) -> None:
    under_way()
    assert run(*arguments)[0] == status


def test_what_waits_for_approval_is_shown_and_can_be_dropped(
    run: Run, application: FakeApplication, server: Served, plan: PlanView
) -> None:
    """The plan puts something off; what can be planned then destroys a disk."""
    first, last = plan, replace(plan, digest="c" * 64, deferred=())
    application.plans = [first, last]
    assert run("goals")[1] == "The daemon has nothing to go on with.\n"

    async def discover() -> None:
        begun = await application.apply(PlanDigest((await application.make_plan()).digest), then=ASK)
        application.run(RunId(begun.id))

    server.do(discover())
    wants = f"(goal goal-1) waits for approval of plan {'c' * 12}: innervate apply --digest {'c' * 64}"
    for shown in (run("goals")[1], run("status")[1], run("plan")[1]):
        assert shown.splitlines()[-1].endswith(wants)
    assert [goal.state for goal in from_json(GoalsView, run("goals", "--json")[1]).goals] == [GoalState.ASKING]
    assert run("drop", "goal-1")[:2] == (0, "goal goal-1 is dropped; `innervate plan` shows what is left\n")
    assert run("goals")[1] == "The daemon has nothing to go on with.\n"
    assert "cancelled" in run("goals", "--all")[1]
