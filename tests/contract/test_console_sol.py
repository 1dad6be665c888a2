"""A server's console over its BMC's serial line: OpenIPMI's `ipmi_sim` with a real port behind it, and our own BMC."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from appliance.bmc.ipmi.console import serial_line
from appliance.bmc.ipmi.link import IpmiLimits
from appliance.console.console import Console, Follower
from appliance.console.record import Record
from appliance.console.source import source_of
from appliance.model.console_views import ConsoleState
from appliance.model.ids import MachineName
from appliance.model.site import SolConsole
from appliance.ports import Clock
from appliance.system import SystemClock, SystemRng
from tests.contract.ipmi_bmc import FakeIpmiBmc, Session, listening
from tests.contract.test_ipmi import FAST, PASSWORD, endpoint, ipmi_sim, needs_ipmi_sim

SLOW = IpmiLimits(tries_seconds=(0.5, 1.0, 2.0, 4.0))
PATTERN = b"".join(f"{number:07d}\n".encode() for number in range(8192))


class HurriedClock(SystemClock):
    """Keepalives and retries come a hundred times as often."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 100)


@asynccontextmanager
async def recorded(
    folder: Path, port: int, clock: Clock, limits: IpmiLimits, password: str = PASSWORD
) -> AsyncIterator[Console]:
    source = source_of(SolConsole(), lambda: endpoint(port, password), clock, SystemRng(), limits)
    console = Console(MachineName("node-0"), source, Record(folder / "node-0.console"), clock)
    running = asyncio.create_task(console.run())
    try:
        yield console
    finally:
        running.cancel()
        await asyncio.wait({running})


async def until(follower: Follower, wanted: bytes) -> None:
    seen = b""
    while not seen.endswith(wanted):
        seen += await follower.read()


# --- OpenIPMI's BMC -------------------------------------------------------------------------------------------


class SerialPort:
    """What ipmi_sim takes for the server's serial port."""

    async def __aenter__(self) -> "SerialPort":
        self.connected: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self._server = await asyncio.start_server(lambda *streams: self.connected.put_nowait(streams), "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()


@needs_ipmi_sim
def test_openipmi_passes_every_byte_in_order_both_ways(tmp_path: Path) -> None:
    async def play() -> None:
        async with SerialPort() as serial:
            with ipmi_sim(tmp_path, f'sol "tcp:127.0.0.1:{serial.port}" 115200') as port:
                reader, writer = await serial.connected.get()
                async with recorded(tmp_path, port, SystemClock(), SLOW) as console, console.follow(0) as follower:
                    await greeted(writer, follower)
                    writer.write(PATTERN)
                    await until(follower, PATTERN[-8:])
                    assert console.tail(len(PATTERN)) == PATTERN
                    await console.type(PATTERN[:4000])
                    assert await reader.readexactly(4000) == PATTERN[:4000]
                writer.close()

    async def greeted(writer: asyncio.StreamWriter, follower: Follower) -> None:
        """ipmi_sim throws away what the machine says before there is a session."""
        reading = asyncio.create_task(follower.read())
        while not (await asyncio.wait({reading}, timeout=0.05))[0]:
            writer.write(b".")

    async def limited() -> None:
        async with asyncio.timeout(60):
            await play()

    asyncio.run(limited())


# --- our own BMC ----------------------------------------------------------------------------------------------


Scene = Callable[[FakeIpmiBmc, Console], Awaitable[None]]


def play(
    folder: Path, scene: Scene, *, password: str = PASSWORD, bmc: FakeIpmiBmc | None = None, clock: Clock | None = None
) -> None:
    async def whole() -> None:
        with listening(bmc or FakeIpmiBmc()) as served:
            async with (
                asyncio.timeout(15),
                recorded(folder, served.port, clock or HurriedClock(), FAST, password) as console,
            ):
                await scene(served, console)

    asyncio.run(whole())


async def spoken(bmc: FakeIpmiBmc, console: Console, *chunks: bytes) -> None:
    """Once there is a line."""
    await bmc.lined.wait()
    async with console.follow(0) as follower:
        bmc.speak(*chunks)
        await until(follower, chunks[-1])


def test_recorded_typed_and_in_order(tmp_path: Path) -> None:
    async def scene(bmc: FakeIpmiBmc, console: Console) -> None:
        await spoken(bmc, console, *(PATTERN[start : start + 100] for start in range(0, len(PATTERN), 100)))
        assert console.tail(len(PATTERN)) == PATTERN
        await console.type(PATTERN[:1000])
        while len(bmc.typed) < 1000:
            bmc.typing.clear()
            await bmc.typing.wait()
        assert bytes(bmc.typed) == PATTERN[:1000]

    play(tmp_path, scene)


def test_connected_again_after_the_line_was_taken_away(tmp_path: Path) -> None:
    async def scene(bmc: FakeIpmiBmc, console: Console) -> None:
        await spoken(bmc, console, b"one")
        bmc.take_line_away()
        bmc.lined.clear()
        await spoken(bmc, console, b"two")
        assert console.tail(100) == b"onetwo"

    play(tmp_path, scene)


def test_connected_again_after_the_line_was_taken_away_without_a_word(tmp_path: Path) -> None:
    async def scene(bmc: FakeIpmiBmc, console: Console) -> None:
        await spoken(bmc, console, b"one")
        bmc.sol = None
        bmc.lined.clear()
        await spoken(bmc, console, b"two")
        assert console.tail(100) == b"onetwo"

    play(tmp_path, scene)


def test_connected_again_after_the_bmc_was_reset(tmp_path: Path) -> None:
    async def scene(bmc: FakeIpmiBmc, console: Console) -> None:
        await spoken(bmc, console, b"one")
        bmc.sessions.clear()
        bmc.sol = None
        bmc.lined.clear()
        await spoken(bmc, console, b"two")
        assert console.tail(100) == b"onetwo"

    play(tmp_path, scene)


def test_bmc_that_lacks_the_question_whether_the_line_is_there_keeps_it(tmp_path: Path) -> None:
    class Old(FakeIpmiBmc):
        def _reply(self, message: bytes, session: Session) -> bytes:
            if message[5] == 0x4A:
                questions.put_nowait(session)
            return super()._reply(message, session)

    questions: asyncio.Queue[Session] = asyncio.Queue()

    async def scene(bmc: FakeIpmiBmc, console: Console) -> None:
        await spoken(bmc, console, b"one")
        assert [await questions.get() for _ in range(3)] == [bmc.sol] * 3

    play(tmp_path, scene, bmc=Old(answers={(6, 0x4A): b"\xc1"}))


class PatientClock(SystemClock):
    """Its sleeps do not end."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[float] = asyncio.Queue()

    async def sleep(self, seconds: float) -> None:
        self.asked.put_nowait(seconds)
        await asyncio.Event().wait()


async def turned(console: Console, state: ConsoleState) -> str:
    """What the person who looks is told then."""
    view = console.view
    while view.state is not state:
        view = await console.changed(view)
    return f"{view.text}; {view.next_action}"


def test_who_looks_is_told_why_there_is_no_line(tmp_path: Path) -> None:
    async def scene(bmc: FakeIpmiBmc, console: Console) -> None:
        await turned(console, ConsoleState.CONNECTED)
        bmc.take_line_away()
        assert "taken by another client; find out who" in await turned(console, ConsoleState.TAKEN)
        await turned(console, ConsoleState.CONNECTED)
        bmc.deaf = True
        bmc.sessions.clear()
        assert "the BMC does not answer; " in await turned(console, ConsoleState.SILENT)
        bmc.deaf = False
        await turned(console, ConsoleState.CONNECTED)

    play(tmp_path, scene)


def test_another_client_that_does_not_let_go(tmp_path: Path) -> None:
    async def scene(bmc: FakeIpmiBmc, console: Console) -> None:
        assert "another client holds" in await turned(console, ConsoleState.TAKEN)

    play(tmp_path, scene, bmc=FakeIpmiBmc(answers={(6, 0x48): b"\x80"}))


@pytest.mark.parametrize(
    ("password", "answers"), [("guess", {}), (PASSWORD, {(6, 0x48): b"\x81"}), (PASSWORD, {(6, 0x48): b"\xd4"})]
)
def test_refusal_is_not_asked_for_again_soon(
    password: str, answers: dict[tuple[int, int], bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = PatientClock()

    async def scene(bmc: FakeIpmiBmc, console: Console) -> None:
        assert await clock.asked.get() == 900.0
        assert not console.connected
        assert console.view.state is ConsoleState.REFUSED
        assert console.view.next_action

    play(tmp_path, scene, password=password, bmc=FakeIpmiBmc(answers=answers), clock=clock)
    assert "no serial console" in caplog.text
    assert password not in caplog.text


def test_reader_that_stalls_loses_nothing() -> None:
    async def play() -> None:
        with listening(FakeIpmiBmc()) as bmc:
            async with asyncio.timeout(15), serial_line(endpoint(bmc.port), SystemClock(), SystemRng(), FAST) as line:
                bmc.speak(*(PATTERN[place : place + 1] for place in range(3000)))
                await bmc.spoken.wait()
                got = b""
                while len(got) < 3000:
                    got += await line.read(1000)
        assert got == PATTERN[:3000]

    asyncio.run(play())
