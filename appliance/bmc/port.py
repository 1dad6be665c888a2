"""What the appliance needs of a BMC, whatever it speaks: small Protocols, so that a user names only what it uses.

Every method raises `BmcError` (cause, evidence, next action); what a BMC cannot do at all is `BmcUnsupportedError`.
No command is repeated by itself. A command that returns was accepted, not proven: the caller waits for evidence.
Whatever sets something returns what a read-back shows, which may be something else.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from appliance.model.bmc import (
    BmcEndpoint,
    BootOverride,
    BootTarget,
    BootTerm,
    EventLogEntry,
    FirmwareItem,
    Indicator,
    MediaSlot,
    PowerCommand,
    PowerState,
    Sensor,
    SystemIdentity,
)
from appliance.model.secret import Secret

Progress = Callable[[int | None], None]
"""Called with the percentage that the BMC gives for its task, None where it gives none."""


class BootControl(Protocol):
    async def boot(self) -> BootOverride: ...

    async def set_boot(self, override: BootOverride) -> BootOverride:
        """`BootTerm.DISABLED` takes an override back."""
        ...

    async def set_boot_once(self, target: BootTarget) -> BootTarget:
        """`BootTarget.NONE` takes an override back. Drivers inherit this."""
        term = BootTerm.DISABLED if target is BootTarget.NONE else BootTerm.ONCE
        return (await self.set_boot(BootOverride(target=target, term=term))).target

    async def boot_override(self) -> BootTarget:
        """Drivers inherit this."""
        return (await self.boot()).target


class Bmc(BootControl, Protocol):
    """Power and boot order: what provisioning needs."""

    async def identify(self) -> SystemIdentity: ...

    async def power_state(self) -> PowerState: ...

    async def command(self, command: PowerCommand) -> None: ...

    async def close(self) -> None:
        """Gives the session back. The BMC can be used again: it logs in anew."""
        ...


class MediaControl(Protocol):
    async def media(self) -> tuple[MediaSlot, ...]: ...

    async def insert(self, slot: str, image: str) -> MediaSlot:
        """`image` is a URL that the BMC fetches from, `slot` the id of a `MediaSlot`."""
        ...

    async def eject(self, slot: str) -> MediaSlot: ...


class Indicate(Protocol):
    async def indicator(self) -> Indicator: ...

    async def set_indicator(self, wanted: Indicator) -> Indicator: ...


class Sensing(Protocol):
    async def sensors(self) -> tuple[Sensor, ...]: ...

    async def power_draw(self) -> float:
        """Watts, now."""
        ...


class EventLog(Protocol):
    async def event_log(self) -> tuple[EventLogEntry, ...]: ...

    async def clear_event_log(self) -> None: ...


class FirmwareControl(Protocol):
    async def firmware(self) -> tuple[FirmwareItem, ...]: ...

    async def update(self, image: str, progress: Progress, targets: tuple[str, ...] = ()) -> None:
        """`image` is a URL that the BMC fetches from; `targets` are ids of `FirmwareItem`, none: the image says it.

        Returns when the BMC's task has ended well. Raises `BmcTaskError` when it ended badly or the BMC forgot it.
        """
        ...


class Accounts(Protocol):
    async def change_password(self, password: Secret) -> None:
        """Of the user that we log in as; proven by a log-in with the new one, which is used from then on."""
        ...


@runtime_checkable
class Timekeeping(Protocol):
    """Not every BMC tells."""

    async def time(self) -> float | None:
        """Its own clock, in seconds since the epoch."""
        ...


@runtime_checkable
class Picturing(Protocol):
    """Not every BMC gives a picture of the machine's screen."""

    async def screen(self) -> bytes:
        """As it is now: a PNG."""
        ...


class ManagerReset(Protocol):
    async def reset_bmc(self) -> None:
        """The BMC is silent for minutes afterwards."""
        ...


class FullBmc(Bmc, MediaControl, Indicate, Sensing, EventLog, FirmwareControl, Accounts, ManagerReset, Protocol):
    """All of it: what a driver implements."""


class BmcDialler(Protocol):
    """Opens a BMC by its endpoint; keeps one session and one request in flight per BMC."""

    def dial(self, endpoint: BmcEndpoint) -> FullBmc: ...

    async def close(self) -> None: ...
