"""Serial consoles as their users reach them: through the API, and by OpenSSH and paramiko."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import paramiko
import pytest

from appliance.api.fake import FakeApplication, Served, served
from appliance.client import Client
from appliance.console.console import Console
from appliance.console.record import Record
from appliance.console.source import source_of
from appliance.console.ssh import ConsoleDoor
from appliance.errors import MachineryError, NotFoundError
from appliance.model.bmc import BmcEndpoint
from appliance.model.ids import MachineName
from appliance.model.secret import Secret
from appliance.model.site import UnixConsole
from appliance.services.shells import ensure_key
from appliance.system import SystemClock, SystemRng
from images.processes import HostProcesses

NODE = MachineName("node-0")
GREETING = b"node-0 login: "
LOCAL = IPv4Address("127.0.0.1")
BMC = BmcEndpoint(url="https://10.0.0.1", user="admin", password=Secret("secret"), fingerprint="00" * 32)


@dataclass
class Site:
    """A machine whose console greets and says everything again in capitals."""

    served: Served
    client: Client
    console: Console
    folder: Path

    @contextmanager
    def door(self, keys: tuple[str, ...]) -> Iterator[ConsoleDoor]:
        async def loop() -> asyncio.AbstractEventLoop:
            return asyncio.get_running_loop()

        host_key = self.folder / "host_key"
        ensure_key(host_key, HostProcesses())
        door = ConsoleDoor(
            address=LOCAL,
            port=0,
            host_key=host_key,
            keys=keys,
            consoles={NODE: self.console},
            loop=self.served.do(loop()),
        )
        door.start()
        try:
            yield door
        finally:
            door.stop()

    def key(self, name: str) -> tuple[Path, str]:
        path = self.folder / name
        return path, ensure_key(path, HostProcesses())

    def ssh(self, door: ConsoleDoor, key: Path, user: str, *command: str, typed: bytes) -> "Result":
        options = (
            "BatchMode=yes",
            "StrictHostKeyChecking=no",
            f"UserKnownHostsFile={self.folder}/known",
            "LogLevel=ERROR",
        )
        argv = ["ssh", "-F", "none", "-tt", "-p", str(door.port), "-i", str(key), "-o", "IdentitiesOnly=yes"]
        argv += [word for option in options for word in ("-o", option)]
        return subprocess.run([*argv, f"{user}@{LOCAL}", *command], input=typed, capture_output=True, timeout=60)


Result = subprocess.CompletedProcess[bytes]


async def _machine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(GREETING)
    while data := await reader.read(1000):
        writer.write(data.upper())
    writer.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    path = tmp_path / "serial.sock"
    source = source_of(UnixConsole(path=path), lambda: BMC, SystemClock(), SystemRng())
    console = Console(NODE, source, Record(tmp_path / "node-0.console"), SystemClock())
    application = FakeApplication(inventory={}, plans=[], consoles={NODE: console})

    async def begin() -> tuple[asyncio.Server, asyncio.Task[None]]:
        return await asyncio.start_unix_server(_machine, path), asyncio.create_task(console.run())

    async def end(listener: asyncio.Server, running: asyncio.Task[None]) -> None:
        running.cancel()
        await asyncio.wait({running})
        listener.close()
        await listener.wait_closed()

    with served(application, tmp_path / "api.sock") as here:
        started = here.do(begin())
        site = Site(here, Client(tmp_path / "api.sock", timeout=10), console, tmp_path)
        _greeted(site)
        yield site
        here.do(end(*started))


def _greeted(site: Site) -> None:
    with site.client.console(NODE) as channel:
        _until(channel, GREETING)


def _until(channel: object, wanted: bytes) -> None:
    seen = b""
    while wanted not in seen:
        seen += channel.recv(timeout=10)  # type: ignore[attr-defined]  # websockets or paramiko


def test_typed_and_heard_through_the_api(site: Site) -> None:
    with site.client.console(NODE) as channel, site.client.console(NODE) as second:
        channel.send(b"root")
        _until(channel, b"ROOT")
        _until(second, b"ROOT")
    assert site.client.recorded(NODE) == GREETING + b"ROOT"


def test_a_machine_without_a_console(site: Site) -> None:
    with pytest.raises(NotFoundError):
        site.client.recorded("node-9")
    with pytest.raises(NotFoundError), site.client.console("node-9"):
        pass


def test_openssh_joins_the_console(site: Site) -> None:
    key, line = site.key("operator")
    with site.door((line,)) as door:
        done = site.ssh(door, key, NODE, typed=b"who\n")
    assert GREETING in done.stdout, done.stderr
    assert site.client.recorded(NODE).endswith(b"WHO\n")


@pytest.mark.parametrize(("user", "allowed"), [("node-0", False), ("root", True), ("../node-0", True)])
def test_who_is_not_let_in(user: str, allowed: bool, site: Site) -> None:
    key, line = site.key("operator")
    with site.door((line,) if allowed else (site.key("other")[1],)) as door:
        done = site.ssh(door, key, user, typed=b"who\n")
    assert done.returncode == 255
    assert b"Permission denied (publickey)" in done.stderr
    assert site.client.recorded(NODE) == GREETING


def test_nothing_but_the_console(site: Site) -> None:
    key, line = site.key("operator")
    with site.door((line,)) as door:
        assert site.ssh(door, key, NODE, "id", typed=b"").returncode != 0
        with paramiko.SSHClient() as client:
            client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
            client.connect(str(LOCAL), door.port, NODE, key_filename=str(key), allow_agent=False, look_for_keys=False)
            transport = client.get_transport()
            assert transport is not None
            with pytest.raises(paramiko.ChannelException):
                transport.open_channel("direct-tcpip", ("127.0.0.1", 22), ("127.0.0.1", 1))
            with pytest.raises(paramiko.SSHException):
                client.open_sftp()


def test_sessions_end_with_the_door(site: Site) -> None:
    key, line = site.key("operator")
    with paramiko.SSHClient() as client:
        with site.door((line,)) as door:
            client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
            client.connect(str(LOCAL), door.port, NODE, key_filename=str(key), allow_agent=False, look_for_keys=False)
            channel = client.invoke_shell()
            channel.settimeout(10)
            seen = b""
            while GREETING not in seen:
                seen += channel.recv(1000)
        assert channel.recv(1000) == b""


def test_a_port_that_is_taken(site: Site) -> None:
    with site.door(()) as door, closing(asyncio.new_event_loop()) as loop:
        second = ConsoleDoor(
            address=LOCAL,
            port=door.port,
            host_key=site.folder / "host_key",
            keys=(),
            consoles={},
            loop=loop,
        )
        with pytest.raises(MachineryError, match="cannot be offered over SSH") as caught:
            second.start()
    assert "console_port" in caught.value.next_action
