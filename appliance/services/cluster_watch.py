"""Stands by every cluster for ever: kubelets ask for certificates when they join, and again before those end."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from appliance.conductor.memory import Memory
from appliance.errors import InnervateError, MachineryError
from appliance.kubernetes.api import Kubernetes
from appliance.kubernetes.csr import NodeIdentity, Request, Ruling, judge
from appliance.kubernetes.objects import Access
from appliance.model.cluster import ClusterName, ClusterSpec
from appliance.model.ids import MachineName
from appliance.model.okd import OKD_JOINER, OkdSpec
from appliance.model.text import clean
from appliance.ports import Clock
from appliance.services.cluster_hold import Opened, url_of
from appliance.services.cluster_keys import ClusterKeys
from appliance.services.cluster_looks import ClusterLook, ClusterLooks, change_of
from appliance.store.records import ClusterNoted

_LOGGER = logging.getLogger(__name__)
_EVERY = 2.0
_NAME, _USER = 80, 80

_ODD = MachineryError(
    "the appliance could not look at it", next_action="read the daemon's log, and report what it says"
)

Connect = Callable[[str, Access], Opened]


class ClusterWatch:
    """`domain` is that of the machines' names, `coming` are clusters that are being made and have no member yet."""

    def __init__(
        self,
        memory: Memory,
        keys: ClusterKeys,
        connect: Connect,
        looks: ClusterLooks,
        domain: str,
        clock: Clock,
        coming: Callable[[], Mapping[ClusterName, OkdSpec]] = dict,
    ) -> None:
        self._coming = coming
        self._memory, self._keys, self._connect, self._domain, self._clock = memory, keys, connect, domain, clock
        self._looks = looks

    async def run(self) -> None:
        """Forever. A cluster that is slow to answer keeps no other waiting longer than one look."""
        while True:
            await self._clock.sleep(_EVERY)
            self._looks.retain(self.clusters())
            await asyncio.gather(*(self._look(cluster) for cluster in self.clusters().values()))

    async def _look(self, cluster: ClusterSpec) -> None:
        """What nobody has thought of ends this look, and not the watch: certificates run out without it."""
        try:
            await self.look(cluster)
        except Exception:
            _LOGGER.exception("the cluster %s could not be looked at", cluster.name)
            self._keep(self._looks.of(cluster.name).silent(_ODD, self._clock.now()))

    async def look(self, cluster: ClusterSpec) -> None:
        """Decides on what was asked since the last look. A cluster that does not answer is asked again."""
        if (access := self._keys.access(cluster.name)) is None:
            return
        try:
            async with self._connect(url_of(cluster), access) as api:
                for request in await api.requests():
                    await self._decide(cluster, api, request)
                nodes = await api.nodes()
                for node in nodes:
                    await self._turn_away(cluster, api, node.name)
                lacks = await api.ready()
        except InnervateError as error:
            self._keep(self._looks.of(cluster.name).silent(error, self._clock.now()))
        else:
            self._keep(self._looks.of(cluster.name).answered(lacks, nodes, self._clock.now()))

    def _keep(self, look: ClusterLook) -> None:
        """Whoever follows events hears of what is another thing now."""
        before = self._looks.of(look.cluster)
        self._looks.keep(look)
        if text := change_of(before, look):
            self._memory.note(ClusterNoted(cluster=look.cluster, text=text, refused=False))

    async def _decide(self, cluster: ClusterSpec, api: Kubernetes, request: Request) -> None:
        judgement = judge(request, self._nodes(cluster))
        if judgement.ruling is Ruling.LEAVE:
            return
        await api.decide(request, judgement)
        refused = judgement.ruling is Ruling.DENY
        verb = "refused" if refused else "approved"
        asked = f"{clean(request.name, _NAME)} of {clean(request.user, _USER)}"
        text = f"{cluster.name}: certificate {asked} {verb}: {judgement.why}"
        self._memory.note(ClusterNoted(cluster=cluster.name, text=text, refused=refused))

    async def _turn_away(self, cluster: ClusterSpec, api: Kubernetes, name: str) -> None:
        """A machine that was taken out and comes back by itself, with what it had kept."""
        state = self._memory.world.machine(MachineName(name))
        if state.member is not None or state.left != cluster.name:
            return
        await api.remove_node(name)
        text = f"{cluster.name}: {clean(name, _NAME)} came back and is no member any more: removed again; wipe it"
        self._memory.note(ClusterNoted(cluster=cluster.name, text=text, refused=True))

    def clusters(self) -> Mapping[ClusterName, ClusterSpec]:
        """Those that have members, and those that are being made."""
        members = (state.member for state in self._memory.world.machines.values())
        there = {member.cluster.name: member.cluster for member in members if member is not None}
        return {name: spec.cluster for name, spec in self._coming().items()} | there

    def _nodes(self, cluster: ClusterSpec) -> Mapping[str, NodeIdentity]:
        """Its members, and who was given a token to join."""
        found = {
            str(name): self._identity(name)
            for name, state in self._memory.world.machines.items()
            if state.member is not None and state.member.cluster.name == cluster.name
        }
        for name, issued in self._keys.issued(cluster.name, self._clock.now()).items():
            found[name] = replace(found.get(name) or self._identity(name), token=issued.id)
        return {**found, **self._installed(cluster, found)}

    def _installed(self, cluster: ClusterSpec, members: Mapping[str, NodeIdentity]) -> Mapping[str, NodeIdentity]:
        """Machines that were installed for it and are no members yet: all of them ask by one name, each for itself."""
        runs = (state.installing for state in self._memory.world.machines.values())
        done = (one.do for one in runs if one is not None and one.done)
        hosts = (do.okd.host(MachineName(do.hostname)) for do in done if do.okd and do.okd.cluster.name == cluster.name)
        return {
            host.name: replace(self._identity(host.name), addresses=frozenset({host.address}), joiner=OKD_JOINER)
            for host in hosts
            if host.name not in members
        }

    def _identity(self, name: MachineName) -> NodeIdentity:
        state = self._memory.world.machine(name)
        stated = (state.reached_at, state.installed.address if state.installed is not None else None)
        return NodeIdentity(
            name=name,
            names=frozenset({name, f"{name}.{self._domain}"}),
            addresses=frozenset(address for address in stated if address is not None),
            member=state.member is not None,
        )
