"""DBOS on SQLite: `python -m tests.bench.journal_dbos sync|async default|wal RUNS SECONDS FOLDER`, with DBOS's Python.

RUNS workflows at any time, each of STEPS steps that do nothing; figures as JSON, then the process is dropped in the
middle of its work. `default` is what its documentation shows. With `wal` the database file was put into WAL mode
beforehand, where a commit costs one flush rather than several, and the synchronous threads share one connection, which
spares them SQLite's waits for a lock: the fastest settings that still flush before a step counts.
"""

import asyncio
import json
import os
import sqlite3
import sys
import threading
import time
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

from dbos import DBOS, DBOSConfig

from tests.bench.journal_load import DBOS_FILE, STEPS, WARM_UP_SECONDS, Mark, figures

_done = 0
_lock = threading.Lock()


def _count() -> None:
    global _done
    with _lock:
        _done += 1


@DBOS.step()
def _step(number: int) -> str:
    return str(number)


@DBOS.step()
async def _step_async(number: int) -> str:
    return str(number)


@DBOS.workflow()
def _workflow() -> None:
    for number in range(STEPS):
        _step(number)
        _count()


@DBOS.workflow()
async def _workflow_async() -> None:
    for number in range(STEPS):
        await _step_async(number)
        _count()


def _launch(folder: Path, runs: int, *, wal: bool, one_connection: bool) -> None:
    file = folder / DBOS_FILE
    if wal:
        with sqlite3.connect(file) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
    config = DBOSConfig(
        name="bench",
        system_database_url=f"sqlite:///{file}",
        executor_id="bench",
        application_version="1",
        log_level="ERROR",
        max_executor_threads=runs + 8,
    )
    if one_connection:
        config["db_engine_kwargs"] = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 60}
    DBOS(config=config)
    DBOS.launch()


def _mark() -> Mark:
    used = getrusage(RUSAGE_SELF)
    return Mark(wall=time.monotonic(), cpu=used.ru_utime + used.ru_stime, steps=_done)


def _drive(runs: int, seconds: float) -> tuple[Mark, Mark]:
    def slot() -> None:
        while True:
            _workflow()

    for _ in range(runs):
        threading.Thread(target=slot, daemon=True).start()
    time.sleep(WARM_UP_SECONDS)
    before = _mark()
    time.sleep(seconds)
    return before, _mark()


async def _drive_async(runs: int, seconds: float) -> None:
    async def slot() -> None:
        while True:
            await _workflow_async()

    slots = [asyncio.create_task(slot()) for _ in range(runs)]
    await asyncio.sleep(WARM_UP_SECONDS)
    before = _mark()
    await asyncio.sleep(seconds)
    _leave(before, _mark())
    await asyncio.gather(*slots)


def _leave(before: Mark, after: Mark) -> None:
    sys.stdout.write(json.dumps(figures(before, after)))
    sys.stdout.flush()
    os._exit(0)


def _main() -> None:
    style, settings, runs, seconds, folder = sys.argv[1:]
    is_async, tuned = style == "async", settings == "wal"
    _launch(Path(folder), int(runs), wal=tuned, one_connection=tuned and not is_async)
    if is_async:
        asyncio.run(_drive_async(int(runs), float(seconds)))
    _leave(*_drive(int(runs), float(seconds)))


if __name__ == "__main__":
    _main()
