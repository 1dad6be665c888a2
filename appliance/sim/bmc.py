"""The BMC of a simulated machine: takes its time, and has the faults of its kind.

What it was told travels by itself: that the appliance dies or gives up waiting does not call it back.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from enum import Enum, auto
from typing import Protocol, TypeVar

from redfish.aio import RedfishTimeoutError

from appliance.bmc.port import Bmc, MediaControl
from appliance.bmc.redfish_errors import bmc_error
from appliance.errors import BmcError, BmcUnsupportedError
from appliance.model.bmc import (
    BmcEndpoint,
    BootOverride,
    BootTarget,
    BootTerm,
    MediaSlot,
    PowerCommand,
    PowerState,
    SystemIdentity,
)
from appliance.sim.faults import Character, MachineFault
from appliance.sim.trace import Trace

T = TypeVar("T")

_PATIENCE = 30.0
"""Seconds after which a driver gives up on a BMC that does not answer."""

_HUNG = 25.0
_DISCS = frozenset({"CD"})
_DISABLED = BootOverride(target=BootTarget.NONE, term=BootTerm.DISABLED)


class Body(Protocol):
    """The machine behind the BMC."""

    @property
    def name(self) -> str: ...

    @property
    def is_on(self) -> bool: ...

    def identity(self) -> SystemIdentity: ...

    def obey(self, command: PowerCommand) -> None: ...

    def override(self, target: BootTarget) -> None:
        """For the next boot; NONE takes it back."""
        ...


class _Manner(Enum):
    PLAIN = auto()
    SILENT = auto()
    HUNG = auto()
    REFUSES = auto()
    LOSES_ANSWER = auto()


_MANNERS = {
    MachineFault.BMC_SILENT: _Manner.SILENT,
    MachineFault.BMC_HUNG: _Manner.HUNG,
    MachineFault.BMC_REFUSES: _Manner.REFUSES,
    MachineFault.ANSWERS_LOST: _Manner.LOSES_ANSWER,
}


class SimBmc(Bmc, MediaControl):
    """`has_drive`: it can carry a medium; others know what IPMI knows."""

    def __init__(
        self,
        body: Body,
        character: Character,
        endpoint: BmcEndpoint,
        loop: asyncio.AbstractEventLoop,
        trace: Trace,
        *,
        has_drive: bool,
    ) -> None:
        self._slot = MediaSlot(id="Cd", media_types=_DISCS, image="", inserted=False) if has_drive else None
        self._endpoint = endpoint
        self._body, self._character, self._loop, self._trace = body, character, loop, trace
        self._override = _DISABLED
        self._forgotten = 0

    def used(self) -> None:
        """The machine has booted: a one-time override is used up."""
        self._override = _DISABLED

    async def identify(self) -> SystemIdentity:
        return await self._exchange("identify", self._body.identity)

    async def power_state(self) -> PowerState:
        return await self._exchange("power?", self._power)

    async def command(self, command: PowerCommand) -> None:
        await self._exchange(command.value, lambda: self._body.obey(command), changes=True)

    async def boot(self) -> BootOverride:
        return await self._exchange("boot?", lambda: self._override)

    async def set_boot(self, override: BootOverride) -> BootOverride:
        return await self._exchange(f"boot {override.target.value}", lambda: self._set(override), changes=True)

    async def media(self) -> tuple[MediaSlot, ...]:
        return await self._exchange("media?", lambda: (self._drive(),))

    async def insert(self, slot: str, image: str) -> MediaSlot:
        return await self._exchange("insert", lambda: self._load(image), changes=True)

    async def eject(self, slot: str) -> MediaSlot:
        return await self._exchange("eject", lambda: self._load(""), changes=True)

    @property
    def image(self) -> str:
        """The URL of what is in its drive."""
        return self._slot.image if self._slot is not None else ""

    async def close(self) -> None:
        return

    def _drive(self) -> MediaSlot:
        if self._slot is None:
            raise BmcUnsupportedError("this BMC has no virtual media")
        return self._slot

    def _load(self, image: str) -> MediaSlot:
        self._slot = replace(self._drive(), image=image, inserted=bool(image))
        return self._slot

    def _power(self) -> PowerState:
        lies = self._character.fault is MachineFault.BMC_LIES and self._is_struck()
        return PowerState.ON if self._body.is_on is not lies else PowerState.OFF

    def _set(self, override: BootOverride) -> BootOverride:
        if self._character.fault is MachineFault.FORGETS_OVERRIDE and self._forgotten < self._character.times:
            self._forgotten += 1
            return _DISABLED
        self._override = _DISABLED if override.term is BootTerm.DISABLED else override
        self._body.override(self._override.target)
        return self._override

    async def _exchange(self, what: str, effect: Callable[[], T], *, changes: bool = False) -> T:
        """Raises `BmcError`."""
        manner, latency = self._manner(), self._character.bmc
        if manner is _Manner.SILENT:
            await asyncio.sleep(_PATIENCE)
            raise self._silent(what)
        if manner is _Manner.REFUSES:
            await asyncio.sleep(latency)
            raise BmcError("the BMC refuses", evidence=f"{what}: 503", next_action="reset the BMC")
        there = _HUNG if manner is _Manner.HUNG else latency / 2
        done: asyncio.Future[T] = self._loop.create_future()
        self._loop.call_later(there, self._arrive, what, effect, done)
        answer = await done
        if manner is _Manner.LOSES_ANSWER and changes:
            await asyncio.sleep(_PATIENCE)
            raise self._silent(what)
        await asyncio.sleep(latency / 2)
        return answer

    def _silent(self, what: str) -> BmcError:
        """As the driver says it, whether the request or its answer was lost."""
        self._trace.say("bmc", self._body.name, f"{what}: no answer")
        return bmc_error(RedfishTimeoutError("Redfish request timed out"), self._endpoint)

    def _arrive(self, what: str, effect: Callable[[], T], done: "asyncio.Future[T]") -> None:
        self._trace.say("bmc", self._body.name, what)
        try:
            answer = effect()
        except BmcError as error:
            if not done.done():
                done.set_exception(error)
            return
        if not done.done():
            done.set_result(answer)

    def _manner(self) -> _Manner:
        manner = _MANNERS.get(self._character.fault, _Manner.PLAIN)
        return manner if self._is_struck() else _Manner.PLAIN

    def _is_struck(self) -> bool:
        begins = self._character.begins
        return begins <= self._loop.time() < begins + self._character.seconds
