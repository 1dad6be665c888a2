"""All machines of the site behind one Redfish service, whatever their BMCs speak."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from appliance.bmc.port import FullBmc, Progress
from appliance.conductor.memory import Memory
from appliance.errors import BmcError, BmcUnsupportedError
from appliance.fleet.views import NO_OVERRIDE, Look, view_of
from appliance.model.bmc import (
    BmcEndpoint,
    BootOverride,
    EventLogEntry,
    FirmwareItem,
    Indicator,
    MediaSlot,
    PowerCommand,
    Sensor,
)
from appliance.model.ids import MachineName
from appliance.ports import Clock
from appliance.redfish.errors import AbsentResourceError, RefusedActionError, UnavailableError
from appliance.redfish.messages import MessageId, say
from appliance.redfish.model import SystemView
from appliance.store.records import PowerCommanded

T = TypeVar("T")

_FRESH = 1.0
"""A client reads a system's resources one after the other: seconds for which one look at its BMC serves them all."""
_SILENT = 15.0
_LOOK_SECONDS = 5.0
_RETRY = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    endpoint: BmcEndpoint
    console: bool


class Fleet:
    """Implements `appliance.redfish.backend.Backend`. A BMC that does not answer takes nobody else's time: its machine
    is shown with what the inventory knows and an unknown power state."""

    def __init__(
        self,
        members: Mapping[MachineName, Member],
        bmc_of: Callable[[MachineName], FullBmc],
        memory: Memory,
        clock: Clock,
    ) -> None:
        self._members, self._bmc_of, self._memory, self._clock = members, bmc_of, memory, clock
        self._looks: dict[MachineName, tuple[float, Look]] = {}
        self._looking: defaultdict[MachineName, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._listeners: set[asyncio.Queue[str]] = set()
        memory.on_change(self._follow)

    async def systems(self) -> tuple[str, ...]:
        return tuple(self._members)

    async def system(self, system: str) -> SystemView:
        name, member = self._find(system)
        look = await self._look(name)
        return view_of(self._memory.world.machine(name), member.endpoint, look, console=member.console)

    async def sensors(self, system: str) -> tuple[Sensor, ...]:
        return await self._read(system, lambda bmc: bmc.sensors(), ())

    async def log(self, system: str) -> tuple[EventLogEntry, ...]:
        return await self._read(system, lambda bmc: bmc.event_log(), ())

    async def media(self, system: str) -> tuple[MediaSlot, ...]:
        return await self._read(system, lambda bmc: bmc.media(), ())

    async def firmware(self, system: str) -> tuple[FirmwareItem, ...]:
        return await self._read(system, lambda bmc: bmc.firmware(), ())

    async def reset(self, system: str, command: PowerCommand) -> None:
        name = self._free(system)
        record = PowerCommanded(machine=name, command=command.value, boots=command.boots)
        await self._memory.remember(record)
        await self._change(name, lambda bmc: bmc.command(command))

    async def set_boot(self, system: str, override: BootOverride) -> None:
        """What the BMC reads back is what the client is shown next."""
        await self._change(self._free(system), lambda bmc: bmc.set_boot(override))

    async def insert_media(self, system: str, slot: str, image: str) -> None:
        await self._change(self._free(system), lambda bmc: bmc.insert(slot, image))

    async def eject_media(self, system: str, slot: str) -> None:
        await self._change(self._free(system), lambda bmc: bmc.eject(slot))

    async def set_indicator(self, system: str, indicator: Indicator) -> None:
        await self._change(self._find(system)[0], lambda bmc: bmc.set_indicator(indicator))

    async def clear_log(self, system: str) -> None:
        await self._change(self._find(system)[0], lambda bmc: bmc.clear_event_log())

    async def reset_manager(self, system: str) -> None:
        await self._change(self._free(system), lambda bmc: bmc.reset_bmc())

    async def update(self, system: str, image: str, items: tuple[str, ...], progress: Progress) -> None:
        await self._change(self._free(system), lambda bmc: bmc.update(image, progress, items))

    async def changes(self) -> AsyncIterator[str]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)

    def _find(self, system: str) -> tuple[MachineName, Member]:
        for name, member in self._members.items():
            if name == system:
                return name, member
        raise AbsentResourceError(f"the site has no machine {system[:64]!r}", next_action="list the systems")

    def _free(self, system: str) -> MachineName:
        """Two masters of one machine's power would undo each other's work."""
        name, _ = self._find(system)
        state = self._memory.world.machine(name)
        if state.hold is not None:
            raise RefusedActionError(f"{name} is held: {state.hold.reason}", next_action="release it first")
        if state.attempt is not None:
            seen = f"step {state.attempt.step}"
            raise RefusedActionError(f"a run works on {name}", evidence=seen, next_action="wait until it has ended")
        return name

    async def _look(self, name: MachineName) -> Look:
        async with self._looking[name]:
            until, look = self._looks.get(name, (0.0, None))
            if look is None or self._clock.monotonic() >= until:
                look = await self._ask(name)
                fresh = _FRESH if look.answers else _SILENT
                self._looks[name] = self._clock.monotonic() + fresh, look
            return look

    async def _ask(self, name: MachineName) -> Look:
        bmc = self._bmc_of(name)
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                return Look(
                    answers=True,
                    power=await bmc.power_state(),
                    boot=await _or(bmc.boot(), NO_OVERRIDE),
                    indicator=await _or(bmc.indicator(), Indicator.UNKNOWN),
                )
        except (BmcError, TimeoutError):
            return Look(answers=False)

    async def _read(self, system: str, read: Callable[[FullBmc], Awaitable[T]], otherwise: T) -> T:
        name, _ = self._find(system)
        with _told():
            return await _or(read(self._bmc_of(name)), otherwise)

    async def _change(self, name: MachineName, change: Callable[[FullBmc], Awaitable[object]]) -> None:
        try:
            with _told():
                await change(self._bmc_of(name))
        finally:
            self._looks.pop(name, None)
            self._follow(frozenset({name}))

    def _follow(self, machines: frozenset[MachineName]) -> None:
        for queue in self._listeners:
            for name in machines:
                queue.put_nowait(name)


async def _or(answer: Awaitable[T], otherwise: T) -> T:
    """For what a BMC need not have."""
    try:
        return await answer
    except BmcUnsupportedError:
        return otherwise


@contextmanager
def _told() -> Iterator[None]:
    """Errors of drivers, as the service's clients are told them."""
    try:
        yield
    except BmcUnsupportedError as error:
        reason = say(MessageId.ACTION_NOT_SUPPORTED, "that was asked for")
        raise RefusedActionError(
            str(error), reason=reason, evidence=error.evidence, next_action=error.next_action
        ) from error
    except BmcError as error:
        raise UnavailableError(str(error), retry_after=_RETRY, evidence=error.evidence) from error
