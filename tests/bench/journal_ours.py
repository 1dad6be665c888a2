"""Our journal: `python -m tests.bench.journal_ours conductor|log RUNS SECONDS FOLDER`.

RUNS runs at any time, each of STEPS steps that do nothing, on a machine of its own; figures as JSON, then the process
is dropped in the middle of its work. `conductor` is the conductor itself with its memory and its log, as the daemon
runs them. `log` writes the same records into the same log and waits for each, but neither thinks nor folds.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from itertools import cycle, islice, pairwise
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

from appliance.conductor.conductor import Conductor
from appliance.conductor.decision import Done, Outcome
from appliance.conductor.hands import Hands
from appliance.conductor.memory import Memory
from appliance.conductor.runs import Attempt
from appliance.model.ids import Fence, ImageName, MachineName, Nonce, PlanDigest, RunId, StepId
from appliance.model.views import RunState
from appliance.plan import (
    Action,
    BootAgent,
    BootDisk,
    ConfirmShell,
    DiskRef,
    Enrol,
    ImageRef,
    Inspect,
    Plan,
    Step,
    WriteImage,
    WriteSeed,
)
from appliance.store.handover import Handover
from appliance.store.log import Log
from appliance.store.records import Entry, PlanStored, Record, RunEnded, RunStarted, StepIntent, StepResult
from appliance.system import SystemClock, SystemRng
from pxe.memory import settle
from tests.bench.bare import bare_hands
from tests.bench.journal_load import OURS_FILE, STEPS, WARM_UP_SECONDS, Mark, figures

_IMAGE = ImageRef(name=ImageName("debian-13"), manifest_sha256="a1" * 32, blob_sha256="b2" * 32, raw_bytes=2 << 30)
_DISK = DiskRef(serial="S1", wwn="naa.5000", size_bytes=8 << 30, contents="empty")
_SEED = WriteSeed(disk=_DISK, hostname="node", domain="bench", authorized_keys=())
_ACTIONS: tuple[Action, ...] = (
    Enrol(),
    BootAgent(),
    Inspect(),
    WriteImage(image=_IMAGE, disk=_DISK),
    _SEED,
    BootDisk(disk=_DISK, image=_IMAGE),
    ConfirmShell(user="root", checks=()),
)
_EVIDENCE = {"seen": "nothing"}

Plans = Mapping[MachineName, Plan]


def plans_of(runs: int) -> Plans:
    """One for each machine: what an installation does, over and over, up to STEPS steps in a row."""
    return {name: _plan(name) for name in (MachineName(f"node-{number}") for number in range(runs))}


def _plan(machine: MachineName) -> Plan:
    steps: list[Step] = []
    for number, action in enumerate(islice(cycle(_ACTIONS), STEPS)):
        step = Step(
            id=StepId(f"bench.{machine}.{number}"),
            machine=machine,
            score="bench",
            summary=f"step {number} of {machine}",
            do=action,
            budget=600.0,
            needs=tuple(step.id for step in steps[-1:]),
        )
        steps.append(step)
    return Plan(site="bench", steps=tuple(steps))


class _Scene:
    def __init__(self, log: Log, plans: Plans) -> None:
        self.plans = plans
        self.digests: Mapping[MachineName, PlanDigest] = {name: plan.digest for name, plan in plans.items()}
        self.rng = SystemRng()
        self.steps = 0
        self.ends: dict[RunId, asyncio.Event] = {}
        self._loop = asyncio.get_running_loop()
        log.subscribe(self._look)

    def mark(self) -> Mark:
        used = getrusage(RUSAGE_SELF)
        return Mark(wall=time.monotonic(), cpu=used.ru_utime + used.ru_stime, steps=self.steps)

    def start(self, machine: MachineName) -> RunStarted:
        return RunStarted(run=RunId(self.rng.token(4)), plan=self.digests[machine])

    def stored(self) -> tuple[Record, ...]:
        return tuple(PlanStored(plan=plan) for plan in self.plans.values())

    def _look(self, entries: tuple[Entry, ...]) -> None:
        """In the log's thread, when they are durable."""
        for entry in entries:
            if isinstance(entry.record, StepResult):
                self.steps += 1
            elif isinstance(entry.record, RunEnded) and (end := self.ends.pop(entry.record.run, None)) is not None:
                self._loop.call_soon_threadsafe(end.set)


Work = list[Coroutine[None, None, None]]


async def _through_conductor(log: Log, scene: _Scene) -> Work:
    async def carry_out(hands: Hands, step: Step, attempt: Attempt) -> Outcome:
        return Done(evidence=_EVIDENCE)

    async def slot(machine: MachineName) -> None:
        while True:
            start, end = scene.start(machine), asyncio.Event()
            scene.ends[start.run] = end
            await memory.remember(start)
            await end.wait()

    memory = Memory(log)
    memory.open()
    await memory.remember(*scene.stored())
    return [Conductor(bare_hands(memory), carry_out, scene.rng).run(), *map(slot, scene.plans)]


async def _through_log(log: Log, scene: _Scene) -> Work:
    async def slot(machine: MachineName) -> None:
        while True:
            start, steps = scene.start(machine), scene.plans[machine].steps
            await written(start)
            await written(intent(start.run, steps[0]))
            for step, following in pairwise(steps):
                await written(_result(start.run, step), intent(start.run, following))
            await written(_result(start.run, steps[-1]))
            await written(RunEnded(run=start.run, state=RunState.DONE))

    def intent(run: RunId, step: Step) -> StepIntent:
        nonce = Nonce(scene.rng.token(16))
        return StepIntent(run=run, step=step.id, machine=step.machine, kind=step.kind, fence=Fence(1), nonce=nonce)

    async def written(*records: Record) -> None:
        await handover.result(log.append(*records))

    handover = Handover(asyncio.get_running_loop())
    log.open()
    await written(*scene.stored())
    return list(map(slot, scene.plans))


def _result(run: RunId, step: Step) -> StepResult:
    return StepResult(run=run, step=step.id, machine=step.machine, fence=Fence(1), evidence=_EVIDENCE)


_WAYS: Mapping[str, Callable[[Log, _Scene], Awaitable[Work]]] = {"conductor": _through_conductor, "log": _through_log}


async def _drive(way: str, runs: int, seconds: float, folder: Path) -> None:
    log = Log(folder / OURS_FILE, SystemClock())
    scene = _Scene(log, plans_of(runs))
    work = [asyncio.create_task(one) for one in await _WAYS[way](log, scene)]
    await asyncio.sleep(WARM_UP_SECONDS)
    settle()  # as the daemon does when all is started
    before = scene.mark()
    await asyncio.sleep(seconds)
    after = scene.mark()
    if broken := [task for task in work if task.done()]:
        broken[0].result()
    sys.stdout.write(json.dumps(figures(before, after)))
    sys.stdout.flush()
    os._exit(0)


def _main() -> None:
    way, runs, seconds, folder = sys.argv[1:]
    asyncio.run(_drive(way, int(runs), float(seconds), Path(folder)))


if __name__ == "__main__":
    _main()
