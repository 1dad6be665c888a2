"""`innervate appliance`, over the API, to a fake of the desk behind it."""

import json
from dataclasses import replace
from pathlib import Path

from appliance.api.bodies import BODY_LIMIT
from appliance.api.fake import FakeApplication
from appliance.model.upgrade_views import Stage
from tests.unit.appliance.cli.conftest import Run


def test_status_says_what_runs_and_what_came_of_the_last_trial(application: FakeApplication, run: Run) -> None:
    desk = application.upgrade_desk
    desk.view = replace(desk.view, outcome="version 0.2.0 was tried and did not stay: \x1b[31mwhy")
    status, told, _ = run("appliance", "status")
    assert status == 0
    assert [line.split() for line in told.splitlines()[1:3]] == [
        ["a", "0.1.0", "0123456789ab", "runs"],
        ["b", "0.0.9", "ba9876543210"],
    ]
    assert told.splitlines()[3:] == ["idle", "last trial: version 0.2.0 was tried and did not stay: why"]
    assert json.loads(run("appliance", "status", "--json")[1])["slots"][0]["running"] is True


def test_a_bundle_of_any_size_is_sent_as_it_is(application: FakeApplication, run: Run, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.write_bytes(b"INNERVATE" + bytes(range(256)) * (BODY_LIMIT // 64))
    status, told, _ = run("appliance", "upgrade", str(bundle))
    assert status == 0
    assert "restarts by itself" in told
    assert application.upgrade_desk.received == bundle.read_bytes()
    assert application.upgrade_desk.view.stage is Stage.ASKED


def test_what_is_no_bundle_is_refused(application: FakeApplication, run: Run, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"{" * 100)
    status, _, complaint = run("appliance", "upgrade", str(other))
    assert status == 2
    assert "not a bundle" in complaint
    status, _, complaint = run("appliance", "upgrade", str(tmp_path / "nothing"))
    assert status == 2
    assert "cannot be read" in complaint


def test_going_back(application: FakeApplication, run: Run) -> None:
    status, told, _ = run("appliance", "rollback")
    assert status == 0
    assert "asked" in told
