"""What the type checkers promise to authors of site programs: tests/typing/valid and examples/ check,
tests/typing/invalid does not.

Each checker runs once for all programs; in invalid ones, exactly the lines marked `# rejected` must be reported.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted((*(ROOT / "tests/typing").glob("*/*.py"), *(ROOT / "examples").glob("*.py")))
SECONDS = 300

pytestmark = pytest.mark.timeout(SECONDS + 20)

Errors = dict[Path, set[int]]


def _run(*argv: str) -> str:
    """The checkers run in the interpreter's environment: what it can import, they can."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode in (0, 1), done.stderr + done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def mypy() -> Errors:
    output = _run(sys.executable, "-m", "mypy", "--strict", "--output=json", *map(str, PROGRAMS))
    found: Errors = {}
    for report in map(json.loads, output.splitlines()):
        if report["severity"] == "error":
            found.setdefault(ROOT / report["file"], set()).add(report["line"])
    return found


@pytest.fixture(scope="module")
def pyright() -> Errors:
    output = _run(sys.executable, "-m", "pyright", "--outputjson", *map(str, PROGRAMS))
    found: Errors = {}
    for report in json.loads(output)["generalDiagnostics"]:
        if report["severity"] == "error":
            found.setdefault(Path(report["file"]), set()).add(report["range"]["start"]["line"] + 1)
    return found


def _marked(program: Path) -> set[int]:
    return {n for n, line in enumerate(program.read_text().splitlines(), 1) if line.endswith("# rejected")}


def test_invalid_programs_are_marked() -> None:
    assert all(bool(_marked(program)) == (program.parent.name == "invalid") for program in PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_mypy(program: Path, mypy: Errors) -> None:
    assert mypy.get(program, set()) == _marked(program)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_pyright(program: Path, pyright: Errors) -> None:
    assert pyright.get(program, set()) == _marked(program)
