"""The record log on a real file: what was acknowledged is there, in order, for whoever opens it next."""

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from appliance.errors import MachineryError
from appliance.model.codec import to_json
from appliance.model.ids import MachineName
from appliance.store.log import Log
from appliance.store.records import Body, Entry, HoldReleased, Noted, machine_of
from appliance.system import SystemClock
from tests.unit.appliance.store.samples import NODE, SAMPLES

DEADLINE = 20.0
OTHER = MachineName("node-1")
POISON = Noted(machine=NODE, kind="k", text="a lone surrogate: \ud800")


def note(text: str, machine: MachineName = NODE) -> Noted:
    return Noted(machine=machine, kind="k", text=text)


def texts(entries: tuple[Entry, ...]) -> list[str]:
    return [entry.record.text for entry in entries if isinstance(entry.record, Noted)]


def read(log: Log, after: int = 0, machine: MachineName | None = None, limit: int = 100) -> tuple[Entry, ...]:
    return log.read(after=after, machine=machine, limit=limit).result(DEADLINE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "records.db"


@contextmanager
def opened(path: Path) -> Iterator[Log]:
    log = Log(path, SystemClock())
    log.open()
    try:
        yield log
    finally:
        log.close()


def test_every_kind_is_there_after_reopening(path: Path) -> None:
    with opened(path) as log:
        appended = log.append(*SAMPLES).result(DEADLINE)
        assert [entry.seq for entry in appended] == list(range(1, len(SAMPLES) + 1))
    log = Log(path, SystemClock())
    assert log.open() == appended
    more = log.append(HoldReleased(machine=NODE)).result(DEADLINE)
    log.close()
    assert more[0].seq == len(SAMPLES) + 1
    assert tuple(entry.record for entry in appended) == SAMPLES


@pytest.mark.parametrize(
    ("after", "machine", "limit", "expected"),
    [
        (0, None, 100, ["a", "b", "c", "d"]),
        (0, None, 3, ["a", "b", "c"]),
        (2, None, 100, ["c", "d"]),
        (0, OTHER, 100, ["b", "d"]),
        (2, OTHER, 100, ["d"]),
        (0, OTHER, 1, ["b"]),
        (4, None, 100, []),
        (0, MachineName("nobody"), 100, []),
    ],
)
def test_reading(after: int, machine: MachineName | None, limit: int, expected: list[str], path: Path) -> None:
    with opened(path) as log:
        log.append(note("a"), note("b", OTHER)).result(DEADLINE)
        log.append(note("c")).result(DEADLINE)
        log.append(note("d", OTHER)).result(DEADLINE)
        assert texts(read(log, after, machine, limit)) == expected


def test_reading_some_kinds(path: Path) -> None:
    with opened(path) as log:
        log.append(note("1"), HoldReleased(machine=NODE), note("2", OTHER), note("3"), HoldReleased(machine=OTHER))
        noted, released = frozenset({"noted"}), frozenset({"hold-released"})
        everywhere = log.read(after=1, machine=None, limit=1, kinds=noted).result(DEADLINE)
        assert texts(everywhere) == ["2"]
        assert texts(log.read(after=0, machine=NODE, limit=2, kinds=noted).result(DEADLINE)) == ["1", "3"]
        assert texts(log.read(after=0, machine=NODE, limit=1, kinds=noted).result(DEADLINE)) == ["1"]
        both = log.read(after=0, machine=None, limit=9, kinds=noted | released).result(DEADLINE)
        assert len(both) == 5
        assert [e.seq for e in log.read(after=0, machine=OTHER, limit=9, kinds=released).result(DEADLINE)] == [5]


@pytest.mark.parametrize(
    ("before", "machine", "limit", "kinds", "expected"),
    [
        (None, None, 2, None, ["d", "c"]),
        (4, None, 100, None, ["c", "b", "a"]),
        (1 << 70, None, 1, None, ["d"]),
        (1, None, 100, None, []),
        (None, OTHER, 1, None, ["d"]),
        (4, OTHER, 100, None, ["b"]),
        (None, OTHER, 1, "noted", ["d"]),
        (None, None, 1, "noted", ["d"]),
        (4, None, 100, "hold-released", []),
        (None, MachineName("nobody"), 100, None, []),
    ],
)
def test_the_latest_come_first(
    before: int | None, machine: MachineName | None, limit: int, kinds: str | None, expected: list[str], path: Path
) -> None:
    with opened(path) as log:
        log.append(note("a"), note("b", OTHER), note("c"), note("d", OTHER))
        log.append(*(HoldReleased(machine=OTHER) for _ in range(3 if kinds else 0))).result(DEADLINE)
        wanted = None if kinds is None else frozenset({kinds})
        assert texts(log.latest(before=before, machine=machine, limit=limit, kinds=wanted).result(DEADLINE)) == expected


def test_the_latest_of_a_kind_are_looked_for_as_far_as_there_are_any(path: Path) -> None:
    """Behind more entries of the machine than one statement reads."""
    with opened(path) as log:
        log.append(note("1"), note("2"), *(HoldReleased(machine=NODE) for _ in range(1200))).result(DEADLINE)
        noted = frozenset({"noted"})
        assert texts(log.latest(before=None, machine=NODE, limit=9, kinds=noted).result(DEADLINE)) == ["2", "1"]
        assert texts(log.latest(before=2, machine=NODE, limit=9, kinds=noted).result(DEADLINE)) == ["1"]


def test_a_read_sees_what_was_appended_before_it(path: Path) -> None:
    with opened(path) as log:
        futures = [log.append(note(str(i))) for i in range(50)]
        assert len(read(log)) == 50
        assert all(future.done() for future in futures)


def test_nothing_to_append(path: Path) -> None:
    with opened(path) as log:
        assert log.append().result(DEADLINE) == ()
        assert log.append(note("a")).result(DEADLINE)[0].seq == 1


def test_many_writers_get_one_order_and_subscribers_see_it(path: Path) -> None:
    seen: list[Entry] = []
    durable: list[bool] = []
    log = Log(path, SystemClock())

    def look(entries: tuple[Entry, ...]) -> None:
        with closing(sqlite3.connect(path)) as other:
            (last,) = other.execute("SELECT max(seq) FROM records").fetchone()
        durable.append(last >= entries[-1].seq)
        seen.extend(entries)

    log.subscribe(look)
    log.open()
    futures: list[Future[tuple[Entry, ...]]] = []

    def write(writer: int) -> None:
        futures.extend(log.append(note(f"{writer}.{i}"), note(f"{writer}.{i}+")) for i in range(40))

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join(DEADLINE)
    assert not wait(futures, DEADLINE).not_done
    log.close()
    assert [entry.seq for entry in seen] == list(range(1, 321))
    assert all(durable)
    assert len(durable) < 160, "appends that wait share a commit"
    for future in futures:
        first, second = future.result()
        assert (second.seq, second.time) == (first.seq + 1, first.time)
        assert texts((second,)) == [f"{texts((first,))[0]}+"]
    for writer in range(4):
        mine = [t for t in texts(tuple(seen)) if t.startswith(f"{writer}.") and not t.endswith("+")]
        assert mine == [f"{writer}.{number}" for number in range(40)]


def test_an_old_empty_file_is_migrated(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    with opened(path) as log:
        log.append(note("a")).result(DEADLINE)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT version_num FROM alembic_version").fetchone() == ("0002",)


def test_a_file_of_the_first_release_loses_its_index_and_nothing_else(path: Path) -> None:
    with opened(path) as log:
        log.append(note("a"), note("b", OTHER)).result(DEADLINE)
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE INDEX records_by_machine ON records (machine, seq)")
        other.execute("UPDATE alembic_version SET version_num = '0001'")
        other.commit()
    with opened(path) as log:
        assert texts(read(log)) == ["a", "b"]
        assert texts(read(log, machine=OTHER)) == ["b"]
    with closing(sqlite3.connect(path)) as other:
        assert (
            other.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'records'").fetchall()
            == []
        )


def test_a_body_is_the_json_of_its_record(path: Path) -> None:
    with opened(path) as log:
        log.append(*SAMPLES).result(DEADLINE)
    with closing(sqlite3.connect(path)) as other:
        rows = other.execute("SELECT kind, machine, body FROM records ORDER BY seq").fetchall()
    assert rows == [(r.record, machine_of(r), to_json(Body(record=r)).decode()) for r in SAMPLES]


def test_a_machine_has_many_entries_in_every_life(path: Path) -> None:
    with opened(path) as log:
        log.append(*(note(str(i), OTHER if i % 3 else NODE) for i in range(1800))).result(DEADLINE)
    mine = [str(i) for i in range(1800) if i % 3]
    with opened(path) as log:
        assert texts(read(log, machine=OTHER, limit=2000)) == mine
        log.append(note("new", OTHER)).result(DEADLINE)
        assert texts(read(log, after=3, machine=OTHER, limit=2000)) == [*mine[2:], "new"]


def test_a_large_append_is_written_whole_or_not_at_all(path: Path) -> None:
    with opened(path) as log:
        with closing(sqlite3.connect(path)) as other:
            other.execute(
                "CREATE TRIGGER late BEFORE INSERT ON records WHEN NEW.seq = 240 "
                "BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
            )
            other.commit()
        with pytest.raises(MachineryError, match="cannot write"):
            log.append(*(note(str(i)) for i in range(250))).result(DEADLINE)
        assert read(log) == ()
        assert len(log.append(*(note(str(i)) for i in range(230))).result(DEADLINE)) == 230
        assert texts(read(log, after=200, limit=1000)) == [str(i) for i in range(200, 230)]


@pytest.mark.parametrize("content", [b"this is no database, but it is long enough to be looked at" * 20])
def test_a_damaged_file_is_refused(content: bytes, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(MachineryError, match="cannot be opened") as caught:
        Log(path, SystemClock()).open()
    assert caught.value.evidence
    assert caught.value.next_action
    assert caught.value.__cause__


def test_a_file_of_a_newer_appliance_is_refused(path: Path) -> None:
    with opened(path):
        pass
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")
        other.commit()
    with pytest.raises(MachineryError, match="cannot be opened"):
        Log(path, SystemClock()).open()


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineryError, match="cannot be opened"):
        Log(tmp_path / "file" / "records.db", SystemClock()).open()


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """As when the disk is full: every insert fails."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TRIGGER full BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
        other.commit()
        yield
        other.execute("DROP TRIGGER full")
        other.commit()


def test_when_nothing_can_be_written_everybody_is_told_and_the_next_append_works(path: Path) -> None:
    seen: list[Entry] = []
    log = Log(path, SystemClock())
    log.subscribe(seen.extend)
    log.open()
    log.append(note("before")).result(DEADLINE)
    with refusing(path):
        futures = [log.append(note(str(i))) for i in range(20)]
        for future in futures:
            with pytest.raises(MachineryError, match="cannot write") as caught:
                future.result(DEADLINE)
            assert "disk is full" in caught.value.evidence
    assert log.append(note("after")).result(DEADLINE)[0].seq == 2
    assert texts(read(log)) == texts(tuple(seen)) == ["before", "after"]
    log.close()


def test_a_record_that_cannot_be_written_does_not_end_the_log(path: Path) -> None:
    with opened(path) as log:
        with pytest.raises(MachineryError):
            log.append(POISON).result(DEADLINE)
        assert log.append(note("after")).result(DEADLINE)[0].seq == 1


def test_a_row_that_cannot_be_read_does_not_end_the_log(path: Path) -> None:
    with opened(path) as log:
        log.append(note("a")).result(DEADLINE)
        with closing(sqlite3.connect(path)) as other:
            other.execute("UPDATE records SET body = 'garbage' WHERE seq = 1")
            other.commit()
        with pytest.raises(MachineryError, match="cannot be read"):
            read(log)
        log.append(note("b")).result(DEADLINE)
        assert texts(read(log, after=1)) == ["b"]


def test_whoever_gives_up_waiting_does_not_end_the_log(path: Path) -> None:
    log = Log(path, SystemClock())
    held, go = threading.Event(), threading.Event()

    def hold(entries: tuple[Entry, ...]) -> None:
        held.set()
        assert go.wait(DEADLINE)

    log.subscribe(hold)
    log.open()
    taken = log.append(note("taken"))
    assert held.wait(DEADLINE)
    assert not taken.cancel(), "it is on the disk already"
    early, unread = log.append(note("never")), log.read(after=0, machine=None, limit=1)
    assert early.cancel()
    assert unread.cancel()
    kept = log.append(note("kept"))
    go.set()
    assert texts(kept.result(DEADLINE)) == ["kept"]
    assert texts(read(log)) == ["taken", "kept"]
    log.close()


def test_close_waits_for_what_was_appended(path: Path) -> None:
    with opened(path) as log:
        futures = [log.append(note(str(i))) for i in range(200)]
    assert all(future.done() for future in futures)
