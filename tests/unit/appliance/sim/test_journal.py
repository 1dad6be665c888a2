"""The simulated record log keeps the rules of the real one, and loses what a crash loses."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from appliance.errors import MachineryError
from appliance.model.ids import MachineName
from appliance.sim.journal import Boundary, Condition, Loss, RecordDisk, SimLog
from appliance.sim.loop import SimClock, run
from appliance.store.records import Entry, Noted

NODE = MachineName("node-1")


class Seen:
    """A watcher that dies at `boundary`, in the first commit."""

    def __init__(self, boundary: Boundary | None = None) -> None:
        self.kept: list[int] = []
        self.told: list[int] = []
        self._boundary = boundary

    def durable(self, entries: Sequence[Entry]) -> None:
        self.kept += [entry.seq for entry in entries]

    def acknowledged(self, entries: Sequence[Entry]) -> None:
        self.told += [entry.seq for entry in entries]

    def boundary(self, commit: int) -> Boundary | None:
        return self._boundary


def note(text: str) -> Noted:
    return Noted(machine=NODE, kind="test", text=text)


def play(scene: Callable[[SimLog], Awaitable[None]], disk: RecordDisk, seen: Seen) -> None:
    async def whole() -> None:
        loop = asyncio.get_running_loop()
        log = SimLog(disk, loop, SimClock(loop), seen)
        log.open()
        await scene(log)

    run(whole())


def texts(disk: RecordDisk) -> list[str]:
    return [entry.record.text for entry in disk.recover() if isinstance(entry.record, Noted)]


def test_what_waits_shares_one_commit_and_is_told_after_it() -> None:
    disk, seen = RecordDisk(), Seen()

    async def scene(log: SimLog) -> None:
        first, second = log.append(note("a"), note("b")), log.append(note("c"))
        assert not seen.kept
        entries = await asyncio.wrap_future(second)
        assert [entry.seq for entry in entries] == [3]
        assert [entry.seq for entry in first.result()] == [1, 2]
        assert seen.kept == seen.told == [1, 2, 3]

    play(scene, disk, seen)
    assert len(disk.frames) == 1
    assert texts(disk) == ["a", "b", "c"]


def test_the_next_life_goes_on_counting() -> None:
    disk, seen = RecordDisk(), Seen()

    async def scene(log: SimLog) -> None:
        await asyncio.wrap_future(log.append(note("x")))

    play(scene, disk, seen)
    play(scene, disk, seen)
    assert [entry.seq for entry in disk.recover()] == [1, 2]


@pytest.mark.parametrize(
    ("loss", "kept"), [(Loss.NOT_WRITTEN, ["safe"]), (Loss.WRITTEN, ["safe", "lost"]), (Loss.TORN, ["safe"])]
)
def test_a_crash_in_a_commit(loss: Loss, kept: list[str]) -> None:
    disk, seen = RecordDisk(), Seen()

    async def scene(log: SimLog) -> None:
        await asyncio.wrap_future(log.append(note("safe")))
        never = log.append(note("lost"))
        await asyncio.sleep(0.001)
        log.die(loss)
        later = log.append(note("later"))
        await asyncio.sleep(60)
        assert not never.done()
        assert not later.done()

    play(scene, disk, seen)
    assert texts(disk) == kept
    assert seen.told == [1]


@pytest.mark.parametrize(("boundary", "kept"), [(Boundary.BEFORE, []), (Boundary.AFTER, ["x"])])
def test_a_crash_at_the_boundary_tells_nobody(boundary: Boundary, kept: list[str]) -> None:
    disk, seen = RecordDisk(), Seen(boundary)

    async def scene(log: SimLog) -> None:
        done = log.append(note("x"))
        await asyncio.sleep(60)
        assert log.dead
        assert not done.done()

    play(scene, disk, seen)
    assert texts(disk) == kept
    assert not seen.told


def test_a_full_disk_refuses_and_counts_nothing() -> None:
    disk, seen = RecordDisk(condition=Condition(full=True)), Seen()

    async def scene(log: SimLog) -> None:
        with pytest.raises(MachineryError):
            await asyncio.wrap_future(log.append(note("no")))
        disk.condition.full = False
        await asyncio.wrap_future(log.append(note("yes")))

    play(scene, disk, seen)
    assert [(entry.seq, entry.record.record) for entry in disk.recover()] == [(1, "noted")]
    assert texts(disk) == ["yes"]


def test_a_slow_disk_makes_everybody_wait() -> None:
    disk, seen = RecordDisk(condition=Condition(fsync_seconds=3.0)), Seen()

    async def scene(log: SimLog) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.wrap_future(log.append(note("x")))
        assert loop.time() - began == pytest.approx(3.0, abs=0.01)

    play(scene, disk, seen)


def test_whoever_gave_up_before_its_turn_was_never_there() -> None:
    disk, seen = RecordDisk(), Seen()

    async def scene(log: SimLog) -> None:
        log.append(note("gone")).cancel()
        await asyncio.wrap_future(log.append(note("here")))

    play(scene, disk, seen)
    assert texts(disk) == ["here"]


def test_reading_back() -> None:
    disk, seen = RecordDisk(), Seen()

    async def scene(log: SimLog) -> None:
        await asyncio.wrap_future(log.append(note("a"), note("b"), note("c")))
        found = await asyncio.wrap_future(log.read(after=1, machine=NODE, limit=1))
        assert [entry.seq for entry in found] == [2]
        assert not await asyncio.wrap_future(log.read(after=0, machine=MachineName("other"), limit=9))

    play(scene, disk, seen)
