"""The command as a person runs it, against the real API with nothing behind it."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.api.fake import FakeApplication, Served
from appliance.model.codec import from_json, to_json
from appliance.model.views import (
    ExplainLine,
    ExplainView,
    IdentityView,
    MachinesView,
    MachineView,
    PlanView,
    PowerAction,
    RunView,
)

Run = Callable[..., tuple[int, str, str]]
HEAVY = (
    "fastapi",
    "sqlalchemy",
    "paramiko",
    "redfish",
    "pydantic",
    "rich",
    "websockets",
    "http.client",
    "asyncio",
    "textual",
)


def test_status(run: Run, machines: MachinesView) -> None:
    status, out, err = run("status")
    assert (status, err) == (0, "")
    assert "node-1" in out
    assert "\x1b" not in out
    assert from_json(MachinesView, run("status", "--json")[1]) == machines
    assert "check the cable" in run("status", "node-1")[1]


def test_plan(run: Run, plan: PlanView) -> None:
    assert "write debian-13 to DISK0001" in run("plan")[1]
    assert run("plan", "--json")[1] == to_json(plan).decode() + "\n"


def test_events_are_one_object_a_line(run: Run, application: FakeApplication, server: Served) -> None:
    server.do(application.tell("node-0", "one\ntwo"))
    server.do(application.tell("node-1", "three"))
    status, out, _ = run("events", "--json")
    assert status == 0
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["one\ntwo", "three"]
    assert "three" in run("events", "--machine", "node-1", "--after", "1")[1]


def test_apply_yes(run: Run, application: FakeApplication) -> None:
    status, out, err = run("apply", "--yes")
    assert status == 3, "cluster stays deferred"
    assert "These steps destroy" in out
    assert "still waiting  cluster" in out
    assert "run run-1 done" in err
    application.broken = frozenset({"write-0"})
    assert run("apply", "--yes")[0] == 1


def test_apply_as_json(run: Run) -> None:
    status, out, err = run("apply", "--yes", "--json")
    outcome = json.loads(out)
    assert (status, [done["state"] for done in outcome["runs"]]) == (3, ["done"])
    assert outcome["deferred"] == [{"score": "cluster", "reason": "needs facts of node-1"}]
    assert "These steps destroy" in err


def test_apply_asks_on_a_terminal_only(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    status, _, err = run("apply")
    assert status == 9
    assert "--digest" in err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda: "no")
    assert run("apply")[0] == 9
    monkeypatch.setattr("builtins.input", lambda: "lab")
    assert run("apply")[0] == 3


def test_apply_digest(run: Run, plan: PlanView) -> None:
    assert run("apply", "--yes", "--digest", plan.digest)[0] == 4
    run("plan")
    assert run("apply", "--yes", "--digest", plan.digest)[0] == 3


def test_power_hold_release_take_over(run: Run, application: FakeApplication) -> None:
    assert run("power", "node-0", "force-off")[0] == 0
    assert application.powered == [("node-0", PowerAction.FORCE_OFF)]
    assert run("hold", "node-0", "--reason", "disk swap")[0] == 0
    assert application.inventory["node-0"].conditions[0].reason == "disk swap"
    assert run("release", "node-0")[0] == 0
    assert application.inventory["node-0"].conditions == ()
    assert run("take-over")[0] == 0
    assert application.took_over


def test_confirm(run: Run, application: FakeApplication) -> None:
    shown = IdentityView(rung="L0", why="names and numbers", code="402913", code_until=0.0)
    application.inventory["node-0"] = replace(application.inventory["node-0"], identity=shown)
    assert run("confirm", "node-0", "40291")[0] == 2
    assert run("confirm", "node-0", "402914")[0] == 5
    assert "402 913" in run("status", "node-0")[1]
    assert run("confirm", "node-0", "402 913")[0] == 0
    assert "identity L3, may have its own secrets" in run("status", "node-0")[1]


def test_what_changes_something_tells_it_as_json(run: Run) -> None:
    assert from_json(RunView, run("power", "node-0", "on", "--json")[1]).id == "run-1"
    assert from_json(MachineView, run("hold", "node-0", "--reason", "disk swap", "--json")[1]).name == "node-0"
    assert from_json(MachineView, run("release", "node-0", "--json")[1]).conditions == ()
    assert len(from_json(MachinesView, run("take-over", "--json")[1]).machines) == 3


def test_explain(run: Run, application: FakeApplication) -> None:
    why = ExplainView(machine="node-1", verdict="node-1 waits", lines=(ExplainLine(kind="step", text="boot-agent"),))
    application.explained["node-1"] = why
    assert from_json(ExplainView, run("explain", "node-1", "--json")[1]) == why
    assert run("explain", "node-1")[1] == "node-1 waits\n  step  boot-agent\n"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("--help",), 0),
        ((), 2),
        (("staus",), 2),
        (("power", "node-0", "explode"), 2),
        (("status", "node-9"), 4),
        (("explain", "node-9"), 4),
        (("ssh", "node-9"), 4),
        (("tunnel", "node-9"), 4),
        (("--socket", "/nowhere.sock", "status"), 7),
    ],
)
def test_exit_statuses(run: Run, arguments: tuple[str, ...], status: int) -> None:
    assert run(*arguments)[0] == status


def test_interrupted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", interrupt)
    assert run("apply")[0] == 130


def test_follow_sees_what_comes(application: FakeApplication, server: Served, socket_path: Path) -> None:
    argv = [sys.executable, "-m", "appliance.main", "--socket", str(socket_path), "events", "--follow", "--json"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as follower:
        server.do(asyncio.wait_for(application.waiting.wait(), 10))
        server.do(application.tell("node-0", "at last"))
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["text"] == "at last"
        follower.terminate()


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom appliance.main import main\nmain(['--help'])\n"
        f"sys.exit(', '.join(m for m in {HEAVY!r} if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
