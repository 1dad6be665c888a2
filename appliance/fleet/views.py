"""What the Redfish service shows of a machine: the inventory, and what its BMC said just now. Pure."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from appliance.conductor.machine import MachineState
from appliance.model.bmc import (
    BmcEndpoint,
    BootMode,
    BootOverride,
    BootTarget,
    BootTerm,
    Health,
    Indicator,
    PowerCommand,
    PowerState,
)
from appliance.model.hardware import Disk, HardwareFacts
from appliance.model.text import clean
from appliance.redfish.model import (
    ChassisType,
    ChassisView,
    ConsoleType,
    DriveKind,
    DriveView,
    ManagerProtocol,
    ManagerView,
    ProcessorView,
    SystemView,
)

NO_OVERRIDE = BootOverride(target=BootTarget.NONE, term=BootTerm.DISABLED)
_IPMI_COMMANDS = frozenset(PowerCommand) - {PowerCommand.GRACEFUL_RESTART}
_IPMI_TARGETS = frozenset(BootTarget) - {BootTarget.HTTP}
_TEXT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a BMC said at one look. `answers` is false where it said nothing: then the rest is unknown."""

    answers: bool
    power: PowerState = PowerState.UNKNOWN
    boot: BootOverride = NO_OVERRIDE
    indicator: Indicator = Indicator.UNKNOWN


def view_of(state: MachineState, endpoint: BmcEndpoint, look: Look, *, console: bool) -> SystemView:
    """Whatever is not known yet is empty; a machine is shown from the site program on."""
    facts, identity = state.facts, state.identity
    is_ipmi = protocol_of(endpoint) is ManagerProtocol.IPMI
    return SystemView(
        id=state.name,
        name=state.name,
        uuid=identity.uuid if identity and identity.uuid else facts.uuid if facts else None,
        serial=(facts.serial if facts else "") or (identity.serial if identity else ""),
        manufacturer=identity.manufacturer if identity else facts.manufacturer if facts else "",
        product=identity.product if identity else facts.product if facts else "",
        bios_version="",
        processors=1 if facts else 0,
        memory_gib=facts.memory_bytes / (1 << 30) if facts else 0,
        macs=tuple(nic.mac for nic in facts.nics) if facts else identity.macs if identity else (),
        power=look.power,
        health=Health.OK if look.answers else Health.UNKNOWN,
        indicator=look.indicator,
        boot=look.boot,
        commands=_IPMI_COMMANDS if is_ipmi else frozenset(PowerCommand),
        targets=_IPMI_TARGETS if is_ipmi else frozenset(BootTarget),
        modes=frozenset(BootMode),
        chassis=ChassisView(type=ChassisType.RACK_MOUNT),
        manager=_manager(endpoint, look, console=console),
        cpus=_cpus(facts) if facts else (),
        drives=tuple(map(_drive, facts.disks)) if facts else (),
    )


def protocol_of(endpoint: BmcEndpoint) -> ManagerProtocol:
    return ManagerProtocol.IPMI if urlsplit(endpoint.url).scheme == "ipmi" else ManagerProtocol.REDFISH


def _manager(endpoint: BmcEndpoint, look: Look, *, console: bool) -> ManagerView:
    return ManagerView(
        model=f"{protocol_of(endpoint).value} BMC",
        firmware_version="",
        health=Health.OK if look.answers else Health.CRITICAL,
        host_name=urlsplit(endpoint.url).hostname or "",
        protocol=protocol_of(endpoint),
        consoles=frozenset({ConsoleType.SSH}) if console else frozenset(),
    )


def _cpus(facts: HardwareFacts) -> tuple[ProcessorView, ...]:
    """The inventory knows the sum of the cores only."""
    return (ProcessorView(id="CPU", model=facts.cpu_model, cores=facts.cores, threads=0, health=Health.OK),)


def _drive(disk: Disk) -> DriveView:
    return DriveView(
        id=disk.name,
        model=clean(disk.model, _TEXT),
        serial=disk.serial,
        capacity_bytes=disk.size_bytes,
        kind=DriveKind.HDD if disk.rotational else DriveKind.SSD,
        health=Health.UNKNOWN,
        wwn=disk.wwn,
    )
