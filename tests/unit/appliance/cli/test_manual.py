"""`innervate error`: each code explained by what is installed here, without a daemon."""

import json
from collections.abc import Callable

import pytest

from appliance.main import main
from appliance.manual.reading import own


def test_one_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--socket", "/nonexistent", "error", "agent-silent"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("agent-silent: The machine was started, and its agent never said hello.\n")
    for part in ("\nwhy:\n", "\nwhat is seen:\n", "\nwhat to do:\n", "\nexample:\n  failed: the machine was started"):
        assert part in said
    assert "](" not in said
    assert said.endswith("\n\nread on: innervate docs stuck\n")


def test_all_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["error"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(own().codes)


def test_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["error", "conflict", "--json"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert (one["code"], one["example"][:7]) == ("conflict", "error: ")
    assert main(["error", "--json"]) == 0
    assert [each["code"] for each in json.loads(capsys.readouterr().out)] == list(own().codes)


def test_an_unknown_code_and_where_an_error_leads(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["error", "nonsense"]) == 4
    said = capsys.readouterr().err
    assert "seen: agent, agent-lost" in said
    assert said.endswith("  more: innervate error not-found\n")


def test_a_daemon_that_is_away_leads_to_its_page(run: Callable[..., tuple[int, str, str]]) -> None:
    status, _, told = run("--socket", "/nonexistent/api.sock", "status")
    assert (status, told.splitlines()[-1]) == (7, "  more: innervate error no-daemon")


def test_pages_as_they_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["docs"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert {"stuck", "first-rack", "offline", "phases", "errors"} <= set(names)
    assert not [name for name in names if "/" in name]
    for name in (*names, "errors/conflict"):
        assert main(["docs", name]) == 0
        assert capsys.readouterr().out.startswith("# ")
    for wrong in ("nonsense", "../README", "files/examples/lab_rack.py"):
        assert main(["docs", wrong]) == 4
        assert "the documentation has no page" in capsys.readouterr().err


def test_every_page_that_an_error_names_can_be_printed() -> None:
    named = {name for code in own().codes for name in own().code(code).more}
    assert "stuck" in named
    assert named <= {name for name, _ in own().titles}
