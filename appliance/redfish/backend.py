"""What the Redfish service needs of the machines behind it."""

from collections.abc import AsyncIterator
from typing import Protocol, runtime_checkable

from appliance.bmc.port import Progress
from appliance.model.bmc import BootOverride, EventLogEntry, FirmwareItem, Indicator, MediaSlot, PowerCommand, Sensor
from appliance.redfish.model import SystemView


class Backend(Protocol):
    """Every method raises `AbsentResourceError` for a machine (or drive) it does not know, `RefusedActionError` for
    what that machine will not do, and `UnavailableError` where the machine cannot be asked now.

    A command that returns was accepted, not proven.
    """

    async def systems(self) -> tuple[str, ...]:
        """Ids, in a stable order."""
        ...

    async def system(self, system: str) -> SystemView: ...

    async def sensors(self, system: str) -> tuple[Sensor, ...]: ...

    async def log(self, system: str) -> tuple[EventLogEntry, ...]:
        """Oldest first."""
        ...

    async def media(self, system: str) -> tuple[MediaSlot, ...]: ...

    async def firmware(self, system: str) -> tuple[FirmwareItem, ...]: ...

    async def reset(self, system: str, command: PowerCommand) -> None: ...

    async def set_boot(self, system: str, override: BootOverride) -> None: ...

    async def insert_media(self, system: str, slot: str, image: str) -> None: ...

    async def eject_media(self, system: str, slot: str) -> None: ...

    async def set_indicator(self, system: str, indicator: Indicator) -> None: ...

    async def clear_log(self, system: str) -> None: ...

    async def reset_manager(self, system: str) -> None: ...

    async def update(self, system: str, image: str, items: tuple[str, ...], progress: Progress) -> None:
        """Returns when the firmware is written. `image` is a URL; `items` are ids of `FirmwareItem`, none for all that
        the image fits."""
        ...

    def changes(self) -> AsyncIterator[str]:
        """Ids of systems in which something changed, as it is noticed; never ends by itself."""
        ...


@runtime_checkable
class Picturing(Protocol):
    """A backend some of whose machines have a screen: their managers say so."""

    async def screen(self, system: str) -> bytes:
        """As it is now: a PNG. Raises as `Backend` does."""
        ...
