"""scapy is under the GPL, and takes apart what strangers send: it has processes of its own. So has tftpy."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
APART = "appliance.doctor.apart"
GUESTS = {"scapy", "tftpy"}


def modules() -> Iterator[tuple[Path, set[str]]]:
    for package in ("appliance", "pxe", "images", "templates"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path, set(_imported(ast.parse(path.read_text())))


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_only_what_runs_apart_imports_them() -> None:
    users = {path for path, names in modules() if GUESTS & {name.split(".")[0] for name in names}}
    folder = ROOT / APART.replace(".", "/")
    assert users
    assert all(path.parent == folder for path in users)


def test_nobody_imports_what_runs_apart() -> None:
    folder = ROOT / APART.replace(".", "/")
    found = {p for p, names in modules() if p.parent != folder and any(name.startswith(APART) for name in names)}
    assert not found


def test_the_daemon_has_neither() -> None:
    program = "import sys, appliance.daemon; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "appliance" in loaded
    assert not GUESTS & loaded
