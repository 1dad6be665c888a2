"""A conductor that can be killed with SIGKILL at a chosen boundary of its journal, and the machines that outlive it.

The parent has imported everything, so a life costs a fork. What outlives a life stands in its folder: the record log,
`acked` (one line for each record that `remember` called durable) and `effects` (one line for each thing that a machine
was told or began). Those two are not flushed: a kill takes nothing from the kernel, only a power cut would.
"""

import asyncio
import json
import os
import signal
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NoReturn

from sqlalchemy import Engine, event

from appliance.conductor.conductor import Conductor
from appliance.conductor.decision import Done, Outcome
from appliance.conductor.hands import Hands
from appliance.conductor.memory import Memory, RecordLog
from appliance.conductor.runs import Attempt
from appliance.model.ids import RunId
from appliance.model.step import StepKind
from appliance.plan import Plan, Step
from appliance.store.records import Entry, PlanStored, Record, RunEnded, RunStarted, StepIntent, StepResult
from appliance.system import SystemRng
from tests.bench.bare import bare_hands

RECORDS, ACKED, EFFECTS, TROUBLE = "records.db", "acked", "effects", "trouble"


class Stage(Enum):
    """Where a kill can fall: OPENING counts the statements of opening the log, WRITING is in the transaction and before
    its commit, DURABLE after it and before anybody is told, TOLD after `remember` returned, ACTING in a step's effect.
    """

    OPENING = "opening"
    WRITING = "writing"
    DURABLE = "durable"
    TOLD = "told"
    ACTING = "acting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    stage: Stage
    record: str = ""
    run: str = ""
    step: str = ""
    statement: int = 0


class Reaper:
    """Ends this very process when the boundary is reached."""

    def __init__(self, at: Boundary | None) -> None:
        self._at = at
        self._offered: list[Record] = []
        self._opening = True
        self._statements = 0

    def watch(self) -> None:
        """From now on every statement and commit of this process is seen."""
        event.listen(Engine, "before_cursor_execute", self._executing)
        event.listen(Engine, "commit", self._committing)

    def offered(self, records: tuple[Record, ...]) -> None:
        self._offered.extend(records)

    def opened(self) -> None:
        self._opening = False

    def durable(self, entries: tuple[Entry, ...]) -> None:
        """A subscriber of the log, the first one."""
        for entry in entries:
            self._offered = [record for record in self._offered if record is not entry.record]
            self.reach(Stage.DURABLE, entry.record)

    def reach(self, stage: Stage, record: Record) -> None:
        if isinstance(record, RunStarted | RunEnded):
            self._end_at(Boundary(stage=stage, record=record.record, run=record.run))
        elif isinstance(record, StepIntent | StepResult):
            self._end_at(Boundary(stage=stage, record=record.record, run=record.run, step=record.step))

    def acting(self, attempt: Attempt) -> None:
        self._end_at(Boundary(stage=Stage.ACTING, run=attempt.run, step=attempt.step))

    def _executing(self, *_about: object) -> None:
        if self._opening:
            self._statements += 1
            self._end_at(Boundary(stage=Stage.OPENING, statement=self._statements))

    def _committing(self, *_about: object) -> None:
        for record in tuple(self._offered):
            self.reach(Stage.WRITING, record)

    def _end_at(self, boundary: Boundary) -> None:
        if boundary == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


class Lines:
    """A file of JSON lines, each written with one call."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def add(self, *words: str | int) -> None:
        os.write(self._file, (json.dumps(words) + "\n").encode())


def lines_of(path: Path) -> list[tuple[str | int, ...]]:
    text = path.read_text() if path.exists() else ""
    return [tuple(json.loads(line)) for line in text.splitlines()]


class Machines:
    """They begin a destructive task at most once, as the agent in the ramdisk does: whoever asks again under a newer
    fence is told how it ended. All else they do as often as they are told."""

    def __init__(self, folder: Path, reaper: Reaper) -> None:
        self._begun = {(run, step) for what, run, step, _fence in lines_of(folder / EFFECTS) if what == "begin"}
        self._lines = Lines(folder / EFFECTS)
        self._reaper = reaper

    async def carry_out(self, _hands: Hands, step: Step, attempt: Attempt) -> Outcome:
        self._lines.add("told", attempt.run, attempt.step, attempt.fence)
        if step.kind is not StepKind.DESTRUCTIVE or (attempt.run, attempt.step) not in self._begun:
            self._lines.add("begin", attempt.run, attempt.step, attempt.fence)
        await asyncio.sleep(0)  # the other machines go on meanwhile
        self._reaper.acting(attempt)
        return Done(evidence={"fence": str(attempt.fence)})


class _Memory(Memory):
    """Writes down what it was told is durable, after it was told."""

    def __init__(self, log: RecordLog, reaper: Reaper, acked: Lines) -> None:
        super().__init__(log)
        self._reaper = reaper
        self._acked = acked
        self.pending = 0

    async def remember(self, *records: Record) -> tuple[Entry, ...]:
        self.pending += 1
        self._reaper.offered(records)
        entries = await super().remember(*records)
        for entry in entries:
            self._acked.add(entry.seq, entry.record.record, *_key(entry.record))
            self._reaper.reach(Stage.TOLD, entry.record)
        self.pending -= 1
        return entries


def _key(record: Record) -> Iterator[str | int]:
    if isinstance(record, StepIntent | StepResult):
        yield from (record.run, record.step, record.fence)


LogOf = Callable[[Path], RecordLog]


def begin_life(folder: Path, plans: Mapping[RunId, Plan], at: Boundary | None, log_of: LogOf) -> int:
    """The pid of a child that takes up what it finds in `folder` and ends with status 0 when all runs have ended."""
    pid = os.fork()
    if not pid:
        _live(folder, plans, at, log_of)
    return pid


def _live(folder: Path, plans: Mapping[RunId, Plan], at: Boundary | None, log_of: LogOf) -> NoReturn:
    try:
        reaper = Reaper(at)
        reaper.watch()
        asyncio.run(_life(folder, plans, reaper, log_of(folder / RECORDS)))
    except BaseException:
        (folder / TROUBLE).write_text(traceback.format_exc())
    os._exit(1)


async def _life(folder: Path, plans: Mapping[RunId, Plan], reaper: Reaper, log: RecordLog) -> None:
    memory = _Memory(log, reaper, Lines(folder / ACKED))
    log.subscribe(reaper.durable)
    memory.open()
    reaper.opened()
    for run, plan in plans.items():
        if run not in memory.world.runs:
            await memory.remember(PlanStored(plan=plan), RunStarted(run=run, plan=plan.digest))
    machines = Machines(folder, reaper)
    conductor = asyncio.create_task(Conductor(bare_hands(memory), machines.carry_out, SystemRng()).run())
    ended = asyncio.create_task(_ended(memory))
    await asyncio.wait({conductor, ended}, return_when=asyncio.FIRST_COMPLETED)
    if ended.done():
        os._exit(0)
    conductor.result()


async def _ended(memory: _Memory) -> None:
    while True:
        tick = memory.tick
        if not memory.world.running:
            break
        await memory.changed(tick, None)
    while memory.pending:  # noqa: ASYNC110  no time passes
        await asyncio.sleep(0)


def boundaries(plans: Mapping[RunId, Plan]) -> Iterator[Boundary]:
    """Every one that some life of these runs comes to, but for those of opening the log; roughly as they come."""
    for run in plans:
        yield from _around("run-started", run, "")
    depth = max(len(plan.steps) for plan in plans.values())
    for number in range(depth):
        for run, plan in plans.items():
            for step in _nth_of_each_machine(plan, number):
                yield from _around("step-intent", run, step.id)
                yield Boundary(stage=Stage.ACTING, run=run, step=step.id)
                yield from _around("step-result", run, step.id)
    for run in plans:
        yield from _around("run-ended", run, "")


def _around(record: str, run: str, step: str) -> Iterator[Boundary]:
    for stage in (Stage.WRITING, Stage.DURABLE, Stage.TOLD):
        yield Boundary(stage=stage, record=record, run=run, step=step)


def _nth_of_each_machine(plan: Plan, number: int) -> Iterator[Step]:
    for machine in dict.fromkeys(step.machine for step in plan.steps):
        yield from [step for step in plan.steps if step.machine == machine][number : number + 1]
