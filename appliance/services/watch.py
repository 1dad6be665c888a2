"""Whether active machines still answer: a TCP connection to the port that they were entered by."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import IPv4Address

from appliance.conductor.memory import Memory
from appliance.model.ids import MachineName
from appliance.model.phase import Phase
from appliance.ports import Clock
from appliance.store.records import MachineAnswers, MachineSilent

_EVERY = 30.0
_MISSES = 4
_AT_ONCE = 64
_PORT = 22
_PATIENCE = 5.0

Probe = Callable[[IPv4Address], Awaitable[bool]]


async def answers(address: IPv4Address) -> bool:
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            _, writer = await asyncio.open_connection(str(address), _PORT)
            writer.close()
            return True
    return False


class Watch:
    """A machine that a run has in hand, or that a person holds, is left alone."""

    def __init__(self, memory: Memory, probe: Probe, clock: Clock) -> None:
        self._memory, self._probe, self._clock = memory, probe, clock
        self._missed: dict[MachineName, int] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Forever."""
        while True:
            await self._clock.sleep(_EVERY)
            await asyncio.gather(*(self._look(*one) for one in self._watched()))

    def _watched(self) -> list[tuple[MachineName, IPv4Address]]:
        return [
            (state.name, address)
            for state in self._memory.world.machines.values()
            if state.phase is Phase.ACTIVE and state.attempt is None and state.hold is None
            if (address := state.reached_at) is not None
        ]

    async def _look(self, machine: MachineName, address: IPv4Address) -> None:
        async with self._turns:
            heard = await self._probe(address)
        missed = self._missed[machine] = 0 if heard else self._missed.get(machine, 0) + 1
        silent = self._memory.world.machine(machine).silent is not None
        if heard and silent:
            self._memory.note(MachineAnswers(machine=machine))
        elif missed == _MISSES and not silent:
            text = f"{address} has not answered for {_EVERY * _MISSES / 60:.0f} minutes"
            self._memory.note(MachineSilent(machine=machine, text=text))
