"""The serial line of a machine, as its BMC passes it on: `async with serial_line(...) as line`, then iterate."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from appliance.bmc.ipmi import device, sol
from appliance.bmc.ipmi.driver import credentials_of, ipmi_address
from appliance.bmc.ipmi.link import IpmiLimits, Link, RefusedRequestError, open_link
from appliance.bmc.ipmi.packet import Payload
from appliance.bmc.ipmi.rakp import SUITES
from appliance.bmc.ipmi.wire import Wire
from appliance.errors import BmcError
from appliance.model.bmc import BmcEndpoint
from appliance.ports import Clock, Rng

_CHUNKS = 1024
_REPEAT_SECONDS = 1.0
_KEEPALIVE_SECONDS = 25


class SerialLine:
    """Iterating yields what the machine prints, as it comes, and ends when the BMC takes the line away. Raises
    `BmcError` when the BMC is gone. A reader that does not keep up makes the BMC wait, and after it the machine."""

    def __init__(self) -> None:
        self._chunks: asyncio.Queue[bytes | BmcError] = asyncio.Queue(_CHUNKS)
        self._link: Link | None = None
        self._state = sol.Sol(room=0)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self._chunks.get():
            if isinstance(chunk, BmcError):
                raise chunk
            yield chunk

    def write(self, text: bytes) -> None:
        self._state, packet = sol.write(self._state, text)
        self._send(packet)

    def send_break(self) -> None:
        """What the operating system hears as a break, such as Linux before a SysRq key."""
        self._state, packet = sol.send_break(self._state)
        self._send(packet)

    def take(self, body: bytes) -> None:
        """What is not taken is not acknowledged, and comes again."""
        if self._link is None or self._chunks.full():
            return
        heard = sol.hear(self._state, body)
        self._state = heard.state
        for packet in heard.replies:
            self._send(packet)
        if heard.text:
            self._chunks.put_nowait(heard.text)
        if heard.over:
            self._end(b"")

    async def activate(self, link: Link) -> None:
        try:
            answer = await link.ask(sol.ACTIVATE, repeat=False)
        except RefusedRequestError as error:
            if error.completion != sol.ALREADY_ACTIVE:
                raise
            # Another session, perhaps ours of before a crash, holds the only line that there is.
            await link.ask(sol.DEACTIVATE)
            answer = await link.ask(sol.ACTIVATE, repeat=False)
        self._link, self._state = link, sol.activated(answer)

    async def attend(self, link: Link, clock: Clock) -> None:
        """Repeats what got lost and keeps the session alive, until cancelled."""
        try:
            while True:
                for _ in range(_KEEPALIVE_SECONDS):
                    await clock.sleep(_REPEAT_SECONDS)
                    self._state, packet = sol.repeat(self._state)
                    self._send(packet)
                await link.ask(device.DEVICE_ID)
        except BmcError as error:
            self._end(error)

    def _end(self, last: bytes | BmcError) -> None:
        if self._chunks.full():
            self._chunks.get_nowait()
        self._chunks.put_nowait(last)

    def _send(self, packet: bytes) -> None:
        if packet and self._link is not None:
            self._link.send(Payload.SOL, packet)


@asynccontextmanager
async def serial_line(
    endpoint: BmcEndpoint, clock: Clock, rng: Rng, limits: IpmiLimits | None = None
) -> AsyncIterator[SerialLine]:
    """In a session and on a socket of its own, so that neither commands nor other lines are in its way."""
    where, line, wire = ipmi_address(endpoint), SerialLine(), Wire()
    try:
        address = await wire.resolve(where.host, where.port)
        link, _ = await open_link(
            lambda: Link(wire, address, clock, rng, limits or IpmiLimits(), line.take),
            credentials_of(endpoint, endpoint.password),
            SUITES,
        )
        try:
            await line.activate(link)
            attendant = asyncio.create_task(line.attend(link, clock))
            try:
                yield line
            finally:
                attendant.cancel()
                await asyncio.wait((attendant,))
        finally:
            with contextlib.suppress(BmcError):
                await link.ask(sol.DEACTIVATE, repeat=False)
            with contextlib.suppress(BmcError):
                await link.close()
    finally:
        wire.close()
