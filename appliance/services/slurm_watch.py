"""Looks at every Slurm cluster now and then, and tells what is not as it was left: once for each state of it."""

import asyncio
import logging
from collections.abc import Mapping

from appliance.conductor.memory import Memory
from appliance.errors import InnervateError
from appliance.model.cluster import ClusterName
from appliance.model.slurm import SlurmSpec
from appliance.ports import Clock
from appliance.services.slurm import SlurmDesk
from appliance.store.records import ClusterNoted

_LOGGER = logging.getLogger(__name__)
_EVERY = 300.0


class SlurmWatch:
    def __init__(self, memory: Memory, desk: SlurmDesk, clock: Clock) -> None:
        self._memory, self._desk, self._clock = memory, desk, clock
        self._told: dict[ClusterName, str] = {}

    async def run(self) -> None:
        """Forever."""
        while True:
            await self._clock.sleep(_EVERY)
            await asyncio.gather(*(self._look(spec) for spec in self.clusters().values()))

    def clusters(self) -> Mapping[ClusterName, SlurmSpec]:
        """As their first controllers were last told, and found at work since."""
        members = (state.slurm for state in self._memory.world.machines.values())
        return {
            one.home.name: one.spec for one in members if one is not None and one.spec is not None and one.confirmed
        }

    async def look(self, spec: SlurmSpec) -> None:
        """One that does not answer is told as such."""
        try:
            differs = "; ".join(await self._desk.differences(spec))
        except InnervateError as error:
            differs = f"it cannot be looked at: {error}"
        if self._told.get(spec.home.name, "") != differs:
            self._told[spec.home.name] = differs
            text = f"{spec.home.name}: {differs or 'it is as it was left again'}"
            self._memory.note(ClusterNoted(cluster=spec.home.name, text=text[:600], refused=False))

    async def _look(self, spec: SlurmSpec) -> None:
        """What nobody has thought of ends this look, and not the watch."""
        try:
            await self.look(spec)
        except Exception:
            _LOGGER.exception("the cluster %s could not be looked at", spec.home.name)
