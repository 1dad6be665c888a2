"""Keeps one program running: whatever it dies of, it is started again, later each time. What it does is no part of the
daemon's own life: neither its end nor its absence ends anything else."""

import asyncio
import contextlib
import logging
import signal
from collections import deque
from collections.abc import Sequence

from appliance.errors import MachineryError
from appliance.model.text import clean
from appliance.ports import Clock
from appliance.supervision.decision import Standing, ended, pause, started
from appliance.supervision.ports import Child, Children

_LOGGER = logging.getLogger(__name__)
_LINE, _LINES = 300, 5
_GRACE_SECONDS = 5.0


class Keeper:
    """`name` is for people."""

    def __init__(self, name: str, argv: Sequence[str], children: Children, clock: Clock) -> None:
        self.name, self._argv = name, tuple(argv)
        self._children, self._clock = children, clock
        self._child: Child | None = None
        self._said: deque[str] = deque(maxlen=_LINES)
        self.standing = Standing()

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    @property
    def said(self) -> tuple[str, ...]:
        """Its last lines."""
        return tuple(self._said)

    def signal(self, number: int) -> None:
        """Nothing where it does not run."""
        if self._child is not None:
            self._child.signal(number)

    async def run(self) -> None:
        """Until it is cancelled; the program has then ended, too."""
        while True:
            last = await self._once()
            self.standing = ended(self.standing, self._clock.now(), last)
            seconds = pause(self.standing)
            _LOGGER.warning("%s ended (%s); it is started again in %g s", self.name, last, seconds)
            await self._clock.sleep(seconds)

    async def _once(self) -> str:
        self._said.clear()
        try:
            self._child = await self._children.start(self._argv, self._hear)
        except MachineryError as error:
            return f"{error}: {error.evidence}"
        self.standing = started(self.standing, self._clock.now())
        try:
            status = await self._child.wait()
        except asyncio.CancelledError:
            await asyncio.shield(_finished(self._child))
            raise
        finally:
            self._child = None
        return f"status {status}: {' | '.join(self._said)}"

    def _hear(self, line: str) -> None:
        said = clean(line, _LINE)
        self._said.append(said)
        _LOGGER.debug("%s: %s", self.name, said)


async def _finished(child: Child) -> None:
    child.signal(signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GRACE_SECONDS):
            await child.wait()
            return
    child.signal(signal.SIGKILL)
    await child.wait()
