"""Stands by every application for ever: what was seen to be well is what runs.

A version that did not become well gives way to the last one that did; what others change is changed back, or told.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping

from appliance.apps import drift, verdict
from appliance.apps import kept as accounts
from appliance.apps.kept import Kept
from appliance.conductor.memory import Memory
from appliance.conductor.runs import open_steps
from appliance.conductor.world import World
from appliance.errors import ClusterError, InnervateError
from appliance.kubernetes.api import Kubernetes
from appliance.kubernetes.resources import Resources
from appliance.model.application import AppAction, AppName, Deployed
from appliance.model.cluster import ClusterName, ClusterSpec
from appliance.model.text import clean
from appliance.ports import Clock
from appliance.services.app_looks import AppLooks
from appliance.services.app_work import AppWork, Wanted
from appliance.services.cluster_hold import Hold
from appliance.store.records import ClusterNoted

_LOGGER = logging.getLogger(__name__)
_EVERY, _THOROUGH = 5.0, 3
"""Seconds between two looks, of which every third asks for each object."""
_SHORT = 300


class AppWatch:
    def __init__(self, memory: Memory, work: AppWork, hold: Hold, looks: AppLooks[ClusterName], clock: Clock) -> None:
        self._memory, self._work, self._hold, self._looks, self._clock = memory, work, hold, looks, clock
        self._count = 0

    async def run(self, clusters: Callable[[], Mapping[ClusterName, ClusterSpec]]) -> None:
        """Forever."""
        while True:
            await self._clock.sleep(_EVERY)
            self._count += 1
            for cluster in clusters().values():
                try:
                    await self.look(cluster)
                except InnervateError:
                    continue  # whoever watches the cluster tells that it does not answer
                except Exception:
                    _LOGGER.exception("the applications of %s could not be looked at", cluster.name)

    async def look(self, cluster: ClusterSpec) -> None:
        if self._hold.keys.access(cluster.name) is None:
            return
        async with self._hold.open(cluster) as api:
            resources = Resources(api)
            there = {one.name: one for one in self._accounts(cluster, await resources.kept())}
            for name in sorted({*self._good(cluster), *there}):
                try:
                    async with self._work.changing(cluster):
                        if (cluster.name, name) not in in_hand(self._memory.world):
                            good = self._good(cluster).get(name)
                            await self._keep(cluster, good, there.get(name), api, resources)
                except InnervateError as error:
                    self._tell_once(cluster, name, f"{error}: {error.evidence}")

    def _good(self, cluster: ClusterSpec) -> Mapping[AppName, Deployed]:
        """What was seen to be well, now: a step may have come to its end while the cluster was asked."""
        running = self._memory.world.applications.items()
        return {name: one for (where, name), one in running if where == cluster.name}

    def _accounts(self, cluster: ClusterSpec, found: Iterable[object]) -> Iterator[Kept]:
        """One that somebody has spoilt is no reason to look at no other."""
        for live in found:
            try:
                yield accounts.read(live)
            except ClusterError as error:
                self._tell_once(cluster, AppName("an account"), f"{error}: {error.evidence}")

    async def _keep(
        self, cluster: ClusterSpec, good: Deployed | None, there: Kept | None, api: Kubernetes, resources: Resources
    ) -> None:
        if good is None:
            assert there is not None  # noqa: S101  one of the two is why it is looked at
            await self._clear(cluster, there, resources)
            return
        is_there = there is not None and there.revision == good.app.package.sha256
        if is_there and self._count % _THOROUGH:
            return
        wanted = await self._work.wanted(cluster, good.app, resources)
        if there is None or not is_there:
            await self._work.put(wanted, there, resources)
            came = f" from {there.version}, which did not become well" if there is not None else ": it had been removed"
            self._tell(cluster, f"{good.app.name}: back to {good.app.package.version}{came}")
        else:
            await self._mend(cluster, wanted, there, api, resources)

    async def _mend(
        self, cluster: ClusterSpec, wanted: Wanted, there: Kept, api: Kubernetes, resources: Resources
    ) -> None:
        await self._undo(cluster, wanted, resources)
        await self._work.lead(cluster, wanted, api, resources)
        verdicts, causes = await self._work.look(wanted, resources)
        if why := verdict.words(verdicts, causes):
            self._tell_once(cluster, wanted.app.name, f"is not well: {why}")
            return
        self._well(cluster, wanted.app.name)
        await self._work.prune(wanted, there, resources)

    async def _clear(self, cluster: ClusterSpec, there: Kept, resources: Resources) -> None:
        """Of an application that never was well, nothing stays half done."""
        await self._work.forget(cluster.name, there.name)
        if not await self._work.remove(there, resources, keeps_data=True):
            self._tell(cluster, f"{there.name}: {there.version} was taken away again: it never became well")

    async def _undo(self, cluster: ClusterSpec, wanted: Wanted, resources: Resources) -> None:
        for document in wanted.documents:
            live = await resources.get(document.ref)
            changed = drift.differences(live, await resources.apply(document, dry=True)) if live is not None else "gone"
            if not changed:
                continue
            words = f"{document.ref} was changed by somebody: {changed}"
            if wanted.app.heals:
                await resources.apply(document)
                self._tell(cluster, f"{wanted.app.name}: {words}; changed back")
            else:
                self._tell_once(cluster, wanted.app.name, words)

    def _well(self, cluster: ClusterSpec, name: AppName) -> None:
        if self._looks.keep(cluster.name, name, ""):
            self._tell(cluster, f"{name}: is well again")

    def _tell_once(self, cluster: ClusterSpec, name: AppName, words: str) -> None:
        if self._looks.begins(cluster.name, name, clean(words, _SHORT)):
            self._tell(cluster, f"{name}: {words}")

    def _tell(self, cluster: ClusterSpec, text: str) -> None:
        self._memory.note(ClusterNoted(cluster=cluster.name, text=clean(text, _SHORT), refused=False))


def in_hand(world: World) -> Iterator[tuple[ClusterName, AppName]]:
    """Those that a run still has a step for."""
    for _, step in open_steps(world.running):
        if isinstance(step.do, AppAction):
            yield step.do.cluster.name, step.do.app.name
