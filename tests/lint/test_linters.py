"""The linters are tests: one command says everything."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PACKAGES = ("appliance", "pxe", "images", "templates")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "argv",
    [
        ("ruff", "check", "--no-cache", "."),
        ("ruff", "format", "--no-cache", "--check", "."),
        ("mypy",),
        ("pyright",),
        ("lint-imports", "--no-cache"),
    ],
    ids=lambda argv: "-".join(argv[:2]),
)
def test_linter(argv: tuple[str, ...]) -> None:
    done = subprocess.run([str(BIN / argv[0]), *argv[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
