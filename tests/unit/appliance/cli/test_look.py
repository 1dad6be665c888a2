"""The verbs that only look, as a person runs them: filters, lines for programs, and what is refused."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from appliance.api.fake import FakeApplication, Served
from appliance.model.codec import from_json
from appliance.model.phase import Phase
from appliance.model.views import DiskView, MachinesView, MachineView, PlanView, SummaryView
from tests.unit.appliance.cli.test_golden import Draw, check

Run = Callable[..., tuple[int, str, str]]


def names(out: str) -> list[str]:
    return [json.loads(line)["name"] for line in out.splitlines()]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("state:failed",), ["node-1"]),
        (("state:failed,active",), ["node-1", "node-2"]),
        (("--", "-state:failed", "node"), ["node-0", "node-2"]),
        (("node-", "serial:SN*"), ["node-0", "node-2"]),
        (('product:"Virtual Server"',), ["node-0"]),
        (("node",), ["node-0", "node-1", "node-2"]),
        (("state:retired",), []),
    ],
)
def test_status_of_those_that_fit(run: Run, words: tuple[str, ...], found: list[str]) -> None:
    status, out, err = run("status", "--json", *words)
    assert (status, err) == (0, "")
    assert [view.name for view in from_json(MachinesView, out).machines] == found
    for verb in ("status", "machines"):
        assert names(run(verb, "--ndjson", *words)[1]) == found


def test_a_whole_name_is_that_machine_alone(run: Run, application: FakeApplication) -> None:
    application.inventory["node-12"] = MachineView(name="node-12", phase=Phase.ACTIVE, since=1.0)
    assert from_json(MachineView, run("status", "node-1", "--json")[1]).name == "node-1"
    assert [view.name for view in from_json(MachinesView, run("status", "ode-1", "--json")[1]).machines] == [
        "node-1",
        "node-12",
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("status", "node-9"), 4, "no machine is called node-9"),
        (("status", "stat:failed"), 2, "did you mean state?"),
        (("machines", "state:faild"), 2, "did you mean failed?"),
        (("events", "--filter", 'serial:"SN 1'), 2, "a quote in the filter is not closed"),
        (("events", "--kind", "step-resul"), 2, "did you mean step-result?"),
        (("events", "--machine", "NODE"), 2, "cannot be a machine name"),
    ],
)
def test_refusals(run: Run, arguments: tuple[str, ...], status: int, said: str) -> None:
    ended, out, err = run(*arguments)
    assert (ended, out) == (status, "")
    assert said in err


def test_a_filter_is_refused_without_a_daemon(run: Run) -> None:
    assert run("--socket", "/nowhere.sock", "status", "stat:failed")[0] == 2
    assert run("--socket", "/nowhere.sock", "status", "state:failed")[0] == 7


def test_counts(run: Run) -> None:
    counts = from_json(SummaryView, run("machines", "--count", "--json")[1])
    assert (counts.total, counts.states["failed"], counts.states["held"]) == (3, 1, 0)
    assert run("machines", "--count", "state:failed")[1].split() == ["state", "machines", "failed", "1", "all", "1"]


def test_hardware(machines: MachinesView, text: Draw) -> None:
    from appliance.cli import show

    disk = DiskView(
        name="sda", serial="D", wwn="", size_bytes=480 * 10**9, model="M", rotational=False, contents="blank"
    )
    known = replace(
        machines.machines[0],
        bmc="10.1.0.5",
        macs=("b8:ce:f6:00:00:01", "b8:ce:f6:00:00:02"),
        cores=16,
        memory_bytes=64 * 10**9,
        disks=(disk, disk),
        role="worker",
    )
    check("hardware", text(show.hardware(MachinesView(machines=(known, *machines.machines[1:])))))


def test_events_of_machines_and_kinds(run: Run, application: FakeApplication, server: Served) -> None:
    for machine, kind in (("node-0", "noted"), ("node-1", "noted"), ("node-1", "step-result"), ("", "run-ended")):
        server.do(application.tell(machine, f"{machine} {kind}", kind=kind))

    def told(*arguments: str) -> list[str]:
        return [json.loads(line)["text"] for line in run("events", "--ndjson", *arguments)[1].splitlines()]

    assert told("--kind", "noted") == ["node-0 noted", "node-1 noted"]
    assert told("--filter", "state:failed") == ["node-1 noted", "node-1 step-result"]
    assert told("--filter", "state:failed", "--kind", "step-*") == ["node-1 step-result"]
    assert told("--machine", "node-1", "--kind", "run-*") == []
    assert told("--last", "2") == ["node-1 step-result", " run-ended"]
    assert told("--last", "1", "--filter", "state:failed", "--kind", "noted") == ["node-1 noted"]
    assert told("--last", "9", "--machine", "node-0") == ["node-0 noted"]
    assert run("events", "--last", "1", "--after", "1")[0] == 2


def test_runs_by_state_and_line(run: Run, application: FakeApplication, plan: PlanView) -> None:
    for _ in range(2):
        run("apply", "--yes")
    lines = run("runs", "--ndjson")[1].splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["run-2", "run-1"]
    assert run("runs", "--ndjson", "--state", "running")[1] == ""
    assert run("runs", "--state", "over")[0] == 2
