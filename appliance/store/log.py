"""The record log on SQLite: append, wait for the disk, read back.

Rules
* One thread owns the only connection: it writes, reads and checkpoints. (SQLite before 3.51.3 can corrupt a WAL
  when two connections write and checkpoint at once; Debian 12 ships 3.40.)
* `append` returns when its records are on disk (synchronous=FULL). Everything that waits shares one commit.
* Subscribers see every entry once, in order, after it is durable.
* Which entries a machine has is kept in memory. An index on disk would make a commit write a page for each machine in
  it; measured with 100 machines, that is three quarters of a commit's cost.
"""

import logging
import sqlite3
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import assert_never

from sqlalchemy import Connection, Row, create_engine, event, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from appliance.errors import MachineryError
from appliance.files import sync
from appliance.model.codec import from_json, to_json
from appliance.model.ids import MachineName
from appliance.ports import Clock
from appliance.store.records import Body, Entry, Record, machine_of
from appliance.store.schema import records

_LOGGER = logging.getLogger(__name__)
REVISION = "0002"
"""Of the tables: what `migrations` ends with."""
_GROUP = 1000
_INSERT_ROWS = 100
_SELECT_ROWS = 500
_COLUMNS = ", ".join(column.name for column in records.columns)

_Values = tuple[int, float, str, MachineName | None, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Append:
    records: Sequence[Record]
    done: Future[tuple[Entry, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    after: int
    machine: MachineName | None
    limit: int
    kinds: frozenset[str] | None
    done: Future[tuple[Entry, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Latest:
    before: int
    machine: MachineName | None
    limit: int
    kinds: frozenset[str] | None
    done: Future[tuple[Entry, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    file: Path
    done: Future[int]


_Job = _Append | _Read | _Latest | _Copy
_END = (1 << 63) - 1
"""The greatest `seq` that SQLite holds."""


class Log:
    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._subscribers: list[Callable[[tuple[Entry, ...]], None]] = []
        self._opened: Future[tuple[Entry, ...]] = Future()
        self._thread = Thread(target=self._serve, name="record-log", daemon=True)
        self._committed: Callable[[float], None] = lambda _seconds: None
        self._next = 1
        self._machines: dict[MachineName, array[int]] = {}

    def open(self) -> tuple[Entry, ...]:
        """Starts the log and returns all that it holds. Raises `MachineryError` if the file cannot be used."""
        self._thread.start()
        return self._opened.result()

    def subscribe(self, subscriber: Callable[[tuple[Entry, ...]], None]) -> None:
        """Called from the log's own thread, so it must only hand on. Subscribe before the first append."""
        self._subscribers.append(subscriber)

    def time_commits(self, told: Callable[[float], None]) -> None:
        """`told` is called from the log's own thread with the seconds that each group of records took."""
        self._committed = told

    def append(self, *new: Record) -> Future[tuple[Entry, ...]]:
        """Cancelling it before its turn has come is as if it had never been asked; after that it changes nothing."""
        done: Future[tuple[Entry, ...]] = Future()
        self._jobs.put(_Append(records=new, done=done))
        return done

    def read(
        self, *, after: int, machine: MachineName | None, limit: int, kinds: frozenset[str] | None = None
    ) -> Future[tuple[Entry, ...]]:
        done: Future[tuple[Entry, ...]] = Future()
        self._jobs.put(_Read(after=after, machine=machine, limit=limit, kinds=kinds, done=done))
        return done

    def latest(
        self, *, before: int | None, machine: MachineName | None, limit: int, kinds: frozenset[str] | None = None
    ) -> Future[tuple[Entry, ...]]:
        done: Future[tuple[Entry, ...]] = Future()
        end = _END if before is None else min(before, _END)
        self._jobs.put(_Latest(before=end, machine=machine, limit=limit, kinds=kinds, done=done))
        return done

    def copy(self, file: Path) -> "Future[int]":
        """All that is on the disk, as a record log of its own; ends with the number of the last entry. It is SQLite's
        online backup, by the connection that writes: no second one is ever there. Appends wait for as long as it takes.
        """
        done: Future[int] = Future()
        self._jobs.put(_Copy(file=file, done=done))
        return done

    def close(self) -> None:
        """Waits until all that was appended is on disk."""
        self._jobs.put(None)
        self._thread.join()

    def _serve(self) -> None:
        try:
            connection = _connect(self._path)
            _migrate(connection)
            entries = _select(connection, after=0, limit=None)
        except Exception as error:
            failure = MachineryError(
                f"the record log {self._path} cannot be opened",
                evidence=_said(error),
                next_action="check the disk and its permissions; restore the file from a backup if it is damaged",
            )
            failure.__cause__ = error
            self._opened.set_exception(failure)
            return
        self._next = entries[-1].seq + 1 if entries else 1
        self._index(entries)
        self._opened.set_result(entries)
        with connection:
            while self._serve_group(connection):
                pass
        connection.engine.dispose()

    def _serve_group(self, connection: Connection) -> bool:
        jobs = self._take()
        # Whoever waits may be cancelled at any moment; from here on its future cannot be.
        wanted = [job for job in jobs if job is not None and job.done.set_running_or_notify_cancel()]
        appends = [job for job in wanted if isinstance(job, _Append)]
        if appends:
            self._commit(connection, appends)
        for job in wanted:
            match job:
                case _Append():
                    pass
                case _Copy():
                    self._duplicate(connection, job)
                case _Read() | _Latest():
                    self._answer(connection, job)
                case _:
                    assert_never(job)
        return None not in jobs

    def _take(self) -> list[_Job | None]:
        jobs = [self._jobs.get()]
        while len(jobs) < _GROUP and jobs[-1] is not None:
            try:
                jobs.append(self._jobs.get_nowait())
            except Empty:
                break
        return jobs

    def _commit(self, connection: Connection, appends: Sequence[_Append]) -> None:
        now = self._clock.now()
        new = chain.from_iterable(job.records for job in appends)
        entries = tuple(Entry(seq=seq, time=now, record=record) for seq, record in enumerate(new, self._next))
        began = self._clock.monotonic()
        try:
            _write(connection, entries)
        except Exception as error:
            _fail(appends, error)
            return
        self._committed(self._clock.monotonic() - began)
        self._next += len(entries)
        self._index(entries)
        for subscriber in self._subscribers:
            subscriber(entries)
        written = iter(entries)
        for job in appends:
            job.done.set_result(tuple(islice(written, len(job.records))))

    def _index(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if (machine := machine_of(entry.record)) is not None:
                self._machines.setdefault(machine, array("q")).append(entry.seq)

    def _answer(self, connection: Connection, job: _Read | _Latest) -> None:
        try:
            entries = self._read(connection, job) if isinstance(job, _Read) else self._latest(connection, job)
        except Exception as error:
            failure = MachineryError(
                "the record log cannot be read",
                evidence=_said(error),
                next_action="check the disk; restore the file from a backup if it is damaged",
            )
            failure.__cause__ = error
            job.done.set_exception(failure)
            return
        job.done.set_result(entries)

    def _duplicate(self, connection: Connection, job: _Copy) -> None:
        try:
            _back_up(connection, job.file)
        except Exception as error:
            failure = MachineryError(
                "the record log cannot be copied",
                evidence=_said(error),
                next_action="free disk space in the state folder",
            )
            failure.__cause__ = error
            job.done.set_exception(failure)
            return
        job.done.set_result(self._next - 1)

    def _read(self, connection: Connection, job: _Read) -> tuple[Entry, ...]:
        if job.machine is None:
            return _select(connection, after=job.after, limit=job.limit, kinds=job.kinds)
        seqs = self._machines.get(job.machine, array("q"))
        first = bisect_right(seqs, job.after)
        if job.kinds is None:
            return _pick(connection, seqs[first : first + job.limit])
        return _pick(connection, seqs[first:], job.kinds)[: job.limit]

    def _latest(self, connection: Connection, job: _Latest) -> tuple[Entry, ...]:
        if job.machine is None:
            return _select_latest(connection, job)
        seqs, found = self._machines.get(job.machine, array("q")), list[Entry]()
        end, part = bisect_left(seqs, job.before), job.limit if job.kinds is None else _SELECT_ROWS
        while end > 0 and len(found) < job.limit:
            found.extend(reversed(_pick(connection, seqs[max(0, end - part) : end], job.kinds)))
            end -= part
        return tuple(found[: job.limit])


def _connect(path: Path) -> Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{path}", poolclass=StaticPool)
    event.listen(engine, "connect", _configure)
    return engine.connect()


def _configure(connection: object, _record: object) -> None:
    execute = getattr(connection, "execute")  # noqa: B009  DBAPI connection, untyped in SQLAlchemy's events
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        execute(f"PRAGMA {pragma}")


def _migrate(connection: Connection) -> None:
    if connection.dialect.has_table(connection, "alembic_version"):
        version = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        if version == REVISION:
            return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    # Python's driver would commit each statement of a migration by itself: a crash would leave half of one.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    command.upgrade(config, REVISION)
    connection.commit()


def _back_up(connection: Connection, file: Path) -> None:
    draft = file.with_name(f".{file.name}.new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    source = connection.connection.dbapi_connection
    backup = getattr(source, "backup")  # noqa: B009  DBAPI connection, untyped in SQLAlchemy
    with closing(sqlite3.connect(draft)) as target:
        backup(target)
    sync(draft)
    draft.replace(file)


def _write(connection: Connection, entries: Sequence[Entry]) -> None:
    """All of them or none. Many rows in one statement: SQLite lets go of the interpreter once, not for every row."""
    try:
        rows = [_values(entry) for entry in entries]
        for start in range(0, len(rows), _INSERT_ROWS):
            part = rows[start : start + _INSERT_ROWS]
            connection.exec_driver_sql(_insert(len(part)), tuple(chain.from_iterable(part)))
        connection.commit()
    except Exception:
        with suppress(SQLAlchemyError):
            connection.rollback()
        raise


@cache
def _insert(rows: int) -> str:
    """At most `_INSERT_ROWS` different texts, which are as many as `sqlite3` keeps compiled."""
    row = f"({', '.join('?' for _ in records.columns)})"
    return f"INSERT INTO records ({_COLUMNS}) VALUES {', '.join([row] * rows)}"  # noqa: S608  names of our own columns


def _values(entry: Entry) -> _Values:
    record = entry.record
    body = b'{"record":%b}' % to_json(record)
    return entry.seq, entry.time, record.record, machine_of(record), body.decode()


def _select(
    connection: Connection, *, after: int, limit: int | None, kinds: frozenset[str] | None = None
) -> tuple[Entry, ...]:
    query = select(records).where(records.c.seq > after).order_by(records.c.seq).limit(limit)
    query = query if kinds is None else query.where(records.c.kind.in_(kinds))
    rows = connection.execute(query).all()
    connection.rollback()
    return tuple(map(_entry, rows))


def _select_latest(connection: Connection, job: _Latest) -> tuple[Entry, ...]:
    query = select(records).where(records.c.seq < job.before).order_by(records.c.seq.desc()).limit(job.limit)
    rows = connection.execute(query if job.kinds is None else query.where(records.c.kind.in_(job.kinds))).all()
    connection.rollback()
    return tuple(map(_entry, rows))


def _pick(connection: Connection, seqs: Sequence[int], kinds: frozenset[str] | None = None) -> tuple[Entry, ...]:
    parts = [seqs[start : start + _SELECT_ROWS] for start in range(0, len(seqs), _SELECT_ROWS)]
    queries = [select(records).where(records.c.seq.in_(part)).order_by(records.c.seq) for part in parts]
    if kinds is not None:
        queries = [query.where(records.c.kind.in_(kinds)) for query in queries]
    rows = [row for query in queries for row in connection.execute(query)]
    connection.rollback()
    return tuple(map(_entry, rows))


def _entry(row: Row[tuple[int, float, str, str | None, str]]) -> Entry:
    return Entry(seq=row.seq, time=row.time, record=from_json(Body, row.body).record)


def _said(error: Exception) -> str:
    """In the words of the database itself: SQLAlchemy adds the statement, with what was to be written."""
    return str(error.orig if isinstance(error, DBAPIError) else error)[:300]


def unwritten(error: Exception) -> MachineryError:
    failure = MachineryError(
        "the appliance cannot write its record log, so it does nothing more",
        evidence=_said(error),
        next_action="free disk space or replace the disk; running steps resume by themselves afterwards",
    )
    failure.__cause__ = error
    return failure


def _fail(appends: Sequence[_Append], error: Exception) -> None:
    _LOGGER.error("records could not be written: %s", error)
    failure = unwritten(error)
    for job in appends:
        job.done.set_exception(failure)
