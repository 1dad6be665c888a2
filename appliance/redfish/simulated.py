"""Simulated machines behind the service: power takes its time, an override for one boot is used up by it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from appliance.bmc.port import Progress
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
    SensorKind,
)
from appliance.ports import Clock
from appliance.redfish.errors import AbsentResourceError, RefusedActionError
from appliance.redfish.messages import MessageId, say
from appliance.redfish.model import (
    ChassisType,
    ChassisView,
    ConsoleType,
    DriveKind,
    DriveView,
    ManagerView,
    MemoryView,
    ProcessorView,
    SystemView,
)
from pxe.client import Mac

TRANSITION_SECONDS = 2.0
UPDATE_SECONDS = 10.0
_UPDATE_STEPS = 5
_LOG_LIMIT = 512
_NO_OVERRIDE = BootOverride(target=BootTarget.NONE, term=BootTerm.DISABLED, mode=BootMode.UEFI)
_NEEDS_POWER = (PowerCommand.GRACEFUL_RESTART, PowerCommand.FORCE_RESTART, PowerCommand.CYCLE, PowerCommand.NMI)


def simulated_view(number: int) -> SystemView:
    """Machine `number`, 1 to 65535, off."""
    tail = f"{number >> 8:02x}:{number & 0xFF:02x}"
    return SystemView(
        id=f"node{number}",
        name=f"Node {number}",
        uuid=UUID(int=(0x5A11 << 112) + number),
        serial=f"SIM{number:06}",
        manufacturer="Innervate",
        product="Simulated Server",
        bios_version="1.0.0",
        processors=1,
        memory_gib=16,
        macs=(Mac(f"52:54:00:10:{tail}"), Mac(f"52:54:00:11:{tail}")),
        power=PowerState.OFF,
        health=Health.OK,
        indicator=Indicator.OFF,
        boot=_NO_OVERRIDE,
        commands=frozenset(PowerCommand),
        targets=frozenset(BootTarget),
        modes=frozenset(BootMode),
        chassis=ChassisView(type=ChassisType.RACK_MOUNT, asset_tag=f"A{number:04}"),
        manager=ManagerView(
            model="Simulated BMC",
            firmware_version="2.0.0",
            health=Health.OK,
            uuid=UUID(int=(0x5A12 << 112) + number),
            mac=Mac(f"52:54:00:12:{tail}"),
            host_name=f"node{number}-bmc",
            consoles=frozenset({ConsoleType.SSH}),
        ),
        cpus=(ProcessorView(id="CPU0", model="Simulated CPU", cores=8, threads=16, health=Health.OK),),
        dimms=(MemoryView(id="DIMM0", capacity_mib=16384, part_number="SIM-16G", health=Health.OK),),
        drives=(_drive(number),),
    )


def _drive(number: int) -> DriveView:
    return DriveView(
        id="Disk0",
        model="Simulated SSD",
        serial=f"SSD{number:06}",
        capacity_bytes=480_103_981_056,
        kind=DriveKind.SSD,
        health=Health.OK,
        wwn=f"5000c500{number:08x}",
    )


@dataclass(slots=True, kw_only=True)
class _Machine:
    """`booted` is what each boot started from; while `ready` is ahead, the power is changing to `wanted`."""

    view: SystemView
    wanted: PowerState
    ready: float = 0.0
    booted: list[BootTarget] = field(default_factory=list)
    log: list[EventLogEntry] = field(default_factory=list)
    logged: int = 0
    media: dict[str, MediaSlot]
    firmware: dict[str, FirmwareItem]


def _machine(view: SystemView) -> _Machine:
    slots = (("Cd", frozenset({"CD", "DVD"})), ("Usb", frozenset({"USBStick"})))
    items = (("BIOS", view.bios_version), ("BMC", view.manager.firmware_version))
    return _Machine(
        view=view,
        wanted=view.power,
        media={key: MediaSlot(id=key, media_types=types, image="", inserted=False) for key, types in slots},
        firmware={key: FirmwareItem(id=key, name=key, version=text, updateable=True) for key, text in items},
    )


class SimulatedBackend:
    """A `Backend`. Each machine starts as its view says."""

    def __init__(self, views: Iterable[SystemView], clock: Clock) -> None:
        self._clock = clock
        self._machines = {view.id: _machine(view) for view in views}
        self._listeners: set[asyncio.Queue[str]] = set()

    def booted(self, system: str) -> Sequence[BootTarget]:
        """What each boot so far started from: the evidence that a BMC does not give."""
        return tuple(self._find(system).booted)

    async def systems(self) -> tuple[str, ...]:
        return tuple(self._machines)

    async def system(self, system: str) -> SystemView:
        return self._find(system).view

    async def sensors(self, system: str) -> tuple[Sensor, ...]:
        on = self._find(system).view.power is not PowerState.OFF
        return (
            Sensor(name="CPU Temp", kind=SensorKind.TEMPERATURE, reading=41.0 if on else None, unit="Cel", health=_OK),
            Sensor(name="Inlet Temp", kind=SensorKind.TEMPERATURE, reading=22.5, unit="Cel", health=_OK),
            Sensor(name="Fan 1", kind=SensorKind.FAN, reading=4200.0 if on else 0.0, unit="{rev}/min", health=_OK),
            Sensor(name="Power", kind=SensorKind.POWER, reading=180.0 if on else 9.0, unit="W", health=_OK),
            Sensor(name="12V", kind=SensorKind.VOLTAGE, reading=12.1 if on else None, unit="V", health=_OK),
        )

    async def log(self, system: str) -> tuple[EventLogEntry, ...]:
        return tuple(self._find(system).log)

    async def media(self, system: str) -> tuple[MediaSlot, ...]:
        return tuple(self._find(system).media.values())

    async def firmware(self, system: str) -> tuple[FirmwareItem, ...]:
        return tuple(self._find(system).firmware.values())

    async def reset(self, system: str, command: PowerCommand) -> None:
        machine = self._find(system)
        power = machine.view.power
        if power is PowerState.CHANGING:
            raise RefusedActionError("the power is changing", next_action="ask again in a moment")
        if command in _NEEDS_POWER and power is PowerState.OFF:
            raise RefusedActionError("it is off", reason=say(MessageId.RESOURCE_IN_STANDBY), next_action="power it on")
        match command:
            case PowerCommand.NMI:
                self._note(machine, "Diagnostic interrupt")
            case PowerCommand.GRACEFUL_OFF | PowerCommand.FORCE_OFF:
                self._change(machine, PowerState.OFF)
            case PowerCommand.ON if power is PowerState.ON:
                pass
            case _:
                self._change(machine, PowerState.ON)

    async def set_boot(self, system: str, override: BootOverride) -> None:
        machine = self._find(system)
        self._show(machine, replace(machine.view, boot=_NO_OVERRIDE if _is_none(override) else override))

    async def insert_media(self, system: str, slot: str, image: str) -> None:
        machine = self._find(system)
        machine.media[slot] = replace(self._slot(machine, slot), image=image, inserted=True)

    async def eject_media(self, system: str, slot: str) -> None:
        machine = self._find(system)
        machine.media[slot] = replace(self._slot(machine, slot), image="", inserted=False)

    async def set_indicator(self, system: str, indicator: Indicator) -> None:
        machine = self._find(system)
        self._show(machine, replace(machine.view, indicator=indicator))

    async def clear_log(self, system: str) -> None:
        self._find(system).log.clear()

    async def reset_manager(self, system: str) -> None:
        self._note(self._find(system), "BMC restarted")

    async def update(self, system: str, image: str, items: tuple[str, ...], progress: Progress) -> None:
        """The new version is the last part of the URL's path."""
        machine = self._find(system)
        for step in range(1, _UPDATE_STEPS + 1):
            await self._clock.sleep(UPDATE_SECONDS / _UPDATE_STEPS)
            progress(100 * step // _UPDATE_STEPS)
        version = image.rstrip("/").rpartition("/")[2][:64]
        for key in items or tuple(machine.firmware):
            machine.firmware[key] = replace(machine.firmware[key], version=version)
        self._note(machine, "Firmware updated")

    async def changes(self) -> AsyncIterator[str]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)

    def _find(self, system: str) -> _Machine:
        machine = self._machines.get(system)
        if machine is None:
            raise AbsentResourceError(f"there is no machine {system[:64]!r}", next_action="list the systems")
        if machine.view.power is PowerState.CHANGING and self._clock.monotonic() >= machine.ready:
            self._arrive(machine)
        return machine

    def _slot(self, machine: _Machine, slot: str) -> MediaSlot:
        if slot not in machine.media:
            raise AbsentResourceError(f"there is no drive {slot[:64]!r}", next_action="list the virtual drives")
        return machine.media[slot]

    def _change(self, machine: _Machine, wanted: PowerState) -> None:
        if machine.view.power is wanted is PowerState.OFF:
            return
        machine.wanted, machine.ready = wanted, self._clock.monotonic() + TRANSITION_SECONDS
        self._show(machine, replace(machine.view, power=PowerState.CHANGING))

    def _arrive(self, machine: _Machine) -> None:
        boot = machine.view.boot
        if machine.wanted is PowerState.ON:
            machine.booted.append(boot.target)
            boot = _NO_OVERRIDE if boot.term is BootTerm.ONCE else boot
        self._show(machine, replace(machine.view, power=machine.wanted, boot=boot))
        self._note(machine, f"Power is {machine.wanted.value}")

    def _show(self, machine: _Machine, view: SystemView) -> None:
        machine.view = view
        for queue in self._listeners:
            queue.put_nowait(view.id)

    def _note(self, machine: _Machine, message: str) -> None:
        machine.logged += 1
        entry = EventLogEntry(id=str(machine.logged), time=self._clock.now(), severity=_OK, message=message)
        machine.log = [*machine.log[1 - _LOG_LIMIT :], entry]


_OK = Health.OK


def _is_none(override: BootOverride) -> bool:
    return override.term is BootTerm.DISABLED or override.target is BootTarget.NONE
