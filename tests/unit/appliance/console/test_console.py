"""A console over a pair of sockets: recorded, followed, typed on, and connected again."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from appliance.console.console import Console, Follower, Line, Source
from appliance.console.record import Record
from appliance.console.source import StreamLine, Streams
from appliance.errors import ConflictError
from appliance.model.ids import MachineName
from appliance.system import SystemClock

Scene = Callable[["Port", Console], Awaitable[None]]


class Port:
    """The serial line: each connection is a new pair of sockets; `refuse` for as long as there is no machine."""

    def __init__(self) -> None:
        self.refuse = False
        self.refused = asyncio.Event()
        self.far: asyncio.Queue[Streams] = asyncio.Queue()
        self._writers: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Line]:
        if self.refuse:
            self.refused.set()
            raise ConnectionRefusedError
        near, far = socket.socketpair()
        stream = await asyncio.open_connection(sock=far)
        self._writers.append(stream[1])
        self.far.put_nowait(stream)
        near_reader, near_writer = await asyncio.open_connection(sock=near)
        try:
            yield StreamLine(near_reader, near_writer)
        finally:
            near_writer.close()

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
            await writer.wait_closed()


def play(folder: Path, scene: Scene) -> None:
    async def whole() -> None:
        line = Port()
        source = Source(open=line.open, retry=0.001)
        console = Console(MachineName("node-0"), source, Record(folder / "c"), SystemClock())
        running = asyncio.create_task(console.run())
        try:
            async with asyncio.timeout(30):
                await scene(line, console)
        finally:
            running.cancel()
            await asyncio.wait({running})
            await line.close()

    asyncio.run(whole())


async def until(follower: Follower, wanted: bytes) -> None:
    seen = b""
    while wanted not in seen:
        seen += await follower.read()


def test_followed_recorded_and_typed(tmp_path: Path) -> None:
    async def scene(line: Port, console: Console) -> None:
        reader, writer = await line.far.get()
        async with console.follow(100) as first, console.follow(0) as second:
            writer.write(b"login: ")
            await until(first, b"login: ")
            await until(second, b"login: ")
        await console.type(b"root\r")
        assert await reader.readexactly(5) == b"root\r"
        assert console.tail(100) == b"login: "
        async with console.follow(3) as late:
            assert await late.read() == b"n: "

    play(tmp_path, scene)


def test_connected_again_after_the_machine_was_off(tmp_path: Path) -> None:
    async def scene(line: Port, console: Console) -> None:
        _, writer = await line.far.get()
        async with console.follow(0) as follower:
            writer.write(b"one")
            await until(follower, b"one")
            line.refuse = True
            writer.close()
            await line.refused.wait()
            with pytest.raises(ConflictError, match="not connected"):
                await console.type(b"?")
            line.refuse = False
            _, writer = await line.far.get()
            writer.write(b"two")
            await until(follower, b"two")
        assert console.tail(100) == b"onetwo"

    play(tmp_path, scene)


def test_a_disk_that_refuses_hides_nothing_from_followers(tmp_path: Path) -> None:
    async def scene(line: Port, console: Console) -> None:
        _, writer = await line.far.get()
        async with console.follow(0) as follower:
            (tmp_path / "c").mkdir()
            writer.write(b"seen")
            await until(follower, b"seen")

    play(tmp_path, scene)


def test_a_slow_follower_loses_the_oldest_and_is_told() -> None:
    async def scene() -> None:
        follower = Follower(b"")
        for number in range(20):
            follower.put(bytes((number,)) * (100 << 10))
        data = await follower.read()
        assert data.startswith(b"\r\n[1024000 bytes lost: too slow]\r\n")
        assert data.endswith(bytes((19,)) * 100)
        assert len(data) < (1 << 20) + 100

    asyncio.run(scene())


def test_a_closed_follower_ends_after_what_is_left() -> None:
    async def scene() -> None:
        follower = Follower(b"past")
        follower.close()
        assert (await follower.read(), await follower.read()) == (b"past", b"")

    asyncio.run(scene())
