"""Stands by every application on container hosts for ever: what was seen to be well is what runs.

A version that did not become well gives way to the last one that did; what others change is changed back, or told.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping

from appliance.conductor.decision import Progress
from appliance.conductor.memory import Memory
from appliance.conductor.runs import open_steps
from appliance.conductor.world import World
from appliance.errors import InnervateError, UnreachableError
from appliance.hosting import verdict
from appliance.hosting.account import Account
from appliance.hosting.words import Sight
from appliance.model.application import AppName
from appliance.model.hosted import ContainerHost, DeployHosted, HostedSpec, RetireHosted
from appliance.model.ids import MachineName
from appliance.model.text import clean
from appliance.ports import Clock
from appliance.services.app_looks import AppLooks
from appliance.services.host_work import HostWork, Wanted
from appliance.store.records import Noted

_LOGGER = logging.getLogger(__name__)
EVERY = 15.0
_KIND = "application"
_SHORT = 300


class HostWatch:
    def __init__(self, memory: Memory, work: HostWork, clock: Clock) -> None:
        self._memory, self._work, self._clock = memory, work, clock
        self._looks = AppLooks[MachineName]()
        self._doubts = dict[tuple[MachineName, AppName], str]()

    async def run(self) -> None:
        """Forever."""
        while True:
            await self._clock.sleep(EVERY)
            await asyncio.gather(*(self._look(name) for name in self._hosts()))

    async def look(self, machine: MachineName) -> None:
        """Once. Raises `InnervateError` where the host does not answer."""
        if machine not in self._hosts():
            return
        seen = await self._work.see(machine)
        if seen.strange:
            self._tell_once(machine, AppName("an account"), seen.strange)
        for name in sorted({*self._good(machine), *seen.accounts}):
            try:
                async with self._work.changing(machine):
                    if (machine, name) not in in_hand(self._memory.world):
                        await self._keep(machine, self._good(machine).get(name), seen.accounts.get(name), seen)
            except UnreachableError:
                raise
            except InnervateError as error:
                self._tell_once(machine, name, f"{error}: {error.evidence}")

    def _good(self, machine: MachineName) -> Mapping[AppName, HostedSpec]:
        """What was seen to be well, now: a step may have come to its end while the host was asked."""
        host = self._memory.world.machine(machine).host
        return {one.app.name: one.app for one in host.applications} if host is not None else {}

    def _hosts(self) -> Mapping[MachineName, ContainerHost]:
        machines = self._memory.world.machines.items()
        return {
            name: state.host
            for name, state in machines
            if state.host is not None and state.installed and not state.silent
        }

    async def _look(self, machine: MachineName) -> None:
        """A host that does not answer is told by who watches machines; what nobody has thought of ends this look, and
        not the watch."""
        try:
            await self.look(machine)
        except InnervateError as error:
            _LOGGER.debug("the applications of %s: %s", machine, error)
        except Exception:
            _LOGGER.exception("the applications of %s could not be looked at", machine)

    async def _keep(self, machine: MachineName, good: HostedSpec | None, there: Account | None, seen: Sight) -> None:
        if good is None:
            assert there is not None  # noqa: S101  one of the two is why it is looked at
            await self._clear(machine, there)
            return
        wanted = await self._work.wanted(good)
        if there is not None and there.revision == wanted.app.package.sha256:
            await self._mend(machine, wanted, seen)
        elif await self._is_put(machine, wanted):
            came = f" from {there.version}, which did not become well" if there is not None else ": it had been removed"
            self._tell(machine, f"{good.name}: back to {good.package.version}{came}")

    async def _clear(self, machine: MachineName, there: Account) -> None:
        """Of an application that never was well, nothing stays half done."""
        if (await self._work.going(machine, there.name, keeps_data=True)).progress is Progress.AT_WORK:
            return
        await self._work.take_away(machine, there, keeps_data=True)
        self._tell_once(machine, there.name, f"{there.version} is taken away again, for it never became well")

    async def _mend(self, machine: MachineName, wanted: Wanted, seen: Sight) -> None:
        name = wanted.app.name
        if why := verdict.changed(name, wanted.units, seen) or verdict.stopped(wanted.units, seen):
            if self._is_sure(machine, name, why):
                await self._undo(machine, wanted, why)
            return
        judged = verdict.judged(name, wanted.units, seen)
        missed = judged.why or await self._work.test(machine, wanted)
        if not missed:
            self._well(machine, name)
            await self._work.prune(machine, wanted, seen)
        elif self._is_sure(machine, name, "not well"):
            self._tell_once(machine, name, f"is not well: {missed}")

    async def _undo(self, machine: MachineName, wanted: Wanted, why: str) -> None:
        name, last = wanted.app.name, (await self._work.job(machine, wanted.job)).problem
        if not wanted.app.heals:
            self._tell_once(machine, name, f"was changed by somebody: {why}")
        elif await self._is_put(machine, wanted):
            mended = f"was not as it was left, and is mended: {why}"
            self._tell_once(machine, name, f"cannot be mended: {last.evidence}" if last is not None else mended)

    async def _is_put(self, machine: MachineName, wanted: Wanted) -> bool:
        """False where that is being done already."""
        if (await self._work.job(machine, wanted.job)).progress is Progress.AT_WORK:
            return False
        await self._work.put(machine, wanted, await self._work.see(machine, wanted.services))
        return True

    def _is_sure(self, machine: MachineName, name: AppName, why: str) -> bool:
        """Seen twice: a host that is just starting is not one that somebody has changed."""
        before = self._doubts.pop((machine, name), "")
        if before != why:
            self._doubts[machine, name] = why
        return before == why

    def _well(self, machine: MachineName, name: AppName) -> None:
        self._doubts.pop((machine, name), None)
        if self._looks.keep(machine, name, ""):
            self._tell(machine, f"{name}: is well again")

    def _tell_once(self, machine: MachineName, name: AppName, words: str) -> None:
        if self._looks.begins(machine, name, clean(words, _SHORT)):
            self._tell(machine, f"{name}: {words}")

    def _tell(self, machine: MachineName, text: str) -> None:
        self._memory.note(Noted(machine=machine, kind=_KIND, text=clean(text, _SHORT)))


def in_hand(world: World) -> Iterator[tuple[MachineName, AppName]]:
    """Those that a run still has a step for."""
    for _, step in open_steps(world.running):
        if isinstance(step.do, DeployHosted | RetireHosted):
            yield step.machine, step.do.app.name
