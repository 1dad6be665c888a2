"""A BMC without a machine, for tests and rehearsals: what it is told, it does at once, unless told to fail."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import assert_never

from appliance.bmc.port import FullBmc, Progress
from appliance.errors import BmcError, BmcUnsupportedError
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

_DISABLED = BootOverride(target=BootTarget.NONE, term=BootTerm.DISABLED)
_DRIVE = MediaSlot(id="Cd", media_types=frozenset({"CD", "DVD"}), image="", inserted=False)


def _nothing(_command: PowerCommand) -> None:
    pass


class FakeBmc(FullBmc):
    """`commands` are those accepted, in order; `boots` what each boot was told to boot from; `failures` are raised
    by the next operations, one each. `on_command` is called after a command took effect.
    `deaf` accepts everything and does nothing: the BMC that lies. The other public members are what it shows or was
    told last; assign to them what a test needs.
    """

    def __init__(self, identity: SystemIdentity, on_command: Callable[[PowerCommand], None] = _nothing) -> None:
        self.identity = identity
        self.on_command = on_command
        self.commands: list[PowerCommand] = []
        self.boots: list[BootTarget] = []
        self.failures: deque[BmcError] = deque()
        self.deaf = False
        self.closed = False
        self.override = _DISABLED
        self.drives = {_DRIVE.id: _DRIVE}
        self.led = Indicator.OFF
        self.readings: tuple[Sensor, ...] = ()
        self.watts = 0.0
        self.events: tuple[EventLogEntry, ...] = ()
        self.items: tuple[FirmwareItem, ...] = ()
        self.images: list[str] = []
        self.password: Secret | None = None
        self.resets = 0
        self.picture = b""

    @property
    def power(self) -> PowerState:
        return self.identity.power

    def set_power(self, power: PowerState) -> None:
        """As if the machine itself had done it."""
        self.identity = replace(self.identity, power=power)

    async def identify(self) -> SystemIdentity:
        self._fail()
        return self.identity

    async def power_state(self) -> PowerState:
        self._fail()
        return self.power

    async def command(self, command: PowerCommand) -> None:
        self._fail()
        self.commands.append(command)
        if not self.deaf:
            self._obey(command)
        self.on_command(command)

    async def set_boot(self, override: BootOverride) -> BootOverride:
        self._fail()
        if not self.deaf:
            self.override = _DISABLED if override.term is BootTerm.DISABLED else override
        return self.override

    async def boot(self) -> BootOverride:
        self._fail()
        return self.override

    async def media(self) -> tuple[MediaSlot, ...]:
        self._fail()
        return tuple(self.drives.values())

    async def insert(self, slot: str, image: str) -> MediaSlot:
        return self._load(slot, image)

    async def eject(self, slot: str) -> MediaSlot:
        return self._load(slot, "")

    def _load(self, slot: str, image: str) -> MediaSlot:
        self._fail()
        if slot not in self.drives:
            raise BmcUnsupportedError(f"the BMC has no drive {slot!r}", next_action="name one")
        if not self.deaf:
            self.drives[slot] = replace(self.drives[slot], image=image, inserted=bool(image))
        return self.drives[slot]

    async def indicator(self) -> Indicator:
        self._fail()
        return self.led

    async def set_indicator(self, wanted: Indicator) -> Indicator:
        self._fail()
        if not self.deaf:
            self.led = wanted
        return self.led

    async def sensors(self) -> tuple[Sensor, ...]:
        self._fail()
        return self.readings

    async def power_draw(self) -> float:
        self._fail()
        return self.watts

    async def screen(self) -> bytes:
        self._fail()
        if not self.picture:
            raise BmcUnsupportedError("the BMC gives no picture of the screen", next_action="use another way")
        return self.picture

    async def event_log(self) -> tuple[EventLogEntry, ...]:
        self._fail()
        return self.events

    async def clear_event_log(self) -> None:
        self._fail()
        if not self.deaf:
            self.events = ()

    async def firmware(self) -> tuple[FirmwareItem, ...]:
        self._fail()
        return self.items

    async def update(self, image: str, progress: Progress, targets: tuple[str, ...] = ()) -> None:
        self._fail()
        known = {item.id for item in self.items}
        if not known.issuperset(targets):
            raise BmcUnsupportedError("the BMC has no such firmware", next_action="name one that it lists")
        self.images.append(image)
        progress(100)

    async def change_password(self, password: Secret) -> None:
        self._fail()
        self.password = password

    async def reset_bmc(self) -> None:
        self._fail()
        self.resets += 1

    async def close(self) -> None:
        self.closed = True

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.popleft()

    def _obey(self, command: PowerCommand) -> None:
        match command:
            case PowerCommand.ON if self.power is PowerState.ON:
                pass
            case PowerCommand.ON | PowerCommand.GRACEFUL_RESTART | PowerCommand.FORCE_RESTART | PowerCommand.CYCLE:
                self._boot()
            case PowerCommand.FORCE_OFF | PowerCommand.GRACEFUL_OFF:
                self.set_power(PowerState.OFF)
            case PowerCommand.NMI:
                pass
            case _:
                assert_never(command)

    def _boot(self) -> None:
        self.set_power(PowerState.ON)
        self.boots.append(self.override.target)
        if self.override.term is BootTerm.ONCE:
            self.override = _DISABLED


class FakeDialler:
    """Implements `appliance.bmc.port.BmcDialler` over fakes by their endpoint's URL; others cannot be reached."""

    def __init__(self, bmcs: Mapping[str, FakeBmc]) -> None:
        self._bmcs = bmcs

    def dial(self, endpoint: BmcEndpoint) -> FakeBmc:
        if endpoint.url not in self._bmcs:
            raise BmcError(f"{endpoint.url} cannot be reached", next_action="check the BMC's address")
        return self._bmcs[endpoint.url]

    async def close(self) -> None:
        for bmc in self._bmcs.values():
            await bmc.close()
