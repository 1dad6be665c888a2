"""What the steps act through. The daemon hands in the real ones, tests and the simulator their own."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Protocol

from appliance.bmc.port import Bmc
from appliance.conductor.memory import Memory
from appliance.conductor.world import task_id
from appliance.model.ids import Fence, MachineName, Nonce, RunId
from appliance.plan import ImageRef, Step, WriteSeed
from appliance.ports import Clock
from images.agent.protocol import Task, TaskReport


class Agents(Protocol):
    """The agents in the ramdisks, as the node-facing server knows them."""

    def alive(self, machine: MachineName) -> bool:
        """Whether the agent with this machine's current nonce was heard lately."""
        ...

    def life(self, machine: MachineName) -> str:
        """Another text for each start of the agent that was heard; empty if none was."""
        ...

    def assign(self, machine: MachineName, task: Task | None) -> None: ...

    def report(self, machine: MachineName) -> TaskReport | None: ...


class Library(Protocol):
    """What the node-facing server can hand out, by path."""

    def manifest_path(self, image: ImageRef) -> str: ...

    def blob_path(self, image: ImageRef) -> str: ...

    def publish_seed(self, do: WriteSeed, nonce: Nonce) -> "PublishedSeed":
        """Builds and offers the seed of one machine. May block."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSeed:
    path: str
    sha256: str
    size: int


class Shells(Protocol):
    def run(self, address: IPv4Address, user: str, host_keys: tuple[str, ...], argv: tuple[str, ...]) -> str:
        """Standard output of one command over SSH. May block.

        Raises `UnreachableError` while the machine may still come up, `ShellError` when it refused for good.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    memory: Memory
    clock: Clock
    agents: Agents
    library: Library
    shells: Shells
    bmc_of: Callable[[MachineName], Bmc]
    waiting: Callable[[MachineName, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at a step: its fence, its nonce and, after a crash of ours, when the try began that it resumes."""

    run: RunId
    step: Step
    fence: Fence
    nonce: Nonce
    resumed_from: float | None

    @property
    def task(self) -> str:
        return task_id(self.run, self.step.id)

    @property
    def machine(self) -> MachineName:
        return self.step.machine
