"""The daemon's own pieces: the snapshot that threads read, and how it stops."""

import asyncio
import json
import logging
import socket
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.types import Scope

from appliance.api.trace import Traced, TraceFilter
from appliance.boot import Ramdisk
from appliance.conductor.world import World
from appliance.config import Settings
from appliance.daemon import (
    _facing_browsers,
    _guarding,
    _Present,
    _remembering,
    _surroundings,
    _until_stopped,
    main,
    tell,
)
from appliance.errors import MachineryError
from appliance.lab.topology import lab_rack
from appliance.metrics.model import exposition
from appliance.model.ids import Nonce
from appliance.model.syslog import Collector, Transport
from appliance.model.webhook import Webhook
from appliance.services.meter import Meter
from appliance.store.records import HoldReleased
from appliance.system import SystemClock, SystemRng
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


def hook_to(folder: Path, port: int) -> Webhook:
    secret = folder / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    return Webhook(name="chat", url=f"http://127.0.0.1:{port}/", secret_file=secret)


def test_webhooks_syslog_and_metrics_are_wired(tmp_path: Path) -> None:
    """Receivers that listen on bare sockets get the event; what was sent is counted; all ends with the daemon."""

    async def whole() -> tuple[bytes, bytes, str]:
        got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            got.set_result(await reader.readexactly(length))
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server, AsyncExitStack() as closing:
            collector = closing.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            collector.bind(("127.0.0.1", 0))
            collector.setblocking(False)
            to = Collector(host="127.0.0.1", transport=Transport.UDP, port=collector.getsockname()[1])
            hook = hook_to(tmp_path, server.sockets[0].getsockname()[1])
            given = settings(tmp_path, webhooks=(hook,), syslog=to)
            log, memory = _remembering(given, closing)
            meter = Meter(lab_rack(), memory, SystemClock(), _surroundings(given, tuple))
            log.time_commits(meter.committed)
            access = _guarding(given, "lab", closing)
            tell(given, "lab", memory, access, meter, closing)
            position = tmp_path / "webhooks" / "chat.position"
            async with asyncio.timeout(20):
                while not position.exists():  # noqa: ASYNC110  a new hook begins with what comes
                    await asyncio.sleep(0.005)
                await memory.remember(HoldReleased(machine=NODE))
                body = await got
                message = await asyncio.get_running_loop().sock_recv(collector, 9000)
                while position.read_text() != "1\n":  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            return body, message, exposition(meter.families())

    body, message, text = asyncio.run(whole())
    assert json.loads(body)["event"]["kind"] == "hold-released"
    assert b" lab innervate " in message
    assert b'hold-released [origin software="innervate"' in message
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


def settings(folder: Path, **more: object) -> Settings:
    return Settings(state_dir=folder, socket=folder / "s", site=folder / "site.py", images_dir=folder, **more)  # type: ignore[arg-type]


def test_the_setup_code_is_in_the_log_until_there_is_an_admin(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def whole() -> None:
        async with AsyncExitStack() as closing:
            desk = _guarding(settings(tmp_path), "lab", closing).desk
            code = desk.setup_code
            assert code in caplog.text
            await desk.set_up("ann", code, "correct horse battery", "socket")
        caplog.clear()
        async with AsyncExitStack() as closing:
            _guarding(settings(tmp_path), "lab", closing)
        assert "setup code" not in caplog.text

    asyncio.run(whole())


def test_the_certificates_fingerprint_is_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def whole() -> None:
        with socket.create_server(("127.0.0.1", 0)) as busy:
            port = busy.getsockname()[1]
        for _ in range(2):
            async with AsyncExitStack() as closing:
                one = settings(tmp_path, https_port=port, https_hosts=("rack.example",))
                secure, fingerprint = _facing_browsers(one, "lab", closing)
                assert secure is not None
                assert secure.listener.getsockname()[1] == port
                found.add(fingerprint)
                with pytest.raises(MachineryError, match="cannot serve the API on port"):
                    _facing_browsers(one, "lab", closing)
        async with AsyncExitStack() as closing:
            assert _facing_browsers(settings(tmp_path), "lab", closing) == (None, "")

    found: set[str] = set()
    asyncio.run(whole())
    assert len(found) == 1
    assert found.pop() in caplog.text


def test_each_log_line_has_the_trace_of_its_request(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, _receive: object, _send: object) -> None:
        traces.append(scope["state"]["trace_id"])
        await asyncio.to_thread(logging.getLogger("innervate").warning, "served")

    async def whole() -> None:
        served = (asyncio.create_task(Traced(app, SystemRng())({"type": "http"}, None, None)) for _ in range(2))  # type: ignore[arg-type]
        await asyncio.gather(*served)
        logging.getLogger("innervate").warning("alone")

    traces: list[str] = []
    with caplog.filtering(TraceFilter()):
        asyncio.run(whole())
    assert sorted(record.trace_id for record in caplog.records) == sorted((*traces, "-"))  # type: ignore[attr-defined]
    assert len(set(traces)) == 2


def test_a_bad_configuration_is_an_exit_status(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main(tmp_path / "none.toml") == 1
    assert "cannot be read" in caplog.text
    assert "--config" in caplog.text
