"""Errands as a person runs them, against the real API with nothing behind it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from appliance.api.fake import FakeApplication
from appliance.api.fake_findings import ROGUE_DHCP
from appliance.model.codec import from_json
from appliance.model.views import DeferredView, Errand, PlanView
from appliance.model.words import RETIREMENT

Run = Callable[..., tuple[int, str, str]]
DESTRUCTIVE = (
    ("reinstall", Errand.REINSTALL),
    ("wipe", Errand.WIPE),
    ("decommission", Errand.DECOMMISSION),
    ("replace", Errand.REPLACE),
)


@pytest.fixture(autouse=True)
def plans(application: FakeApplication, errand: PlanView) -> None:
    """Each errand first finds out what is on the disks, then does it."""
    for number, kind in enumerate(Errand):
        purpose = f"{kind.value} node-0"
        look = replace(
            errand,
            digest=f"{number:012x}" + "0" * 52,
            steps=errand.steps[:1],
            deferred=(DeferredView(score=kind.value, reason="what is on its disks is not known"),),
            purpose=purpose,
            missing=(),
        )
        steps = errand.steps[:1] if kind is Errand.RESCUE else errand.steps
        do = replace(errand, digest=f"{number + 100:012x}" + "0" * 52, steps=steps, purpose=purpose, missing=())
        application.errands[kind] = [look, do]


def typing(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """A terminal where a person types these; what is left of them is returned by reference."""
    left = list(answers)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda: left.pop(0))
    return left


def carried_out(application: FakeApplication) -> list[str]:
    return [run.plan for run in reversed(application.runs().runs)]


@pytest.mark.parametrize(("verb", "kind"), [*DESTRUCTIVE, ("rescue", Errand.RESCUE)])
def test_planned_done_and_planned_again(run: Run, application: FakeApplication, verb: str, kind: Errand) -> None:
    look, do = application.errands[kind]
    status, out, err = run(verb, "node-0", "--confirm", "node-0")
    assert status == 0
    assert carried_out(application) == [look.digest, do.digest]
    assert out.index(f"plan {look.digest[:12]}: {kind.value} node-0") < out.index(f"plan {do.digest[:12]}")
    assert ("These steps destroy" in out) is (kind is not Errand.RESCUE)
    assert err.splitlines()[-1] == "run run-2 done in 0s"
    assert "node-0" in out.splitlines()[-1], "the summary shows no other machine"


def test_erase(run: Run, application: FakeApplication) -> None:
    asked = application.errands[Errand.ERASE][:]
    assert run("wipe", "node-0", "--erase", "--confirm", "node-0")[0] == 0
    assert carried_out(application) == [plan.digest for plan in asked]


@pytest.mark.parametrize("verb", [verb for verb, _ in DESTRUCTIVE])
def test_the_machines_name_is_typed(
    run: Run, application: FakeApplication, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    left = typing(monkeypatch, "node-0", "node-0")
    status, out, err = run(verb, "node-0", "--yes")
    assert (status, left) == (0, [])
    assert "Type the machine's name (node-0)" in err
    assert "Type the machine's name" not in out


@pytest.mark.parametrize("answer", ["", "y", "yes", "lab", "node-1", "NODE-0"])
def test_another_name_is_a_no(
    run: Run, application: FakeApplication, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    typing(monkeypatch, answer)
    assert run("wipe", "node-0")[0] == 9
    assert carried_out(application) == []


def test_a_no_to_the_second_plan_leaves_the_first_done(
    run: Run, application: FakeApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, _ = application.errands[Errand.WIPE]
    typing(monkeypatch, "node-0", "no")
    assert run("wipe", "node-0")[0] == 9
    assert carried_out(application) == [look.digest]


@pytest.mark.parametrize("verb", ["wipe", "rescue"])
def test_confirm_names_the_same_machine(run: Run, application: FakeApplication, verb: str) -> None:
    status, out, err = run(verb, "node-0", "--yes", "--confirm", "node-1")
    assert (status, out) == (9, "")
    assert "--confirm node-1" in err
    assert carried_out(application) == []


@pytest.mark.parametrize(("arguments", "status"), [(("rescue", "node-0"), 9), (("rescue", "node-0", "--yes"), 0)])
def test_yes_is_enough_where_nothing_can_be_lost(run: Run, arguments: tuple[str, ...], status: int) -> None:
    assert run(*arguments)[0] == status


def test_yes_is_not_enough_for_a_rescue_that_would_destroy(
    run: Run, application: FakeApplication, errand: PlanView
) -> None:
    application.errands[Errand.RESCUE] = [errand]
    assert run("rescue", "node-0", "--yes")[0] == 9
    assert carried_out(application) == []


@pytest.mark.parametrize("verb", [verb for verb, _ in DESTRUCTIVE])
def test_without_a_terminal_it_takes_confirm(run: Run, application: FakeApplication, verb: str) -> None:
    status, out, err = run(verb, "node-0", "--yes")
    assert (status, carried_out(application)) == (9, [])
    assert f"{verb} node-0" in out, "the plan is shown"
    assert "--confirm node-0" in err


def test_dry_run(run: Run, application: FakeApplication, errand: PlanView) -> None:
    application.errands[Errand.WIPE] = [errand]
    assert from_json(PlanView, run("wipe", "node-0", "--dry-run", "--json")[1]) == errand
    assert "wipe disk DISK0001 (480.0 GB) of node-0" in run("wipe", "node-0", "--dry-run")[1]
    assert carried_out(application) == []


def test_json_is_all_of_standard_output(run: Run) -> None:
    status, out, err = run("wipe", "node-0", "--confirm", "node-0", "--json")
    assert status == 0
    assert [done["state"] for done in json.loads(out)["runs"]] == ["done", "done"]
    assert "These steps destroy" in err


@pytest.mark.parametrize(("verb", "status"), [("wipe", 3), ("decommission", 3), ("replace", 0)])
def test_what_is_left_out_is_no_success(
    run: Run, application: FakeApplication, errand: PlanView, verb: str, status: int
) -> None:
    """But where a spare is taken, one spare less is what was asked for."""
    application.errands[Errand(verb)] = [errand]
    done, out, _ = run(verb, "node-0", "--confirm", "node-0")
    assert (done, out.splitlines()[-1] == "note  node-0: disk sdb is not touched: it cannot be read") == (
        status,
        status == 3,
    )


def outcomes(errand: PlanView) -> Iterator[tuple[str, PlanView, frozenset[str], int]]:
    other = replace(errand.steps[1], id="other", machine="node-1")
    done = replace(errand, missing=())
    yield "all", done, frozenset(), 0
    yield "one of two machines", replace(done, steps=(*done.steps, other)), frozenset({"other"}), 3
    yield "the machine", done, frozenset({done.steps[1].id}), 1
    yield "nothing to do", replace(done, steps=()), frozenset(), 0


def test_exit_statuses(run: Run, application: FakeApplication, errand: PlanView) -> None:
    for what, plan, broken, status in outcomes(errand):
        application.errands[Errand.REPLACE] = [plan]
        application.broken = broken
        assert run("replace", "node-0", "--confirm", "node-0")[0] == status, what


def test_a_failure_ends_it(run: Run, application: FakeApplication, errand: PlanView) -> None:
    look, _ = application.errands[Errand.WIPE]
    application.broken = frozenset({errand.steps[0].id})
    status, out, err = run("wipe", "node-0", "--confirm", "node-0")
    assert (status, carried_out(application)) == (1, [look.digest])
    assert "failed  node-0: boot node-0 into the discovery system" in err
    assert "still waiting  wipe: what is on its disks is not known" in out


def test_refusals_of_the_daemon(run: Run, application: FakeApplication) -> None:
    assert run("wipe", "node-9", "--confirm", "node-9")[0] == 4
    assert run("wipe", "Node 0", "--confirm", "Node 0")[0] == 2
    del application.errands[Errand.REPLACE]
    assert run("replace", "node-0", "--confirm", "node-0")[0] == 2


def test_a_failure_of_the_site_stands_in_its_way_unless_that_is_said(run: Run, application: FakeApplication) -> None:
    application.doctor_desk.finds = (ROGUE_DHCP,)
    status, _, errors = run("wipe", "node-0", "--confirm", "node-0")
    assert (status, carried_out(application)) == (9, [])
    assert ROGUE_DHCP.cause in errors
    assert run("wipe", "node-0", "--confirm", "node-0", "--despite-findings")[0] == 0
    assert carried_out(application)


def test_a_site_is_retired_by_its_name(
    run: Run, application: FakeApplication, errand: PlanView, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(errand, digest="f" * 64, purpose=RETIREMENT, deferred=(), missing=())
    application.retirements = [plan]
    assert run("retire", "--dry-run")[0] == 0
    status, _, err = run("retire", "--confirm", "node-0")
    assert (status != 0, carried_out(application)) == (True, [])
    assert f"another site than {plan.site}" in err
    left = typing(monkeypatch, "node-0")
    assert (run("retire")[0] != 0, left, carried_out(application)) == (True, [], [])
    assert run("retire", "--confirm", plan.site)[0] == 0
    assert carried_out(application) == [plan.digest]
