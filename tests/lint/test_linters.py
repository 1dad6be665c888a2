"""The linters are tests: one command says everything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PACKAGES = ("appliance", "pxe", "images", "templates")


# In a folder of the user's, so that a fresh clone knows what another one has found out.
CACHES = {"MYPY_CACHE_DIR": str(Path.home() / ".cache" / "innervate" / "mypy"), "MYPYPATH": str(ROOT)}
# What calls the product mostly under `--all`: a caller left behind by a change shows at once.
_LATE = ("rack", "image", "cluster", "okd", "bench")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "argv",
    [
        ("ruff", "check", "--no-cache", "."),
        ("ruff", "format", "--no-cache", "--check", "."),
        ("mypy",),
        ("mypy", *(word for tier in _LATE for word in ("-p", f"tests.{tier}"))),
        ("pyright",),
        ("lint-imports", "--no-cache"),
    ],
    ids=lambda argv: "-".join(argv[:2]),
)
def test_linter(argv: tuple[str, ...]) -> None:
    command, surroundings = [str(BIN / argv[0]), *argv[1:]], os.environ | CACHES
    done = subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
