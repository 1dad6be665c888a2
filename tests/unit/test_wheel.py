"""What is built to be installed has the documentation inside, and shows it without the repository."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from appliance.manual.reading import own

ROOT = Path(__file__).parents[2]
SHELF = "appliance/manual/shelf/"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_every_page_picture_and_example_is_in_the_wheel(installed: Path) -> None:
    shelf = installed / SHELF
    found = {path.relative_to(shelf).as_posix() for path in shelf.rglob("*") if path.is_file()}
    assert found >= own().paths
    assert {"docs/guide/stuck.md", "docs/guide/errors/conflict.md", "docs/screens/2-rack.png"} <= own().paths
    assert not {path for path in found if path.endswith((".pyc", "~"))}
    assert (shelf / "docs/guide/stuck.md").read_bytes() == (ROOT / "docs/guide/stuck.md").read_bytes()
    assert any(installed.glob("templates/web/doc.html.j2"))


def test_an_installed_command_line_explains_errors(installed: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    code = "import sys, appliance; from appliance.main import main; print(appliance.__file__); sys.exit(main())"
    argv = [sys.executable, "-P", "-c", code, "error", "agent-silent"]
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    where, _, told = done.stdout.partition("\n")
    assert where.startswith(str(installed))
    assert told.startswith("agent-silent: The machine was started")
