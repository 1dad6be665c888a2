"""The load generators: C sources beside this file, compiled once per change into the cache, run with bounded time."""

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from tests.bench.errors import BenchError
from tests.bench.lab import CACHE, Lab

GENERATOR = "generator_cpu"
"""The share of its CPU that the generator used: near 1 it may be the generator that was measured."""

_SOURCES = Path(__file__).parent
_PROGRAMS = ("dora", "tftp", "download", "requests")
_LIBRARY = "rcvbuf"
_GRACE_SECONDS = 20
_COMPILE_SECONDS = 120


def build_tools() -> None:
    for name in _PROGRAMS:
        _compile(name, ())
    _compile(_LIBRARY, ("-shared", "-fPIC"))


def large_buffers() -> Mapping[str, str]:
    """The environment of a server whose datagram sockets shall have 8 MiB receive buffers."""
    return {"LD_PRELOAD": str(_path(_LIBRARY))}


def generate(lab: Lab, name: str, arguments: Sequence[str | int | float], *, seconds: float) -> dict[str, float]:
    """Runs one generator, which stops by itself after `seconds`: its own figures, and GENERATOR."""
    out, share = run_client(lab, (str(_path(name)), *map(str, arguments)), seconds=seconds)
    try:
        figures = {str(key): float(value) for key, value in json.loads(out).items()}
        return {**figures, GENERATOR: share}
    except ValueError as cause:
        raise BenchError(f"{name} said nothing usable: {out[:200]!r}") from cause


def run_client(
    lab: Lab, argv: Sequence[str], *, seconds: float, environment: Mapping[str, str] | None = None
) -> tuple[str, float]:
    """What it said, and the share of its CPU that it used."""
    began, before = time.monotonic(), _children_seconds()
    try:
        done = subprocess.run(
            lab.on_client(argv),
            capture_output=True,
            text=True,
            timeout=seconds + _GRACE_SECONDS,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired as cause:
        raise BenchError(f"{Path(argv[0]).name} hangs") from cause
    if done.returncode:
        raise BenchError(f"{Path(argv[0]).name} failed ({done.returncode}): {done.stderr.strip()[:300]}")
    return done.stdout, (_children_seconds() - before) / (time.monotonic() - began)


def _children_seconds() -> float:
    """CPU time of the children that have ended: between two calls, of the generator alone."""
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _compile(name: str, flags: Sequence[str]) -> None:
    target = _path(name)
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    unready = target.with_suffix(".new")
    argv = ["gcc", "-O2", "-Wall", *flags, "-o", str(unready), str(_SOURCES / f"{name}.c")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False)
    if done.returncode:
        raise BenchError(f"gcc cannot compile {name}.c: {done.stderr[:400]}")
    unready.rename(target)


def _path(name: str) -> Path:
    return CACHE / "tools" / f"{name}-{sha256((_SOURCES / f'{name}.c').read_bytes()).hexdigest()[:12]}"
