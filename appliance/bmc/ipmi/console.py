"""The serial line of a machine, as its BMC passes it on: `async with serial_line(...) as line`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from appliance.bmc.ipmi import sol
from appliance.bmc.ipmi.driver import credentials_of, ipmi_address
from appliance.bmc.ipmi.link import IpmiLimits, Link, RefusedRequestError, open_link
from appliance.bmc.ipmi.packet import Payload
from appliance.bmc.ipmi.rakp import SUITES
from appliance.bmc.ipmi.wire import Wire
from appliance.errors import BmcError, BmcUnsupportedError
from appliance.model.bmc import BmcEndpoint
from appliance.ports import Clock, Rng

_ROOM = 4 << 20
_AHEAD = 4096
_REPEAT_SECONDS = 1.0
_KEEPALIVE_SECONDS = 25


class SerialLine:
    """A reader that does not keep up is waited for with 4 MiB of room, six minutes of a line at 115200 Bd. After that
    the BMC is made to wait: it repeats for as long as it is set to, and then characters are lost."""

    def __init__(self) -> None:
        self._heard = bytearray()
        self._end: BmcError | None = None
        self._over = False
        self._news, self._moved = asyncio.Event(), asyncio.Event()
        self._link: Link | None = None
        self._state = sol.Sol(room=0)

    @property
    def over(self) -> bool:
        return self._over

    @property
    def lost(self) -> bool:
        """The BMC is gone, and its session with it."""
        return self._end is not None

    async def read(self, most: int) -> bytes:
        """What the machine prints, as it comes; b"" once the BMC has taken the line away. Raises `BmcError` when the
        BMC is gone."""
        while not self._heard and not self._over:
            self._news.clear()
            await self._news.wait()
        if not self._heard and self._end is not None:
            raise self._end
        text = bytes(self._heard[:most])
        del self._heard[:most]
        return text

    def write(self, text: bytes) -> None:
        self._state, packet = sol.write(self._state, text)
        self._send(packet)

    async def drain(self) -> None:
        """Returns when the BMC has nearly caught up with what was written, or never will."""
        while len(self._state.pending) > _AHEAD and not self._over:
            self._moved.clear()
            await self._moved.wait()

    def send_break(self) -> None:
        """What the operating system hears as a break, such as Linux before a SysRq key."""
        self._state, packet = sol.send_break(self._state)
        self._send(packet)

    def take(self, body: bytes) -> None:
        """Text that there is no room for is not acknowledged, and comes again."""
        if self._link is None:
            return
        heard = sol.hear(self._state, body if len(self._heard) < _ROOM else sol.acknowledgements_of(body))
        self._state = heard.state
        for packet in heard.replies:
            self._send(packet)
        self._heard += heard.text
        self._news.set()
        self._moved.set()
        if heard.over:
            self._finish(None)

    async def activate(self, link: Link) -> None:
        self._link = link  # the first words may come together with the answer
        try:
            answer = await link.ask(sol.ACTIVATE, repeat=False)
        except RefusedRequestError as error:
            if error.completion in sol.NOT_ALLOWED:
                action = "enable serial over LAN, encrypted, for this user on the BMC"
                raise BmcUnsupportedError(
                    "the BMC does not allow its serial line", evidence=error.evidence, next_action=action
                ) from error
            if error.completion != sol.ALREADY_ACTIVE:
                raise
            # Another session, perhaps ours of before a crash, holds the only line that there is.
            await link.ask(sol.DEACTIVATE)
            answer = await link.ask(sol.ACTIVATE, repeat=False)
        self._state = replace(self._state, room=sol.room_of(answer))

    async def attend(self, link: Link, clock: Clock) -> None:
        """Repeats what got lost and keeps the session alive, until cancelled or the line is gone. Not every BMC tells
        when it gives the line to someone else: it is asked."""
        try:
            while not self._over:
                for _ in range(_KEEPALIVE_SECONDS):
                    await clock.sleep(_REPEAT_SECONDS)
                    self._state, packet = sol.repeat(self._state)
                    self._send(packet)
                if not sol.is_active(await _status(link)):
                    self._finish(None)
        except BmcError as error:
            self._finish(error)

    def _finish(self, error: BmcError | None) -> None:
        self._over, self._end = True, error
        self._news.set()
        self._moved.set()

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
            await _hang_up(link, line)
    finally:
        wire.close()


async def _hang_up(link: Link, line: SerialLine) -> None:
    if line.lost:
        link.abandon()
        return
    if not line.over:  # else it would be taken from whoever has it now
        with contextlib.suppress(BmcError):
            await link.ask(sol.DEACTIVATE, repeat=False)
    with contextlib.suppress(BmcError):
        await link.close()


async def _status(link: Link) -> bytes:
    """Any answer keeps the session alive; few BMCs lack this command."""
    try:
        return await link.ask(sol.STATUS)
    except (RefusedRequestError, BmcUnsupportedError):
        return b""
