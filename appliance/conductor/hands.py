"""What the outbox acts through. The daemon hands in the real ones, tests and the simulator their own."""

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Protocol

from appliance.bmc.port import Bmc
from appliance.conductor.decision import AgentView, ClusterSight, Wait
from appliance.conductor.memory import Memory
from appliance.errors import MachineryError
from appliance.model.identity import Bound, IdentityPolicy
from appliance.model.ids import MachineName, Nonce
from appliance.model.on_clusters import OnClusters
from appliance.model.orders import Trace
from appliance.model.phase import Condition, ConditionKind
from appliance.plan import ImageRef, WriteSeed
from appliance.ports import Clock
from images.agent.protocol import Task


class Agents(Protocol):
    """The agents in the ramdisks, as the node-facing server knows them."""

    def heard(self, machine: MachineName) -> AgentView:
        """The agent with this machine's current nonce."""
        ...

    def assign(self, machine: MachineName, task: Task | None) -> None: ...


class Library(Protocol):
    """What the node-facing server can hand out, by path."""

    def manifest_path(self, image: ImageRef) -> str: ...

    def blob_path(self, image: ImageRef) -> str: ...

    def publish_seed(self, do: WriteSeed, nonce: Nonce, reader: Bound) -> "PublishedSeed":
        """Builds and offers the seed of one machine, sealed for the agent that is to write it. May block.

        Its secrets are in it if the reader's rung suffices; else it raises `RefusedError`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSeed:
    """`sha256` and `size` are of what travels; `salt` (hex) is what the reader opens it with."""

    path: str
    sha256: str
    size: int
    salt: str


class Tokens(Protocol):
    """One-time tokens, carried to machines on a way that the boot network does not share."""

    async def place(self, machine: MachineName, nonce: Nonce, number: int) -> str:
        """For the boot with this nonce. Returns what shows it. Raises `InnervateError` where the BMC cannot."""
        ...


class Shells(Protocol):
    def run(self, address: IPv4Address, user: str, host_keys: tuple[str, ...], argv: tuple[str, ...]) -> str:
        """Standard output of one command over SSH. May block.

        Raises `UnreachableError` while the machine may still come up, `ShellError` when it refused for good.
        """
        ...


class Traces(Protocol):
    """What the appliance's own services keep of a machine."""

    async def forget(self, machine: MachineName, trace: Trace) -> str:
        """What a look afterwards shows. Raises `InnervateError` when it is still there."""
        ...


class Clusters(Protocol):
    """Clusters and their nodes, whatever engine they are of."""

    async def look(self, machine: MachineName, do: OnClusters) -> ClusterSight:
        """How far the step is. Changes nothing.

        Raises `UnreachableError` while node or cluster may still come up, another `InnervateError` for good.
        """
        ...

    async def begin(self, machine: MachineName, do: OnClusters) -> str:
        """Gets it going and returns at once, with what was begun. What is at work already is left at work."""
        ...


class Waiting:
    """What each machine waits for now: said by the outbox, shown by the views, kept nowhere else."""

    def __init__(self) -> None:
        self._now: dict[MachineName, Wait] = {}
        self._last: dict[MachineName, str] = {}
        self._stopped: dict[MachineName, Condition] = {}

    def say(self, machine: MachineName, wait: Wait | None) -> None:
        if wait is None:
            self._now.pop(machine, None)
        else:
            self._now[machine] = wait
            self._last[machine] = wait.why

    def last(self, machine: MachineName) -> str:
        """What its step waited for last, also when it waits no more; "" for nothing."""
        return self._last.get(machine, "")

    def forget(self, machine: MachineName) -> None:
        """Another step of it begins."""
        self._now.pop(machine, None)
        self._last.pop(machine, None)

    def of(self, machine: MachineName) -> Wait | None:
        return self._now.get(machine)

    def stop(self, machine: MachineName, error: MachineryError, now: float) -> None:
        """The appliance itself cannot go on with it."""
        before = self._stopped.get(machine)
        self._stopped[machine] = Condition(
            kind=ConditionKind.STUCK,
            since=now if before is None else before.since,
            reason=str(error),
            evidence=error.evidence,
            next_action=error.next_action,
            code=error.code,
        )

    def go_on(self, machine: MachineName) -> None:
        self._stopped.pop(machine, None)

    def stopped(self, machine: MachineName) -> Condition | None:
        return self._stopped.get(machine)


def _no_console(_machine: MachineName) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """`last_words` are what a machine's serial console said last, as one line. It may block."""

    memory: Memory
    clock: Clock
    agents: Agents
    library: Library
    shells: Shells
    bmc_of: Callable[[MachineName], Bmc]
    traces: Traces
    waiting: Waiting
    last_words: Callable[[MachineName], str] = _no_console
    tokens: Tokens | None = None
    policy: IdentityPolicy = field(default_factory=IdentityPolicy)
    clusters: Clusters | None = None
