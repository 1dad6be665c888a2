"""The machines of the rack as the Redfish service sees them: QEMU's power, boot order and drive over QMP."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar, assert_never

from appliance.bmc.port import Progress
from appliance.errors import MachineryError
from appliance.lab.fetch import FetchError, fetch
from appliance.lab.node import BootOverride as Order
from appliance.lab.node import Machine
from appliance.lab.spec import MANUFACTURER, PRODUCT, BootDevice, NodeSpec
from appliance.model.bmc import (
    BootMode,
    BootOverride,
    BootTarget,
    BootTerm,
    EventLogEntry,
    FirmwareItem,
    Health,
    Indicator,
    MediaSlot,
    PowerCommand,
    PowerState,
    Sensor,
)
from appliance.model.hardware import Firmware
from appliance.ports import Clock
from appliance.redfish.errors import AbsentResourceError, RefusedActionError, UnavailableError
from appliance.redfish.messages import MessageId, say
from appliance.redfish.model import (
    ChassisType,
    ChassisView,
    DriveKind,
    DriveView,
    ManagerView,
    MemoryView,
    ProcessorView,
    SystemView,
)

T = TypeVar("T")

SLOT = "Cd"
_VERSION = "1.0"
_TARGETS = {BootTarget.NETWORK: BootDevice.NIC, BootTarget.DISK: BootDevice.DISK, BootTarget.CD: BootDevice.CD}
_DEVICES = {device: target for target, device in _TARGETS.items()}
_LOG_LIMIT = 512
_MEDIA_TYPES = frozenset({"CD", "DVD"})
_NO_OVERRIDE = (BootTarget.NONE, BootTerm.DISABLED)


class QemuBackend:
    """Implements `Backend` and `Picturing` of `appliance.redfish.backend` for one machine, whose id is its name."""

    def __init__(self, machine: Machine, clock: Clock) -> None:
        self._machine, self._node, self._clock = machine, machine.node, clock
        self._indicator = Indicator.OFF
        self._image = ""
        self._log: list[EventLogEntry] = []
        self._logged = 0
        self._listeners: set[asyncio.Queue[str]] = set()
        self._inserting = asyncio.Lock()
        loop = asyncio.get_running_loop()

        def heard(event: str) -> None:
            loop.call_soon_threadsafe(self._happened, event)

        machine.on_event = heard

    async def systems(self) -> tuple[str, ...]:
        return (self._node.name,)

    async def system(self, system: str) -> SystemView:
        node = self._known(system)
        is_on, order = await self._ask(lambda: (self._machine.is_on, self._machine.override))
        mode = BootMode.UEFI if node.firmware is Firmware.UEFI else BootMode.LEGACY
        target, term = _NO_OVERRIDE
        if order is not None:
            target, term = _DEVICES[order.device], BootTerm.ONCE if order.once else BootTerm.CONTINUOUS
        return SystemView(
            id=node.name,
            name=node.name,
            uuid=node.uuid,
            serial=node.serial,
            manufacturer=MANUFACTURER,
            product=PRODUCT,
            bios_version=_VERSION,
            processors=node.cpus,
            memory_gib=node.memory_mib / 1024,
            macs=tuple(nic.mac for nic in node.nics),
            power=PowerState.ON if is_on else PowerState.OFF,
            health=Health.OK,
            indicator=self._indicator,
            boot=BootOverride(target=target, term=term, mode=mode),
            commands=frozenset(PowerCommand) - {PowerCommand.GRACEFUL_RESTART},
            targets=frozenset({BootTarget.NONE, *_TARGETS}),
            modes=frozenset({mode}),
            chassis=ChassisView(type=ChassisType.STAND_ALONE),
            manager=ManagerView(
                model="Virtual BMC",
                firmware_version=_VERSION,
                health=Health.OK,
                host_name=str(node.bmc_address),
                has_screen=node.has_screen,
            ),
            cpus=(ProcessorView(id="CPU0", model="QEMU", cores=node.cpus, threads=node.cpus, health=Health.OK),),
            dimms=(MemoryView(id="DIMM0", capacity_mib=node.memory_mib, part_number="QEMU", health=Health.OK),),
            drives=(_drive(node),),
        )

    async def sensors(self, system: str) -> tuple[Sensor, ...]:
        """An emulated machine has none."""
        self._known(system)
        return ()

    async def screen(self, system: str) -> bytes:
        self._known(system)
        if not await self._ask(lambda: self._machine.is_on):
            raise RefusedActionError(f"{system} is off", next_action="power it on")
        return await self._ask(self._machine.screen)

    async def log(self, system: str) -> tuple[EventLogEntry, ...]:
        self._known(system)
        return tuple(self._log)

    async def media(self, system: str) -> tuple[MediaSlot, ...]:
        self._known(system)
        return (MediaSlot(id=SLOT, media_types=_MEDIA_TYPES, image=self._image, inserted=bool(self._image)),)

    async def firmware(self, system: str) -> tuple[FirmwareItem, ...]:
        self._known(system)
        return tuple(FirmwareItem(id=name, name=name, version=_VERSION, updateable=False) for name in ("BIOS", "BMC"))

    async def reset(self, system: str, command: PowerCommand) -> None:
        self._known(system)
        await self._ask(self._button(command))
        self._happened(f"power {command.value}")

    def _button(self, command: PowerCommand) -> Callable[[], None]:
        match command:
            case PowerCommand.ON:
                return self._machine.on
            case PowerCommand.FORCE_OFF:
                return self._machine.off
            case PowerCommand.GRACEFUL_OFF:
                return self._machine.press_power_button
            case PowerCommand.FORCE_RESTART:
                return self._machine.reset
            case PowerCommand.CYCLE:
                return self._machine.cycle
            case PowerCommand.NMI:
                return self._machine.inject_nmi
            case PowerCommand.GRACEFUL_RESTART:
                raise RefusedActionError("ACPI has no restart button", next_action="shut down, then power on")
            case _:
                assert_never(command)

    async def set_boot(self, system: str, override: BootOverride) -> None:
        self._known(system)
        device = _TARGETS.get(override.target)
        order = None if device is None else Order(device=device, once=override.term is BootTerm.ONCE)
        wanted = None if override.term is BootTerm.DISABLED else order
        await self._ask(lambda: self._machine.set_override(wanted))
        self._changed()

    async def insert_media(self, system: str, slot: str, image: str) -> None:
        """The whole image is fetched before it is in the drive. One image at a time."""
        self._known(system)
        async with self._inserting:
            if self._image:
                raise RefusedActionError("the drive holds an image", next_action="eject it first")
            try:
                await asyncio.to_thread(fetch, image, self._node.medium)
            except FetchError as error:
                reason = say(MessageId.NO_CONNECTION, image)
                raise RefusedActionError(str(error), reason=reason, next_action=error.next_action) from error
            await self._ask(lambda: self._machine.load(self._node.medium))
            self._image = image
        self._changed()

    async def eject_media(self, system: str, slot: str) -> None:
        self._known(system)
        async with self._inserting:
            await self._ask(lambda: self._machine.load(None))
            self._image = ""
            self._node.medium.unlink(missing_ok=True)
        self._changed()

    async def set_indicator(self, system: str, indicator: Indicator) -> None:
        self._known(system)
        self._indicator = indicator
        self._changed()

    async def clear_log(self, system: str) -> None:
        self._known(system)
        self._log.clear()

    async def reset_manager(self, system: str) -> None:
        self._known(system)
        self._happened("BMC restarted")

    async def update(self, system: str, image: str, items: tuple[str, ...], progress: Progress) -> None:
        self._known(system)
        raise RefusedActionError("a virtual machine's firmware is a file of its host", next_action="replace that file")

    async def changes(self) -> AsyncIterator[str]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)

    def _known(self, system: str) -> NodeSpec:
        if system != self._node.name:
            raise AbsentResourceError(f"there is no machine {system[:64]!r}", next_action="list the systems")
        return self._node

    async def _ask(self, action: Callable[[], T]) -> T:
        """Off the loop: QEMU takes its time to start and to die."""
        try:
            return await asyncio.to_thread(action)
        except MachineryError as error:
            raise UnavailableError(str(error), retry_after=5, evidence=error.evidence) from error

    def _happened(self, event: str) -> None:
        self._logged += 1
        entry = EventLogEntry(id=str(self._logged), time=self._clock.now(), severity=Health.OK, message=event)
        self._log = [*self._log[1 - _LOG_LIMIT :], entry]
        self._changed()

    def _changed(self) -> None:
        for queue in self._listeners:
            queue.put_nowait(self._node.name)


def _drive(node: NodeSpec) -> DriveView:
    return DriveView(
        id=BootDevice.DISK.value,
        model="QEMU disk",
        serial=node.disk_serial,
        capacity_bytes=node.disk_gib << 30,
        kind=DriveKind.SSD,
        health=Health.OK,
    )
