"""The compiled server is the same server: the suites of DHCP pass with it in place."""

import subprocess
import sys
from pathlib import Path

import pytest

from pxe import compiled
from pxe.errors import ServiceError

ROOT = Path(__file__).parents[3]
UNITS = ("event", "flood", "guards", "leases", "packet", "proxy", "responder", "subnet")
SUITES = (
    "tests/conformance/test_dhcp.py",
    "tests/contract/test_dhcp_client.py",
    "tests/contract/test_dhcp_guards.py",
    *(f"tests/unit/pxe/dhcp/test_{name}.py" for name in UNITS),
)
WHERE = """
from importlib import import_module
from pxe import compiled
compiled.use()
print(*(import_module(name).__file__ for name in compiled.MODULES), sep="\\n")
"""


def _python(*arguments: str) -> "subprocess.CompletedProcess[str]":
    argv = (sys.executable, *arguments)
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)


def test_imported_too_early() -> None:
    from pxe.dhcp import packet

    with pytest.raises(ServiceError) as caught:
        compiled.use()
    assert packet.__name__ in caught.value.evidence


def test_usage() -> None:
    assert compiled.main(["pxe"]) == 2


@pytest.mark.long
@pytest.mark.timeout(600)
def test_suites_pass_compiled() -> None:
    if compiled.missing():
        pytest.skip(f"DHCP IS NOT TESTED COMPILED: {compiled.missing()} missing")
    where = _python("-c", WHERE)
    assert where.returncode == 0, where.stderr
    assert all(line.endswith(".so") for line in where.stdout.split())
    seen = _python("-m", "pxe.compiled", "-m", "pytest", "-q", "-p", "no:cacheprovider", *SUITES)
    assert seen.returncode == 0, seen.stdout[-4000:] + seen.stderr[-1000:]
