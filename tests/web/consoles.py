"""A serial console to look at: its line is the test's, the rest is the product's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from appliance.console.console import Console, Line, LineError, Source
from appliance.console.record import Record
from appliance.model.ids import MachineName
from appliance.system import SystemClock


@dataclass
class Wire:
    """A line that hears what is typed and says what it is told; `cut` ends it as the BMC would."""

    typed: bytearray = field(default_factory=bytearray)
    refuses: LineError | None = None
    _said: asyncio.Queue[bytes | LineError] = field(default_factory=asyncio.Queue)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def say(self, data: bytes) -> None:
        self._said.put_nowait(data)

    async def cut(self, why: LineError) -> None:
        """It stays cut until `refuses` is taken back."""
        self.refuses = why
        self._said.put_nowait(why)

    async def read(self, most: int, /) -> bytes:
        said = await self._said.get()
        if isinstance(said, LineError):
            raise said
        return said

    def write(self, data: bytes, /) -> None:
        self.typed += data
        self._news.set()

    async def heard(self, count: int) -> bytes:
        """What was typed, once it is as long as that."""
        async with asyncio.timeout(15):
            while len(self.typed) < count:
                self._news.clear()
                await self._news.wait()
        return bytes(self.typed)

    async def drain(self) -> None:
        return

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Line]:
        if self.refuses is not None:
            raise self.refuses
        yield self


def console_on(wire: Wire, folder: Path, machine: str) -> Console:
    """To be run on the loop that serves."""
    source = Source(open=wire.open, retry=0.05)
    return Console(MachineName(machine), source, Record(folder / f"{machine}.console"), SystemClock())
