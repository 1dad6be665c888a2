"""kill -9 of the conductor at every boundary of its journal: nothing acknowledged is lost, nothing destructive is done
twice, and every run ends well."""

import os
import random
import select
import shutil
import signal
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import alembic.command
import alembic.config  # noqa: F401  the parent imports what a life would
import pytest

from appliance.conductor.memory import RecordLog
from appliance.model.codec import from_json
from appliance.model.ids import ImageName, MachineName, RunId, StepId
from appliance.model.step import StepKind
from appliance.model.views import RunState
from appliance.plan import (
    Action,
    BootDisk,
    ConfirmShell,
    DiskRef,
    Enrol,
    ImageRef,
    Plan,
    Step,
    WriteImage,
    WriteSeed,
)
from appliance.store.log import Log
from appliance.store.records import Body, Entry, Record, RunEnded, RunStarted, StepIntent, StepResult
from appliance.system import SystemClock
from tests.contract.mortal import (
    ACKED,
    EFFECTS,
    RECORDS,
    TROUBLE,
    Boundary,
    Lines,
    LogOf,
    Stage,
    begin_life,
    boundaries,
    lines_of,
)

IMAGE = ImageRef(name=ImageName("debian-13"), manifest_sha256="a1" * 32, blob_sha256="b2" * 32, raw_bytes=2 << 30)
LIFE_SECONDS = 20.0
LATEST_KILL = 0.08


def installation(machine: str, *after: StepId) -> tuple[Step, ...]:
    """Read, destroy, set, set, read. `after` are steps of other machines that must be done before the disk is
    written."""
    disk = DiskRef(serial=f"S-{machine}", wwn="naa.5000", size_bytes=8 << 30, contents="empty")
    actions: Mapping[str, Action] = {
        "enrol": Enrol(),
        "write": WriteImage(image=IMAGE, disk=disk),
        "seed": WriteSeed(disk=disk, hostname=machine, domain="lab", authorized_keys=()),
        "boot": BootDisk(disk=disk, image=IMAGE),
        "confirm": ConfirmShell(user="root", checks=()),
    }
    steps: list[Step] = []
    for name, action in actions.items():
        step = Step(
            id=StepId(f"{machine}.{name}"),
            machine=MachineName(machine),
            score="install",
            summary=f"{name} {machine}",
            do=action,
            budget=60.0,
            needs=(*(step.id for step in steps[-1:]), *(after if name == "write" else ())),
        )
        steps.append(step)
    return tuple(steps)


PLANS = {
    RunId("run-a"): Plan(
        site="lab",
        steps=(*installation("node-0"), *installation("node-1"), *installation("node-2", StepId("node-0.confirm"))),
    ),
    RunId("run-b"): Plan(site="lab", steps=installation("node-3")),
}
STEPS = {(run, step.id): step for run, plan in PLANS.items() for step in plan.steps}


def real_log(path: Path) -> RecordLog:
    return Log(path, SystemClock())


# What a folder says


@dataclass
class Story:
    """The journal of one step, in order."""

    intents: list[tuple[int, StepIntent]] = field(default_factory=list)
    done: int | None = None


def records_of(folder: Path) -> list[Record]:
    """From a copy, so that the write-ahead log is left for the next life to recover."""
    copy = folder.with_name(f"{folder.name}-copy")
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in (RECORDS, f"{RECORDS}-wal"):
        if (folder / name).exists():
            shutil.copy(folder / name, copy / name)
    with closing(sqlite3.connect(copy / RECORDS)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'records'").fetchall():
            return []
        rows = database.execute("SELECT seq, body FROM records ORDER BY seq").fetchall()
    assert [seq for seq, _ in rows] == list(range(1, len(rows) + 1))
    return [from_json(Body, body).record for _, body in rows]


def check(folder: Path) -> Sequence[Record]:
    """All that its log holds."""
    records = records_of(folder)
    _check_acknowledged(folder, records)
    stories = _stories(records)
    _check_order(stories)
    _check_effects(folder, stories)
    return records


def _check_acknowledged(folder: Path, records: Sequence[Record]) -> None:
    for seq, kind, *key in lines_of(folder / ACKED):
        assert isinstance(seq, int)
        assert seq <= len(records), f"{kind} {key} was acknowledged and is lost"
        record = records[seq - 1]
        assert record.record == kind, f"{kind} {key} was acknowledged, {record} is there"
        if isinstance(record, StepIntent | StepResult):
            assert [record.run, record.step, record.fence] == key, "another record was acknowledged"


def _stories(records: Sequence[Record]) -> Mapping[tuple[str, str], Story]:
    """Fences rise by one; who begins again says whose end nobody saw; what is done is never begun again."""
    stories: dict[tuple[str, str], Story] = defaultdict(Story)
    for seq, record in enumerate(records, 1):
        if isinstance(record, StepIntent):
            story = stories[record.run, record.step]
            before = story.intents[-1][1] if story.intents else None
            assert story.done is None, f"{record.step} is done and was begun again"
            assert record.fence == (before.fence + 1 if before else 1)
            assert record.resumes == (before.fence if before else None)
            assert before is None or record.nonce == before.nonce, "the boot that is waited for is the same"
            story.intents.append((seq, record))
        elif isinstance(record, StepResult):
            story = stories[record.run, record.step]
            assert record.problem is None, record
            assert story.done is None, f"{record.step} was done twice"
            assert record.fence == story.intents[-1][1].fence
            story.done = seq
    return stories


def _check_order(stories: Mapping[tuple[str, str], Story]) -> None:
    for (run, step), story in stories.items():
        needs = [stories[run, need].done for need in STEPS[RunId(run), StepId(step)].needs if (run, need) in stories]
        assert len(needs) == len(STEPS[RunId(run), StepId(step)].needs)
        first = story.intents[0][0]
        assert all(done is not None and done < first for done in needs), f"{step} was begun before its needs were done"


def _check_effects(folder: Path, stories: Mapping[tuple[str, str], Story]) -> None:
    """No machine was told anything without a durable intent of that fence; no disk was begun twice."""
    begun: set[tuple[str, str]] = set()
    for what, run, step, fence in lines_of(folder / EFFECTS):
        assert isinstance(run, str)
        assert isinstance(step, str)
        fences = [intent.fence for _, intent in stories[run, step].intents] if (run, step) in stories else []
        assert fence in fences, f"{step} {what} with fence {fence}, which no durable intent has"
        if what == "begin" and STEPS[RunId(run), StepId(step)].kind is StepKind.DESTRUCTIVE:
            assert (run, step) not in begun, f"{step} was begun twice"
            begun.add((run, step))


def check_ended(folder: Path) -> None:
    records = check(folder)
    ends = [(record.run, record.state) for record in records if isinstance(record, RunEnded)]
    assert sorted(ends) == [(run, RunState.DONE) for run in PLANS]
    stories = _stories(records)
    assert stories.keys() == {(run, step) for run, step in STEPS}
    assert all(story.done is not None for story in stories.values())
    told = {(run, step) for what, run, step, _ in lines_of(folder / EFFECTS) if what == "begin"}
    assert told == stories.keys()


# Lives and kills


@dataclass
class Lives:
    """One folder after the other; in each, life after life until its runs have ended. `seen` is what its log held
    when it was last looked at."""

    root: Path
    log_of: LogOf = real_log
    kills: int = 0
    lives: int = 0
    folders: int = 1
    seen: Sequence[Record] = ()

    @property
    def folder(self) -> Path:
        return self.root / str(self.folders)

    def kill_while_opening(self) -> None:
        """Before each statement that makes a new log: the next life makes it whole."""
        statement = 1
        while self._live(Boundary(stage=Stage.OPENING, statement=statement)):
            self.finish()
            statement += 1
        self._fresh()
        assert statement > 5, "a new log takes more statements than that"

    def kill_at_each(self, boundaries: Sequence[Boundary]) -> None:
        """In the order given, as far as a boundary is still before the folder at hand; the others in later ones."""
        left = list(boundaries)
        while left:
            untouched = not self.seen
            at = next((boundary for boundary in left if self.is_ahead(boundary)), None)
            if at is not None and self._live(at):
                left.remove(at)
            else:
                assert at is None or not untouched, f"{at} is never reached"
                self.finish()

    def kill_after(self, seconds: float) -> None:
        """From outside, at whatever moment that is."""
        if not self._live(None, seconds):
            self._fresh()

    def finish(self) -> None:
        assert not self._live(None)
        self._fresh()

    def is_ahead(self, at: Boundary) -> bool:
        """Intents come again as long as a step is not done."""
        ends = [record for record in self.seen if isinstance(record, StepResult | RunStarted | RunEnded)]
        if at.step:
            return not any(isinstance(end, StepResult) and (end.run, end.step) == (at.run, at.step) for end in ends)
        return not any((end.record, end.run) == (at.record, at.run) for end in ends)

    def _fresh(self) -> None:
        check_ended(self.folder)
        shutil.rmtree(self.folder)
        self.folders += 1
        self.seen = ()

    def _live(self, at: Boundary | None, seconds: float | None = None) -> bool:
        """Whether it was killed: then what it left behind is looked at."""
        self.lives += 1
        self.folder.mkdir(exist_ok=True)
        pid = begin_life(self.folder, PLANS, at, self.log_of)
        watch = os.pidfd_open(pid)
        try:
            ended = bool(select.select([watch], [], [], LIFE_SECONDS if seconds is None else seconds)[0])
            if not ended:
                os.kill(pid, signal.SIGKILL)
        finally:
            os.close(watch)
            _, status = os.waitpid(pid, 0)
        assert ended or seconds is not None, "a life without an end"
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        trouble = self.folder / TROUBLE
        assert killed or status == 0, trouble.read_text() if trouble.exists() else f"status {status}"
        if killed:
            self.kills += 1
            self.seen = check(self.folder)
        return killed


@pytest.mark.parametrize("wanted", [180, pytest.param(1000, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_nothing_acknowledged_is_lost_and_nothing_is_repeated(wanted: int, tmp_path: Path) -> None:
    rng = random.Random(wanted)
    every = tuple(boundaries(PLANS))
    lives = Lives(root=tmp_path)
    lives.kill_while_opening()
    lives.kill_at_each(every)
    assert lives.kills > len(every)
    while lives.kills < wanted:
        ahead = [boundary for boundary in every if lives.is_ahead(boundary)]
        if rng.random() < 0.5 or not ahead:
            lives.kill_after(rng.random() * LATEST_KILL)
        else:
            lives.kill_at_each([rng.choice(ahead)])
    lives.finish()
    assert lives.kills >= wanted


# It can fail


class HastyLog:
    """Says that a record is durable, and writes it with the next one."""

    def __init__(self, path: Path) -> None:
        self._inner = Log(path, SystemClock())
        self._subscribers: list[Callable[[tuple[Entry, ...]], None]] = []
        self._last = 0
        self._held: tuple[Record, ...] = ()

    def open(self) -> tuple[Entry, ...]:
        entries = self._inner.open()
        self._last = len(entries)
        return entries

    def subscribe(self, subscriber: Callable[[tuple[Entry, ...]], None]) -> None:
        self._subscribers.append(subscriber)

    def append(self, *new: Record) -> Future[tuple[Entry, ...]]:
        self._inner.append(*self._held).result()
        self._held = new
        entries = tuple(Entry(seq=seq, time=0.0, record=record) for seq, record in enumerate(new, self._last + 1))
        self._last += len(new)
        done: Future[tuple[Entry, ...]] = Future()
        for subscriber in self._subscribers:
            subscriber(entries)
        done.set_result(entries)
        return done

    def read(
        self, *, after: int, machine: MachineName | None, limit: int, kinds: frozenset[str] | None = None
    ) -> Future[tuple[Entry, ...]]:
        return self._inner.read(after=after, machine=machine, limit=limit, kinds=kinds)

    def latest(
        self, *, before: int | None, machine: MachineName | None, limit: int, kinds: frozenset[str] | None = None
    ) -> Future[tuple[Entry, ...]]:
        return self._inner.latest(before=before, machine=machine, limit=limit, kinds=kinds)


class ForgetfulLog(Log):
    """Does not read back that a disk was written."""

    def open(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in super().open() if not self._is_forgotten(entry.record))

    def _is_forgotten(self, record: Record) -> bool:
        return isinstance(record, StepResult) and STEPS[record.run, record.step].kind is StepKind.DESTRUCTIVE


def forgetful_log(path: Path) -> RecordLog:
    return ForgetfulLog(path, SystemClock())


def at(stage: Stage, record: str, step: str) -> Boundary:
    return Boundary(stage=stage, record=record, run="run-a", step=step)


@pytest.mark.parametrize(
    ("log_of", "boundary", "said"),
    [
        (HastyLog, at(Stage.TOLD, "step-result", "node-1.write"), "was acknowledged and is lost"),
        (forgetful_log, at(Stage.TOLD, "step-intent", "node-1.boot"), "is done and was begun again"),
    ],
    ids=["acknowledged-too-early", "a-disk-forgotten"],
)
def test_a_planted_bug_is_found(log_of: LogOf, boundary: Boundary, said: str, tmp_path: Path) -> None:
    lives = Lives(root=tmp_path, log_of=log_of)
    with pytest.raises(AssertionError, match=said):
        lives.kill_at_each([boundary] * 3)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("told", "run-a", "node-0.enrol", 9), "which no durable intent has"),
        (("begin", "run-a", "node-0.write", 1), "was begun twice"),
    ],
)
def test_what_machines_should_not_have_done_is_found(line: tuple[str | int, ...], said: str, tmp_path: Path) -> None:
    lives = Lives(root=tmp_path)
    lives.kill_at_each([at(Stage.DURABLE, "step-result", "node-2.confirm")])
    Lines(lives.folder / EFFECTS).add(*line)
    with pytest.raises(AssertionError, match=said):
        lives.finish()
