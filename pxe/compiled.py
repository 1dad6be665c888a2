"""The DHCP server as machine code, where mypyc and a C compiler are at hand: the same sources, no others.

    python -m pxe.compiled -m pxe CONFIG

builds once for each state of the sources, into ~/.cache/innervate/compiled, and then runs the module with the
compiled modules in the place of their sources. What cannot be built runs from the sources, and it is said so.
"""

import hashlib
import os
import runpy
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path
from shutil import copytree, ignore_patterns, rmtree, which
from types import ModuleType

from pxe.errors import ServiceError

_NAMES = (
    "address",
    "event",
    "exchange",
    "flood",
    "guards",
    "leases",
    "options",
    "packet",
    "policy",
    "relay",
    "reply",
    "responder",
    "server",
    "subnet",
)
MODULES = tuple(f"pxe.dhcp.{name}" for name in _NAMES)
"""Compiled as one group, so that they call each other directly."""

_PACKAGE = Path(__file__).parent
_CACHE = Path.home() / ".cache/innervate/compiled"
_BUILD_SECONDS = 600
_COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]


class Finder(MetaPathFinder):
    """Asked before the search of `sys.path`."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = self._files.get(fullname)
        return None if file is None else spec_from_file_location(fullname, file)


def missing() -> str:
    """What is missing for building; empty when nothing is."""
    header = Path(sysconfig.get_path("include")) / "Python.h"
    there = {"mypyc": find_spec("mypyc") is not None, _COMPILER: which(_COMPILER), str(header): header.exists()}
    return ", ".join(name for name, found in there.items() if not found)


def use() -> None:
    """From now on the modules are imported compiled; to be called before any is. ServiceError when that cannot be."""
    early = [name for name in MODULES if name in sys.modules]
    if early:
        raise ServiceError("imported before the compiled modules are in place", evidence=", ".join(early))
    sys.meta_path.insert(0, Finder(_extensions(_built())))


def _built() -> Path:
    target = _CACHE / _digest()
    if not target.exists():
        lacking = missing()
        if lacking:
            raise ServiceError(
                "DHCP cannot be compiled", evidence=f"missing: {lacking}", next_action="install what is missing"
            )
        _build(target)
    return target


def _build(target: Path) -> None:
    """Whole or not at all: it is renamed into place, and whoever was there first wins."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_CACHE) as name:
        folder = Path(name)
        copytree(_PACKAGE, folder / "pxe", ignore=ignore_patterns("__pycache__"))
        sources = [f"{module.replace('.', '/')}.py" for module in MODULES]
        result = subprocess.run(
            (sys.executable, "-m", "mypyc", *sources),
            cwd=folder,
            env={**os.environ, "MYPYC_OPT_LEVEL": "3", "PYTHONPATH": ""},
            capture_output=True,
            timeout=_BUILD_SECONDS,
            check=False,
        )
        if result.returncode:
            said = (result.stdout + result.stderr)[-1000:].decode(errors="replace")
            raise ServiceError("mypyc failed", evidence=said, next_action="run without pxe.compiled")
        for left in ("build", ".mypy_cache"):
            rmtree(folder / left, ignore_errors=True)
        made = folder / "made"
        made.mkdir()
        for file in _extensions(folder).values():
            relative = file.relative_to(folder)
            (made / relative).parent.mkdir(parents=True, exist_ok=True)
            file.rename(made / relative)
        if not target.exists():
            made.rename(target)


def _extensions(folder: Path) -> dict[str, Path]:
    """By the name under which each is imported; one is the code that they share."""
    return {
        ".".join((*path.relative_to(folder).parts[:-1], path.name.partition(".")[0])): path
        for path in folder.rglob("*.so")
    }


def _digest() -> str:
    """Of all that the machine code follows from; types come from modules that are not compiled, too."""
    digest = hashlib.sha256(f"{sys.version} {sysconfig.get_platform()} {MODULES}".encode())
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:32]


def main(arguments: Sequence[str]) -> int:
    if len(arguments) < 2 or arguments[0] != "-m":
        sys.stderr.write("usage: python -m pxe.compiled -m MODULE [ARGUMENT ...]\n")
        return 2
    try:
        use()
    except ServiceError as error:
        sys.stderr.write(f"innervate: {error} ({error.evidence}); DHCP runs from its sources\n")
    sys.argv = list(arguments[1:])
    runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
