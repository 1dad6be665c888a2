"""The daemon's own pieces: the snapshot that threads read, and how it stops."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.boot import Ramdisk
from appliance.conductor.world import World
from appliance.daemon import _Present, _until_stopped, main
from appliance.lab.topology import lab_rack
from appliance.model.ids import Nonce
from pxe.boot import RunKernel, Wait
from pxe.client import Client, Stage
from tests.unit.appliance.store.samples import NODE

RAMDISK = Ramdisk(kernel="/k", initrd="/i", server_url="http://10.77.0.1")


def test_the_snapshot_follows_the_world() -> None:
    world, rack = World(), lab_rack()
    assert rack.servers[0].mac is not None
    client = Client(mac=rack.servers[0].mac, stage=Stage.IPXE)
    present = _Present(world, rack, RAMDISK)
    before = present.read()
    assert isinstance(present.intent_for(client), Wait)
    world.machines[NODE] = replace(world.machine(NODE), boot_nonce=Nonce("n"))
    present.follow(frozenset())
    assert present.read() is before
    present.follow(frozenset({NODE}))
    assert isinstance(present.intent_for(client), RunKernel)
    assert isinstance(before.intent_for(client), Wait)


async def serving(stop: asyncio.Event) -> None:
    await stop.wait()


def test_a_stop_cancels_the_conductor() -> None:
    async def whole() -> bool:
        stop, cancelled = asyncio.Event(), asyncio.Event()

        async def conducting() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().call_soon, stop.set)
        await _until_stopped(conducting(), serving(stop), stop)
        return cancelled.is_set()

    assert asyncio.run(whole())


def test_a_conductor_that_dies_ends_the_daemon() -> None:
    async def whole() -> None:
        async def conducting() -> None:
            raise ValueError("oops")

        stop = asyncio.Event()
        await _until_stopped(conducting(), serving(stop), stop)

    with pytest.raises(ValueError, match="oops"):
        asyncio.run(whole())


def test_a_bad_configuration_is_an_exit_status(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main(tmp_path / "none.toml") == 1
    assert "cannot be read" in caplog.text
    assert "--config" in caplog.text
