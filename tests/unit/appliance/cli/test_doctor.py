"""`innervate doctor`, and what stands before `plan` and `apply`."""

import json

import pytest

from appliance.api.fake import FakeApplication
from appliance.api.fake_findings import DEAD_BMC, NO_LINK, ROGUE_DHCP, SLOW_PORT
from appliance.cli import app
from appliance.doctor.say import good
from appliance.model.doctor import Check, DoctorRequest, Finding
from appliance.model.phase import Phase
from tests.unit.appliance.cli.conftest import Run

WELL = good(Check.CLOCK, "the clock is synchronised")


@pytest.mark.parametrize(
    ("found", "status"),
    [
        ((), 0),
        ((WELL,), 0),
        ((WELL, SLOW_PORT), 0),
        ((DEAD_BMC, SLOW_PORT), 3),
        ((NO_LINK, DEAD_BMC), 1),
    ],
    ids=["nothing", "well", "warning", "one-machine", "site"],
)
def test_exit_status(found: tuple[Finding, ...], status: int, application: FakeApplication, run: Run) -> None:
    application.doctor_desk.finds = found
    assert run("doctor")[0] == status
    assert run("doctor", "--last")[0] == status


def test_findings_are_told_the_worst_first_and_counted(application: FakeApplication, run: Run) -> None:
    application.doctor_desk.finds = (WELL, SLOW_PORT, NO_LINK)
    _, told, _ = run("doctor")
    rows = [line for line in told.splitlines() if not line.startswith(" ")]
    assert [row.split()[0] for row in rows[:3]] == ["failure", "warning", "ok"]
    assert rows[3] == "1 ok, 1 warning, 1 failure"


def test_as_json(application: FakeApplication, run: Run) -> None:
    application.doctor_desk.finds = (NO_LINK,)
    status, told, _ = run("doctor", "--json")
    view = json.loads(told)
    assert status == 1
    assert view["running"] is False
    assert view["findings"][0]["check"] == "link"
    assert view["findings"][0]["command"] == "ethtool eth1"


def test_patience_is_asked_for(application: FakeApplication, run: Run) -> None:
    run("doctor", "--wait")
    run("doctor")
    run("doctor", "--last")
    assert [asked.patient for asked in application.doctor_desk.asked] == [True, False]


def test_a_plan_is_shown_with_what_stands_in_its_way(application: FakeApplication, run: Run) -> None:
    application.doctor_desk.finds = (WELL, ROGUE_DHCP, DEAD_BMC)
    status, told, _ = run("plan")
    assert status == 0
    assert ROGUE_DHCP.cause in told
    assert DEAD_BMC.cause not in told, "that machine is not in the plan"
    assert WELL.cause not in told


def test_a_script_is_refused_unless_it_says_so(application: FakeApplication, run: Run) -> None:
    application.doctor_desk.finds = (ROGUE_DHCP,)
    status, _, errors = run("apply", "--yes")
    assert status == 9
    assert f"not applied: {ROGUE_DHCP.cause}" in errors
    assert "--despite-findings" in errors
    assert not application.runs().runs
    assert run("apply", "--yes", "--despite-findings")[0] in (0, 3)
    assert application.runs().runs


@pytest.mark.parametrize("found", [(SLOW_PORT,), (DEAD_BMC,)], ids=["warning", "one-machine"])
def test_what_is_no_failure_of_the_site_stops_no_script(
    found: tuple[Finding, ...], application: FakeApplication, run: Run
) -> None:
    application.doctor_desk.finds = found
    run("apply", "--yes")
    assert application.runs().runs


@pytest.mark.parametrize(("typed", "begins"), [("lab", False), ("anyway", False), ("lab anyway", True)])
def test_whoever_is_asked_types_a_word_more(
    typed: str, begins: bool, application: FakeApplication, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    application.doctor_desk.finds = (ROGUE_DHCP,)
    monkeypatch.setattr(app, "ask", lambda _question: typed)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    status, _, errors = run("apply")
    assert "stands in the way" in errors
    assert bool(application.runs().runs) is begins
    assert (status == 9) is not begins


def test_a_doctor_who_cannot_be_asked_keeps_no_plan_from_being_shown(
    application: FakeApplication, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from appliance.errors import MachineryError

    def refuse(_request: DoctorRequest) -> None:
        raise MachineryError("no doctor here")

    monkeypatch.setattr(application.doctor_desk, "start", refuse)
    status, told, _ = run("plan")
    assert status == 0
    assert "the doctor could not be asked: no doctor here" in told
    assert application.inventory["node-0"].phase is Phase.DEPLOYING
