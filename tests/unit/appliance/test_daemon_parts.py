"""The daemon's own pieces: the snapshot that threads read, and how it stops."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.boot import Ramdisk
from appliance.conductor.world import World
from appliance.config import Settings
from appliance.daemon import _Present, _remembering, _surroundings, _telling, _until_stopped, main
from appliance.lab.topology import lab_rack
from appliance.metrics.model import exposition
from appliance.model.ids import Nonce
from appliance.model.webhook import Webhook
from appliance.services.meter import Meter
from appliance.store.records import HoldReleased
from appliance.system import SystemClock
from pxe.boot import RunKernel, Wait
from pxe.client import Client, Stage
from tests.openmetrics import read
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


def settings(folder: Path, port: int) -> Settings:
    secret = folder / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    hook = Webhook(name="chat", url=f"http://127.0.0.1:{port}/", secret_file=secret)
    return Settings(state_dir=folder, socket=folder / "s", site=folder / "site.py", images_dir=folder, webhooks=(hook,))


def test_webhooks_and_metrics_are_wired(tmp_path: Path) -> None:
    """A receiver that listens on a bare socket gets the event; its try is counted; all ends with the daemon."""

    async def whole() -> tuple[bytes, str]:
        got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            got.set_result(await reader.readexactly(length))
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server, AsyncExitStack() as closing:
            given = settings(tmp_path, server.sockets[0].getsockname()[1])
            log, memory = _remembering(given, closing)
            meter = Meter(lab_rack(), memory, SystemClock(), _surroundings(given, tuple))
            log.time_commits(meter.committed)
            _telling(given, "lab", memory, meter, closing)
            position = tmp_path / "webhooks" / "chat.position"
            async with asyncio.timeout(20):
                while not position.exists():  # noqa: ASYNC110  a new hook begins with what comes
                    await asyncio.sleep(0.005)
                await memory.remember(HoldReleased(machine=NODE))
                body = await got
                while position.read_text() != "1\n":  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            return body, exposition(meter.families())

    body, text = asyncio.run(whole())
    assert json.loads(body)["event"]["kind"] == "hold-released"
    found = read(text)
    assert found["innervate_webhook_tries"].of("_total", hook="chat", result="ok") == 1
    assert found["innervate_db_commit_seconds"].of("_count") == 1
    assert found["innervate_disk_free_bytes"].of(path="images") > 0


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
