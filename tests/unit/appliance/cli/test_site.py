"""`innervate site`, and `innervate check`, which it leaves as it is."""

import io
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.api.fake import PROGRAM, FakeApplication, Served
from appliance.main import main
from appliance.model.codec import from_json
from appliance.model.site_views import SiteChangeView, SiteCheckView, SiteFaultView, SiteView
from tests.unit.appliance.cli.conftest import Run

EXAMPLE = Path(__file__).parents[4] / "examples/lab_rack.py"
FAULT = SiteFaultView(message="site.py: \x1b[2Jbad", where="/etc/site.py:7", next_action="correct the line")


def test_as_it_is(run: Run, server: Served, application: FakeApplication) -> None:
    assert run("site", "show") == (0, "1  site = Site()\n", "")
    status, out, _ = run("site", "diff")
    assert (status, out) == (0, "the program on disk is the one that runs since 2027-01-15T08:00:00Z\n")
    assert run("site", "check") == (0, "lab: 1 machines, 1 scores, all needs are met\n", "")
    assert from_json(SiteView, run("site", "show", "--json")[1]) == PROGRAM
    assert from_json(SiteCheckView, run("site", "check", "--json")[1]) == PROGRAM.check


def test_changed(run: Run, server: Served, application: FakeApplication) -> None:
    application.site_program = replace(
        PROGRAM,
        changed=True,
        diff="--- a\n+++ b\n+\x1b[2Jx = 1",
        machines_added=("node-9",),
        machines_removed=("node-1",),
        changes=(
            SiteChangeView(change="changed", machine="node-2", kind="destructive", summary="write b", before="write a"),
        ),
        advice="restart the daemon",
    )
    assert run("site", "diff")[1].splitlines() == [
        "--- a",
        "+++ b",
        "+x = 1",
        "+ machine node-9",
        "- machine node-1",
        "~ node-2: DESTROYS write b (was: write a)",
        "restart the daemon",
    ]
    application.site_program = replace(PROGRAM, changed=True, advice="restart the daemon")
    assert run("site", "diff")[1].splitlines() == [
        "only what is masked differs", "no step would be another one now", "restart the daemon",
    ]  # fmt: skip


def test_not_sound(run: Run, server: Served, application: FakeApplication) -> None:
    application.site_program = replace(PROGRAM, changed=True, check=SiteCheckView(fault=FAULT), advice="correct it")
    status, out, _ = run("site", "check")
    assert status == 2
    assert out.splitlines() == ["error: site.py: bad", "  seen: /etc/site.py:7", "  next: correct the line"]
    assert run("site", "check", "--json")[0] == 2
    assert "error: site.py: bad" in run("site", "diff")[1]


def test_check_of_any_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["check", str(EXAMPLE)]) == 0
    assert capsys.readouterr().out.startswith("lab: ")
    assert main(["check", "--json", str(EXAMPLE)]) == 0
    assert from_json(SiteCheckView, capsys.readouterr().out).fault is None
    bad = tmp_path / "bad.py"
    bad.write_text("print('noise')\nx = (\n")
    assert main(["check", str(bad)]) == 2
    assert f"{bad}:2" in capsys.readouterr().err
    assert main(["check", "--json", str(bad)]) == 2
    fault = from_json(SiteCheckView, capsys.readouterr().out).fault
    assert fault is not None
    assert fault.where == f"{bad}:2"


def test_reload(run: Run, server: Served, application: FakeApplication, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert run("site", "reload")[0] == 0
    application.site_program = replace(PROGRAM, changed=True, digest="d" * 64, advice="restart the daemon")
    assert run("site", "reload")[0] == 5
    application.site_program = replace(application.site_program, reloadable=True, diff="+x = 1")
    status, _, err = run("site", "reload")
    assert (status, f"innervate site reload --digest {'d' * 64}" in err, "+x = 1" in err) == (9, True, True)
    monkeypatch.setattr("sys.stdin", Terminal("labb\n"))
    assert run("site", "reload")[0] == 9
    assert application.site_program.changed
    assert run("site", "reload", "--digest", "e" * 64)[0] == 5
    monkeypatch.setattr("sys.stdin", Terminal("lab\n"))
    assert run("site", "reload")[:2] == (0, "lab runs what is on disk\n")
    assert not application.site_program.changed
