"""A conductor without a rack: its memory and clock are real, and its steps may ask nobody for anything."""

from ipaddress import IPv4Address

from appliance.bmc.port import Bmc
from appliance.conductor.decision import AgentView
from appliance.conductor.hands import Hands, PublishedSeed, Waiting
from appliance.conductor.memory import Memory
from appliance.model.identity import Bound
from appliance.model.ids import MachineName, Nonce
from appliance.model.orders import Trace
from appliance.plan import ImageRef, WriteSeed
from appliance.system import SystemClock
from images.agent.protocol import Task


class _Nobody:
    def heard(self, machine: MachineName) -> AgentView:
        raise AssertionError(f"{machine} has no agent")

    def assign(self, machine: MachineName, task: Task | None) -> None:
        raise AssertionError(f"{machine} has no agent")

    def manifest_path(self, image: ImageRef) -> str:
        raise AssertionError(f"nobody hands out {image.name}")

    def blob_path(self, image: ImageRef) -> str:
        raise AssertionError(f"nobody hands out {image.name}")

    def publish_seed(self, do: WriteSeed, nonce: Nonce, reader: Bound) -> PublishedSeed:
        raise AssertionError(f"nobody hands out the seed of {do.hostname}")

    def run(self, address: IPv4Address, user: str, host_keys: tuple[str, ...], argv: tuple[str, ...]) -> str:
        raise AssertionError(f"nobody logs in to {address}")

    async def forget(self, machine: MachineName, trace: Trace) -> str:
        raise AssertionError(f"nothing is kept of {machine}")


def bare_hands(memory: Memory) -> Hands:
    return Hands(
        memory=memory,
        clock=SystemClock(),
        agents=_Nobody(),
        library=_Nobody(),
        shells=_Nobody(),
        bmc_of=_no_bmc,
        traces=_Nobody(),
        waiting=Waiting(),
    )


def _no_bmc(machine: MachineName) -> Bmc:
    raise AssertionError(f"{machine} has no BMC")
