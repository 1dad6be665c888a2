"""What the conductor needs of a BMC, whatever it speaks."""

from typing import Protocol

from appliance.model.bmc import BmcEndpoint, BootTarget, PowerCommand, PowerState, SystemIdentity


class Bmc(Protocol):
    """Every method raises `BmcError` (cause, evidence, next action) and never retries a command by itself.

    A command that returns was accepted, not proven: the caller waits for evidence.
    """

    async def identify(self) -> SystemIdentity: ...

    async def power_state(self) -> PowerState: ...

    async def command(self, command: PowerCommand) -> None: ...

    async def set_boot_once(self, target: BootTarget) -> BootTarget:
        """Sets the one-time override and returns what a read-back shows."""
        ...

    async def boot_override(self) -> BootTarget: ...

    async def close(self) -> None: ...


class BmcDialler(Protocol):
    """Opens a BMC by its endpoint; keeps one session and one request in flight per BMC."""

    def dial(self, endpoint: BmcEndpoint) -> Bmc: ...

    async def close(self) -> None: ...
