"""Whole runs by an installer under a virtual clock: what goes well, a power cut, a hang, and a crash anywhere."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path

import pytest

from appliance.model.bmc import PowerCommand
from appliance.model.ids import MachineName
from appliance.model.phase import PHASES, Phase
from appliance.model.views import RunState
from appliance.store.records import InstallerSeen, InstallerStage
from tests.unit.appliance.conductor.rack import INSTALLER, FakeRack, Net
from tests.unit.appliance.conductor.virtual import run

Scene = Callable[[FakeRack, Net], Awaitable[None]]


def play(folder: Path, scene: Scene) -> None:
    async def whole() -> None:
        rack = FakeRack(folder, 1, image=INSTALLER.name)
        net = Net(rack)
        try:
            await scene(rack, net)
        finally:
            await rack.close()

    run(whole())


def check(rack: FakeRack, net: Net) -> None:
    state = net.memory.world.machine(rack.first.name)
    assert (state.phase, state.failed) == (Phase.ACTIVE, None)
    steps = [Phase.UNKNOWN, *(phase for phase, _ in state.phases)]
    assert all(b in PHASES[a].exits for a, b in pairwise(steps))
    assert state.installed is not None
    assert state.installed.image == INSTALLER
    assert state.installed.smoke_passed
    assert len(rack.first.installed) == 1


def test_from_nothing_to_active(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await net.finish()
        check(rack, net)
        assert rack.first.bmc.commands == [PowerCommand.ON, PowerCommand.FORCE_RESTART]
        said = [e.record for e in await rack.entries() if isinstance(e.record, InstallerSeen)]
        assert [one.stage for one in said] == [
            InstallerStage.ANSWERS,
            InstallerStage.DISK,
            InstallerStage.WORD,
            InstallerStage.WORD,
            InstallerStage.WORD,
            InstallerStage.DONE,
        ]
        assert any("its last word: pkgsel: works" in why for _, why in net.said)

    play(tmp_path, scene)


def test_after_a_power_cut_it_begins_again_on_its_own_disk(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        rack.first.cuts = 1
        await net.finish()
        check(rack, net)

    play(tmp_path, scene)


def test_a_machine_that_comes_back_after_its_step_failed_waits(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await net.approve()
        going = asyncio.create_task(net.approve())
        while net.memory.world.machine(rack.first.name).installer is None:  # noqa: ASYNC110  virtual time
            await asyncio.sleep(1)
        rack.first.dies_at = "script"
        assert (await going).state is RunState.FAILED
        failed = net.memory.world.machine(rack.first.name).failed
        assert failed is not None
        assert failed.code == "installer-silent"
        rack.first.dies_at = ""
        rack.first.restart()
        await asyncio.sleep(2000)
        assert not rack.first.installed

    play(tmp_path, scene)


async def crash_after(rack: FakeRack, records: int) -> bool:
    net = Net(rack)
    records += net.memory.world.last_seq

    def look(_machines: frozenset[MachineName]) -> None:
        if net.memory.world.last_seq >= records:
            net.conductor.cancel()

    net.memory.on_change(look)
    going = asyncio.create_task(net.finish())
    await asyncio.wait({going, net.conductor}, return_when=asyncio.FIRST_COMPLETED)
    crashed = not going.done()
    going.cancel()
    await asyncio.wait({going})
    if crashed:
        await net.close()
        await asyncio.sleep(7)
    return crashed


@pytest.mark.parametrize("stride", [pytest.param(1, marks=pytest.mark.long), 9])
def test_a_crash_after_any_record_is_survived(stride: int, tmp_path: Path) -> None:
    async def once(folder: Path, records: int) -> bool:
        rack = FakeRack(folder, 1, image=INSTALLER.name)
        try:
            crashed = await crash_after(rack, records)
            net = Net(rack) if crashed else rack.net
            assert net is not None
            await net.finish()
            check(rack, net)
            return crashed
        finally:
            await rack.close()

    records = 3 + stride // 2
    while True:
        folder = tmp_path / str(records)
        folder.mkdir()
        crashed: list[bool] = []

        async def one(folder: Path = folder, records: int = records, crashed: list[bool] = crashed) -> None:
            crashed.append(await once(folder, records))

        run(one())
        if not crashed[0]:
            break
        records += stride
    assert records > 40
