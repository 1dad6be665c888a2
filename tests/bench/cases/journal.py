"""Durable steps per second of the conductor's journal, beside DBOS on SQLite: one run, and 100 at once.

A step does nothing, and counts when its result is on the disk. Ours writes two records for each, the intent before and
the result after, and flushes once: a result and the next intent are one commit. DBOS writes one, after. Both have
synchronous=FULL and the same disk, and after the run every step that counted is looked for in the database.

`innervate log` is the record log alone, with the same records: what is missing to `innervate` is the conductor's own.
"""

import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

from tests.bench import peers
from tests.bench.case import Batch, Bench, Contender, Goal, Size
from tests.bench.errors import BenchError
from tests.bench.journal_load import DBOS_FILE, OURS_FILE, RATE, TOTAL
from tests.bench.process import Launch

_DBOS = "dbos"
_CONDUCTOR, _LOG = "innervate", "innervate log"
_PLAIN, _PLAIN_ASYNC, _TUNED, _TUNED_ASYNC = "dbos", "dbos async", "dbos, WAL", "dbos async, WAL"
_RUNS = (1, 100)


def journal(size: Size) -> Bench:
    seconds = 4.0 if size is Size.FULL else 2.0
    return Bench(
        name="journal",
        size=size,
        packages=(),
        environments=(_DBOS,),
        cases=tuple(_case(runs, seconds) for runs in _RUNS),
        goals=(*_goals(1, 3.0, _TUNED), *_goals(100, 50.0, _TUNED_ASYNC)),
    )


def _case(runs: int, seconds: float) -> Batch:
    contenders = (
        *(Contender(name=name, ours=True, launch=partial(_ours, way, runs, seconds)) for name, way in _OURS),
        *(Contender(name=name, ours=False, launch=partial(_peer, *way, runs, seconds)) for name, way in _PEERS),
    )
    return Batch(name=_name(runs), contenders=contenders, seconds=seconds, check=_check)


_OURS = ((_CONDUCTOR, "conductor"), (_LOG, "log"))
_PEERS = (
    (_PLAIN, ("sync", "default")),
    (_PLAIN_ASYNC, ("async", "default")),
    (_TUNED, ("sync", "wal")),
    (_TUNED_ASYNC, ("async", "wal")),
)


def _name(runs: int) -> str:
    return f"{runs} at once"


def _goals(runs: int, bound: float, best: str) -> tuple[Goal, ...]:
    """As it comes, and with the fastest settings that were found for that many runs."""
    return tuple(
        Goal(
            id=f"journal.{runs}{suffix}",
            case=_name(runs),
            metric=RATE,
            ours=_CONDUCTOR,
            peer=peer,
            comparison=">=",
            bound=bound,
        )
        for suffix, peer in (("", _PLAIN), (".tuned", best))
    )


def _ours(way: str, runs: int, seconds: float, folder: Path) -> Launch:
    return Launch(argv=(sys.executable, "-m", "tests.bench.journal_ours", way, str(runs), str(seconds), str(folder)))


def _peer(style: str, settings: str, runs: int, seconds: float, folder: Path) -> Launch:
    program = (peers.python_of(_DBOS), "-m", "tests.bench.journal_dbos")
    return Launch(argv=(*program, style, settings, str(runs), str(seconds), str(folder)))


def _check(contender: Contender, folder: Path, metrics: Mapping[str, float]) -> None:
    """Every step that counted is in the database. The process has died, so nothing more is written."""
    if metrics[RATE] <= 0:
        raise BenchError(f"no work was done: {dict(metrics)}")
    if contender.ours:
        file, question = OURS_FILE, "SELECT count(*) FROM records WHERE kind = 'step-result'"
    else:
        file, question = DBOS_FILE, "SELECT count(*) FROM operation_outputs"
    with closing(sqlite3.connect(folder / file)) as database:
        (found,) = database.execute(question).fetchone()
    if found < metrics[TOTAL]:
        raise BenchError(f"{contender.name} says {metrics[TOTAL]:.0f} steps, the database has {found}")
