"""`innervate report`: a table, a page of its own, JSON. `innervate support-bundle`: a file for nobody else."""

import json
import zipfile
from pathlib import Path

from appliance.api.fake import FakeApplication
from tests.unit.appliance.cli.conftest import Run


def test_a_table_a_page_and_json(application: FakeApplication, run: Run, tmp_path: Path) -> None:
    name, other = list(application.inventory)[:2]
    status, told, _ = run("report")
    assert status == 0
    assert name in told
    assert "2.19.1" in told
    page = tmp_path / "report.html"
    assert run("report", "--html", str(page)) == (0, "", "")
    assert page.read_text().startswith("<!doctype html>")
    status, told, _ = run("report", f"name:{name}", "--json")
    view = json.loads(told)
    assert [one["machine"]["name"] for one in view["machines"]] == [name]
    assert view["wanted"] == f"name:{name}"
    assert other not in told


def test_a_file_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    status, _, errors = run("report", "--html", str(tmp_path / "no" / "report.html"))
    assert status == 2
    assert "cannot write" in errors


def test_a_bundle(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "support.zip"
    status, told, _ = run("support-bundle", str(file))
    assert status == 0
    assert "read index.html" in told
    assert file.stat().st_mode & 0o777 == 0o600
    assert "index.html" in zipfile.ZipFile(file).namelist()
