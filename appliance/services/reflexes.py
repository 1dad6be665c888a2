"""Follows the world and does what reflexes demand: one at a time, in the order in which machines changed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import assert_never

from appliance.conductor.memory import Memory
from appliance.conductor.reflex import Hold, Reaction, Run, notice, reaction
from appliance.errors import InnervateError, MachineryError, RefusedError
from appliance.model.ids import MachineName
from appliance.model.reflex import Reflexes
from appliance.model.views import Errand
from appliance.ports import Clock
from appliance.store.records import HoldPlaced, Noted

_LOGGER = logging.getLogger(__name__)
_BY = "reflex"
_AGAIN_SECONDS = 60.0
"""After which it is looked again whether what stood in the way of an errand still does."""

SeeThrough = Callable[[MachineName, Errand, str], Awaitable[None]]


class ReflexArc:
    """`see_through` plans and runs an errand; what it refuses is told once, until the machine's trouble is another.
    What the doctor's findings stand in the way of is tried again."""

    def __init__(self, memory: Memory, reflexes: Reflexes, see_through: SeeThrough, clock: Clock) -> None:
        self._memory, self._reflexes, self._see_through, self._clock = memory, reflexes, see_through, clock
        self._changed: dict[MachineName, None] = dict.fromkeys(sorted(memory.world.machines))
        self._refused: dict[MachineName, str] = {}
        self._stopped: dict[MachineName, str] = {}
        self._errands: dict[MachineName, asyncio.Task[None]] = {}
        self._some = asyncio.Event()
        memory.on_change(self._note)

    async def run(self) -> None:
        """Forever."""
        async with asyncio.TaskGroup() as errands:
            while True:
                while self._changed:
                    machine = next(iter(self._changed))
                    del self._changed[machine]
                    await self._look(machine, errands)
                self._some.clear()
                await self._some.wait()

    def _note(self, machines: frozenset[MachineName]) -> None:
        if machines:
            self._changed.update(dict.fromkeys(sorted(machines)))
            self._some.set()

    async def _look(self, machine: MachineName, errands: asyncio.TaskGroup) -> None:
        state = self._memory.world.machine(machine)
        try:
            if (noticed := notice(state, self._clock.now())) is not None:
                await self._memory.remember(noticed)
                state = self._memory.world.machine(machine)
            if (wanted := reaction(state, self._reflexes)) is not None and machine not in self._errands:
                await self._react(machine, wanted, errands)
        except MachineryError as error:
            _LOGGER.error("machine=%s reflex: %s", machine, error)

    async def _react(self, machine: MachineName, wanted: Reaction, errands: asyncio.TaskGroup) -> None:
        match wanted:
            case Hold(reason=reason):
                await self._memory.remember(HoldPlaced(machine=machine, reason=f"{_BY}: {reason}"))
            case Run(errand=errand, why=why):
                if self._refused.get(machine) != why:
                    _LOGGER.warning("machine=%s reflex: %s, because %s", machine, errand.value, why)
                    work = self._run(machine, errand, why)
                    self._errands[machine] = errands.create_task(work, name=f"reflex {machine}")
            case _:
                assert_never(wanted)

    async def _run(self, machine: MachineName, errand: Errand, why: str) -> None:
        try:
            if self._stopped.get(machine) != why:
                await self._memory.remember(Noted(machine=machine, kind=_BY, text=f"{errand.value}: {why}"))
            await self._see_through(machine, errand, _BY)
        except RefusedError as error:
            if self._stopped.get(machine) != why:
                self._tell(machine, errand, error)
            self._stopped[machine] = why
            await self._clock.sleep(_AGAIN_SECONDS)
            self._note(frozenset({machine}))
        except InnervateError as error:
            self._refused[machine] = why
            self._tell(machine, errand, error)
        finally:
            del self._errands[machine]

    def _tell(self, machine: MachineName, errand: Errand, error: InnervateError) -> None:
        text = f"{errand.value} is not possible: {error}; {error.next_action}"
        self._memory.note(Noted(machine=machine, kind=_BY, text=text))
