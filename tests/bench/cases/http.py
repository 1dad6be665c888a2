"""HTTP: downloads of a file in the page cache, beside nginx's sendfile; boot scripts, rendered for each request.

Each machine's script differs, and none is kept. Starlette renders the same template with Jinja2 in its ordinary way:
compiled once, then `render` with values that are ready, no sandbox. Ours also finds the machine and its intent, checks
the values, and reports an event; both must answer the same bytes. nginx cannot render: it hands out one script from a
file, for information only.
"""

from collections.abc import Callable
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.bench import ours, peers, traffic
from tests.bench.case import RSS, Bench, Case, Comparison, Contender, Goal, Load, Size
from tests.bench.errors import BenchError
from tests.bench.lab import FIRST_CLIENT, HTTP_PORT, SERVER, Lab
from tests.bench.tools import GENERATOR, generate

RATE, SCRIPTS = "mb_per_s", "scripts_per_s"
CPU, SCRIPT_CPU = "cpu_s_per_gib", "cpu_us_per_script"

_MEGABYTE = 1e6
_GIB = 1 << 30
_CHECKED_BYTES = 8 * traffic.MIB
_DOWNLOAD_SECONDS = 30.0
_KEPT_ALIVE = 64
_SCRIPTS = "scripts, 64 keep-alive"
_URL_SECONDS = 10

_OURS = Contender(name="innervate", ours=True, launch=ours.http)
_NGINX = Contender(name="nginx", ours=False, launch=peers.nginx)
_NGINX_STATIC = Contender(name="nginx (static file)", ours=False, launch=peers.nginx)
_STARLETTE = Contender(name="uvicorn + starlette", ours=False, launch=peers.starlette)


def http(size: Size) -> Bench:
    full = size is Size.FULL
    shapes = {1: (1, 1024), 20: (20, 100), 100: (100, 20)} if full else {1: (1, 64), 20: (5, 10), 100: (10, 5)}
    downloads = {number: _downloads(connections, mebibytes) for number, (connections, mebibytes) in shapes.items()}
    scripts = Case(
        name=_SCRIPTS,
        contenders=(_OURS, _STARLETTE, _NGINX_STATIC),
        drive=partial(_ask_scripts, seconds=3.0 if full else 0.5),
        cpu=SCRIPT_CPU,
        cpu_scale=1e6,
        check=_check_script,
    )
    return Bench(
        name="http",
        size=size,
        packages=("nginx",),
        files=(traffic.IMAGE,),
        cases=(*downloads.values(), scripts),
        goals=(
            *(goal for number, case in downloads.items() for goal in _download_goals(case, number)),
            _goal("http.scripts", _SCRIPTS, SCRIPTS, _STARLETTE.name, ">=", 3.0),
        ),
    )


def _download_goals(case: Case, number: int) -> tuple[Goal, ...]:
    name = f"http.download.{number}"
    return (
        _goal(name, case.name, RATE, _NGINX.name, ">=", 1.0),
        _goal(f"{name}.cpu", case.name, CPU, _NGINX.name, "<=", 1.5),
        _goal(f"{name}.rss", case.name, RSS, "", "<=", 40.0),
    )


def _goal(goal: str, case: str, metric: str, peer: str, comparison: Comparison, bound: float) -> Goal:
    return Goal(id=goal, case=case, metric=metric, ours=_OURS.name, peer=peer, comparison=comparison, bound=bound)


def _downloads(connections: int, mebibytes: int) -> Case:
    return Case(
        name=f"{connections} x {mebibytes} MiB",
        contenders=(_OURS, _NGINX),
        drive=_drive(connections, mebibytes * traffic.MIB),
        cpu=CPU,
        cpu_scale=1.0,
        check=_check_bytes,
    )


def _drive(connections: int, each: int) -> Callable[[Lab, Contender], Load]:
    def drive(lab: Lab, _: Contender) -> Load:
        seen = _download(lab, connections, each)
        return Load(
            metrics={
                RATE: seen["bytes"] / _MEGABYTE / seen["seconds"],
                "whole": seen["whole"],
                GENERATOR: seen[GENERATOR],
            },
            work=seen["bytes"] / _GIB,
        )

    return drive


def _download(lab: Lab, connections: int, each: int, compared: tuple[str, ...] = ()) -> dict[str, float]:
    what = (str(SERVER), HTTP_PORT, traffic.IMAGE_PATH, connections, each, str(FIRST_CLIENT), _DOWNLOAD_SECONDS)
    seen = generate(lab, "download", (*what, *compared), seconds=_DOWNLOAD_SECONDS)
    if seen["bad_heads"] or seen["mismatches"] or seen["whole"] != connections:
        raise BenchError(f"downloads that are wrong, cut short or slower than {_DOWNLOAD_SECONDS:.0f} s: {seen}")
    return seen


def _check_bytes(lab: Lab, _: Path) -> None:
    _download(lab, 2, _CHECKED_BYTES, (str(traffic.IMAGE),))


def _ask_scripts(lab: Lab, contender: Contender, *, seconds: float) -> Load:
    arguments = (str(SERVER), HTTP_PORT, _KEPT_ALIVE, traffic.MACHINES, str(FIRST_CLIENT), seconds)
    seen = generate(lab, "requests", arguments, seconds=seconds)
    if seen["bad"]:
        raise BenchError(f"answers that are no boot script: {seen}")
    metrics = {
        SCRIPTS: seen["done"] / seen["seconds"],
        "p50_s": seen["p50"],
        "p99_s": seen["p99"],
        GENERATOR: seen[GENERATOR],
    }
    return Load(metrics=metrics, work=seen["done"])


def _check_script(_: Lab, __: Path) -> None:
    """Machine 0's, which nginx has too."""
    connection = HTTPConnection(str(SERVER), HTTP_PORT, timeout=_URL_SECONDS)
    try:
        connection.request("GET", traffic.script_request(0))
        body = connection.getresponse().read()
    except (OSError, HTTPException) as cause:
        raise BenchError(f"no boot script: {cause}") from cause
    finally:
        connection.close()
    if body != ours.script_of(0).encode():
        raise BenchError(f"another script than expected: {body[:200]!r}")
