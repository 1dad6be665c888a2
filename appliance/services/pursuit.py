"""Pursues goals: when a goal's run is over, the daemon itself makes the next plan, and carries it out or asks."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from appliance.conductor.memory import Memory
from appliance.conductor.outbox import problem_of
from appliance.errors import ConflictError, InnervateError, MachineryError
from appliance.model.ids import GoalId, MachineName, RunId
from appliance.ports import Clock
from appliance.store.records import Problem

_LOGGER = logging.getLogger(__name__)
_STANDSTILL = 5.0


class Pursuit:
    """`go_on` takes a goal whose runs are over one step further. It keeps nothing that a crash could take: which goals
    are open, and where they stand, is in the world."""

    def __init__(self, memory: Memory, go_on: Callable[[GoalId], Awaitable[None]], clock: Clock) -> None:
        self._memory, self._go_on, self._clock = memory, go_on, clock
        self._some = asyncio.Event()
        self._some.set()
        self._looked: dict[GoalId, frozenset[RunId]] = {}
        memory.on_change(self._note)

    async def run(self) -> None:
        """Forever."""
        while True:
            await self._some.wait()
            self._some.clear()
            for goal in self._memory.world.open_goals:
                await self._look(goal.id)

    def _note(self, _machines: frozenset[MachineName]) -> None:
        """Only runs that begin or end can take a goal further: what was looked at among the same runs can wait."""
        world = self._memory.world
        if any(self._looked.get(goal.id) != world.running_ids for goal in world.open_goals):
            self._some.set()

    async def _look(self, goal: GoalId) -> None:
        self._looked[goal] = self._memory.world.running_ids
        try:
            await self._go_on(goal)
        except ConflictError as error:
            _LOGGER.info("goal=%s waits: %s", goal, error)
        except MachineryError as error:
            _LOGGER.error("goal=%s %s: %s", goal, error, error.evidence)
            del self._looked[goal]
            await self._clock.sleep(_STANDSTILL)
            self._some.set()


def why_not(error: Exception) -> Problem:
    """Why there is no plan."""
    if isinstance(error, InnervateError):
        return problem_of(error)
    return Problem(
        code="fault",
        message="a fault in the site program or in the appliance stopped the planning",
        evidence=f"{type(error).__name__}: {error}"[:300],
        next_action="read the daemon's log, mend the program, then: innervate apply",
    )
