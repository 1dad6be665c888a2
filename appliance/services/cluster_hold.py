"""What every step towards and in a cluster stands on: nodes entered by SSH, jobs on them, the cluster's own API."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Protocol, TypeAlias, assert_never

from appliance.conductor.decision import ClusterSight, Progress
from appliance.conductor.machine import MachineState
from appliance.errors import ClusterError, UnreachableError
from appliance.kubernetes.api import Kubernetes
from appliance.kubernetes.objects import Access
from appliance.kubernetes.objects import access as access_of
from appliance.kubernetes.protocol import NodeEngine
from appliance.model.cluster import API_PORT, ClusterSpec, SetRef
from appliance.model.ids import MachineName
from appliance.model.secret import Secret
from appliance.nodes import job as jobs
from appliance.nodes.job import Job, State
from appliance.ports import Clock, Rng, Sink, Source
from appliance.services.cluster_keys import ClusterKeys
from appliance.store.records import Problem

_AUTO_APPROVAL = "kubeadm:node-autoapprove-bootstrap"
"""kubeadm's own rule that whoever has a join token gets any node's certificate."""

_ANSWER_LIMIT = 16 << 20

Opened: TypeAlias = AbstractAsyncContextManager[Kubernetes]
"""A conversation with a cluster's API."""
EngineOf: TypeAlias = Callable[[ClusterSpec], NodeEngine]
"""Raises `ClusterError` where nobody here makes clusters of its engine."""


class Supplies(Protocol):
    async def ready(self, ref: SetRef) -> None:
        """Everything of the set is there, and nodes can get it. Raises `InnervateError`."""
        ...


class NodeShells(Protocol):
    """Raises `UnreachableError`, `ShellError`. May block."""

    def feed(
        self, address: IPv4Address, user: str, host_keys: tuple[str, ...], argv: tuple[str, ...], fed: Secret
    ) -> str:
        """What it prints, which is little."""
        ...

    def pull(
        self, address: IPv4Address, user: str, host_keys: tuple[str, ...], argv: tuple[str, ...], out: Sink
    ) -> None:
        """What it prints goes to `out`, however much that is."""
        ...

    def push(
        self, address: IPv4Address, user: str, host_keys: tuple[str, ...], argv: tuple[str, ...], source: Source
    ) -> None:
        """All of `source` is its standard input."""
        ...


class Nodes(Protocol):
    """What desks have of the hold. Raises `InnervateError`; `UnreachableError` while the machine
    may still come up."""

    async def job(self, machine: MachineName, job: Job) -> ClusterSight: ...

    async def start(self, machine: MachineName, job: Job) -> str: ...

    async def feed(self, machine: MachineName, argv: tuple[str, ...], text: Secret) -> str: ...

    async def pull(self, machine: MachineName, argv: tuple[str, ...], out: Sink) -> None: ...

    def address(self, machine: MachineName) -> IPv4Address: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """`machine` is what is known of one now, `planes` are the control planes that are members already, the oldest
    first, `workers` the other members. `files` is the URL below which nodes find files by their SHA-256. `lead` has
    the cluster's endpoint lead to these, and nowhere when there are none."""

    machine: Callable[[MachineName], MachineState]
    planes: Callable[[ClusterSpec], Sequence[MachineName]]
    workers: Callable[[ClusterSpec], Sequence[MachineName]]
    shells: NodeShells
    user: str
    files: str
    connect: Callable[[str, Access], Opened]
    lead: Callable[[ClusterSpec, Mapping[MachineName, IPv4Address]], Awaitable[None]]
    clock: Clock
    rng: Rng


class Hold:
    """The appliance's hold on nodes and clusters."""

    def __init__(self, keys: ClusterKeys, around: Around) -> None:
        self.keys, self.around = keys, around

    async def job(self, machine: MachineName, job: Job) -> ClusterSight:
        seen = jobs.read(await self.feed(machine, jobs.look(job), Secret("")))
        if seen.mark == job.mark:
            return done(job.name, {job.name: job.mark[:12]})
        match seen.state:
            case State.AT_WORK:
                return at_work(seen.word or "it has begun")
            case State.FAILED:
                return failed(_broken(machine, seen.word, seen.log))
            case State.NONE:
                return not_begun(f"beginning: {job.name}")
            case _:
                assert_never(seen.state)

    async def start(self, machine: MachineName, job: Job) -> str:
        return (await self.feed(machine, jobs.begin(job), jobs.script(job, self.around.files))).strip()[:60]

    async def feed(self, machine: MachineName, argv: tuple[str, ...], text: Secret) -> str:
        address, keys = self._entrance(machine)
        return await asyncio.to_thread(self.around.shells.feed, address, self.around.user, keys, argv, text)

    async def pull(self, machine: MachineName, argv: tuple[str, ...], out: Sink) -> None:
        address, keys = self._entrance(machine)
        await asyncio.to_thread(self.around.shells.pull, address, self.around.user, keys, argv, out)

    async def push(self, machine: MachineName, argv: tuple[str, ...], source: Source) -> None:
        address, keys = self._entrance(machine)
        await asyncio.to_thread(self.around.shells.push, address, self.around.user, keys, argv, source)

    async def ask_planes(
        self, cluster: ClusterSpec, but: MachineName | None, argv: tuple[str, ...]
    ) -> tuple[MachineName, str]:
        """The first that can be entered, and what it prints. Raises `UnreachableError` where none can."""
        why = "it has no other member that is one"
        for name in self.around.planes(cluster):
            if name == but:
                continue
            try:
                return name, await self.feed(name, argv, Secret(""))
            except UnreachableError as error:
                why = f"{name}: {error}"
        raise UnreachableError(
            f"no control plane of {cluster.name} can be entered",
            evidence=why,
            next_action="bring one back, or restore the cluster from a backup",
        )

    def address(self, machine: MachineName) -> IPv4Address:
        if (address := self.around.machine(machine).reached_at) is None:
            raise UnreachableError(f"no address of {machine} is known", next_action="wait; then read its console")
        return address

    def access(self, cluster: ClusterSpec) -> Access:
        if (access := self.keys.access(cluster.name)) is None:
            raise ClusterError(
                f"the appliance has no access to the cluster {cluster.name}",
                evidence="its founding was never seen to its end",
                next_action="plan again: the cluster has to be founded first",
            )
        return access

    async def take_access(self, machine: MachineName, cluster: ClusterSpec, argv: tuple[str, ...]) -> None:
        """What that control plane has, in the place of what was kept: engines give it for a year, and anew with each
        upgrade."""
        self.keys.keep(cluster.name, access_of(_json(await self.feed(machine, argv, Secret("")))))

    def open(self, cluster: ClusterSpec) -> Opened:
        return self.around.connect(url_of(cluster), self.access(cluster))

    async def lead(self, cluster: ClusterSpec, names: Sequence[MachineName]) -> None:
        await self.around.lead(cluster, {name: self.address(name) for name in dict.fromkeys(names)})

    def _entrance(self, machine: MachineName) -> tuple[IPv4Address, tuple[str, ...]]:
        state = self.around.machine(machine)
        if state.installed is None:
            raise ClusterError(f"nothing is installed on {machine}", next_action="plan again")
        return self.address(machine), state.installed.host_keys


class Said:
    """What a node printed; bounded: it says what it likes."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes, /) -> int:
        self._data += data[: max(0, _ANSWER_LIMIT - len(self._data))]
        return len(data)

    @property
    def text(self) -> str:
        return self._data.decode(errors="replace")


async def close(api: Kubernetes) -> None:
    """Nobody comes in but by a token of ours: kubeadm makes one for whoever reads its output, and lets all in that have
    one."""
    await api.unbind(_AUTO_APPROVAL)
    await api.take_all_tokens()


def url_of(cluster: ClusterSpec) -> str:
    return f"https://{cluster.endpoint}:{API_PORT}"


def done(words: str, evidence: Mapping[str, str]) -> ClusterSight:
    return ClusterSight(progress=Progress.DONE, words=words, evidence=evidence)


def at_work(words: str) -> ClusterSight:
    return ClusterSight(progress=Progress.AT_WORK, words=words)


def not_begun(words: str) -> ClusterSight:
    return ClusterSight(progress=Progress.NOT_BEGUN, words=words)


def failed(problem: Problem) -> ClusterSight:
    return ClusterSight(progress=Progress.FAILED, words=problem.message, problem=problem)


def _json(text: str) -> object:
    try:
        value: object = json.loads(text)
    except ValueError as error:
        raise ClusterError("the cluster's kubeconfig is no JSON", evidence=str(error)[:100]) from error
    return value


def _broken(machine: MachineName, word: str, log: str) -> Problem:
    return Problem(
        code="cluster",
        message=f"{machine} could not: {word or 'it does not say what'}",
        evidence=log or "it printed nothing",
        next_action=f"read all of it: innervate ssh {machine} journalctl -u 'innervate-*'; then plan again",
    )
