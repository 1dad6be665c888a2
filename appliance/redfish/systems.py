"""ComputerSystem, its interfaces and its event log, rendered. Pure."""

from datetime import UTC, datetime

from appliance.model.bmc import (
    BootMode,
    BootTarget,
    BootTerm,
    EventLogEntry,
    Health,
    Indicator,
    PowerCommand,
    PowerState,
)
from appliance.redfish.document import Json, JsonObject
from appliance.redfish.model import SystemView
from appliance.redfish.router import Action, Kind, Operation, Resource
from appliance.redfish.schemas import head, link

RESET_TYPES = {
    PowerCommand.ON: "On",
    PowerCommand.GRACEFUL_OFF: "GracefulShutdown",
    PowerCommand.FORCE_OFF: "ForceOff",
    PowerCommand.GRACEFUL_RESTART: "GracefulRestart",
    PowerCommand.FORCE_RESTART: "ForceRestart",
    PowerCommand.CYCLE: "PowerCycle",
    PowerCommand.NMI: "Nmi",
}
TARGETS = {
    BootTarget.NONE: "None",
    BootTarget.NETWORK: "Pxe",
    BootTarget.HTTP: "UefiHttp",
    BootTarget.DISK: "Hdd",
    BootTarget.CD: "Cd",
    BootTarget.USB: "Usb",
    BootTarget.FIRMWARE_SETUP: "BiosSetup",
}
TERMS = {BootTerm.DISABLED: "Disabled", BootTerm.ONCE: "Once", BootTerm.CONTINUOUS: "Continuous"}
MODES = {BootMode.UEFI: "UEFI", BootMode.LEGACY: "Legacy"}
INDICATORS = {Indicator.OFF: "Off", Indicator.LIT: "Lit", Indicator.BLINKING: "Blinking"}
_POWER = {PowerState.ON: "On", PowerState.OFF: "Off"}
_HEALTH = {Health.OK: "OK", Health.WARNING: "Warning", Health.CRITICAL: "Critical"}


def time_text(seconds: float) -> str:
    """DSP0266 section 9.5.6: with an offset, here always UTC. The edges of time where the number is beyond them."""
    try:
        moment = datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        moment = datetime.fromtimestamp(0, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def health(value: Health) -> str | None:
    return _HEALTH.get(value)


def status(value: Health, *, state: str = "Enabled") -> JsonObject:
    return {"State": state, "Health": health(value)}


def power_text(view: SystemView) -> str | None:
    return _POWER.get(view.power)


def indicator(view: SystemView) -> JsonObject:
    """The old property beside the new one: clients know one or the other."""
    unknown = view.indicator is Indicator.UNKNOWN
    return {
        "IndicatorLED": INDICATORS.get(view.indicator),
        "LocationIndicatorActive": None if unknown else view.indicator is not Indicator.OFF,
    }


def system(view: SystemView) -> JsonObject:
    here = Resource(kind=Kind.SYSTEM, system=view.id)
    return {
        **head(here, "ComputerSystem", view.name),
        "SystemType": "Physical",
        "Manufacturer": view.manufacturer,
        "Model": view.product,
        "SerialNumber": view.serial,
        "UUID": str(view.uuid) if view.uuid else None,
        "AssetTag": view.chassis.asset_tag,
        "BiosVersion": view.bios_version,
        "PowerState": power_text(view),
        "Status": status(view.health, state="Disabled" if view.power is PowerState.OFF else "Enabled"),
        **indicator(view),
        "Boot": _boot(view),
        "ProcessorSummary": {"Count": view.processors},
        "MemorySummary": {"TotalSystemMemoryGiB": view.memory_gib},
        "EthernetInterfaces": link(Resource(kind=Kind.NICS, system=view.id)),
        "LogServices": link(Resource(kind=Kind.LOGS, system=view.id)),
        "Links": {
            "Chassis": (link(Resource(kind=Kind.CHASSIS, system=view.id)),),
            "ManagedBy": (link(Resource(kind=Kind.MANAGER, system=view.id)),),
        },
        "Actions": {"#ComputerSystem.Reset": _reset(view)},
    }


def _boot(view: SystemView) -> JsonObject:
    modes = [MODES[mode] for mode in BootMode if mode in view.modes]
    return {
        "BootSourceOverrideEnabled": TERMS[view.boot.term],
        "BootSourceOverrideEnabled@Redfish.AllowableValues": tuple(TERMS.values()),
        "BootSourceOverrideTarget": TARGETS[view.boot.target],
        "BootSourceOverrideTarget@Redfish.AllowableValues": target_names(view),
        # Clients write back what they read: what is not known is left out rather than null.
        **({"BootSourceOverrideMode": MODES[view.boot.mode]} if view.boot.mode else {}),
        "BootSourceOverrideMode@Redfish.AllowableValues": modes,
        "HttpBootUri": view.boot.http_uri or None,
    }


def target_names(view: SystemView) -> tuple[str, ...]:
    return tuple(name for target, name in TARGETS.items() if target in view.targets | {BootTarget.NONE})


def _reset(view: SystemView) -> JsonObject:
    target = Operation(action=Action.RESET_SYSTEM, system=view.id).uri
    names = tuple(name for command, name in RESET_TYPES.items() if command in view.commands)
    return {"target": target, "ResetType@Redfish.AllowableValues": names}


def nic_ids(view: SystemView) -> tuple[str, ...]:
    return tuple(f"NIC{number}" for number in range(1, len(view.macs) + 1))


def nic(view: SystemView, resource: Resource) -> JsonObject:
    mac = str(view.macs[nic_ids(view).index(resource.item)])
    return {
        **head(resource, "EthernetInterface", f"Interface {resource.item}"),
        "MACAddress": mac,
        "PermanentMACAddress": mac,
        "Status": status(Health.UNKNOWN),
    }


def log_service(system_id: str, clock: float) -> JsonObject:
    here = Resource(kind=Kind.LOG, system=system_id)
    return {
        **head(here, "LogService", "System event log"),
        "LogEntryType": "Event",
        "ServiceEnabled": True,
        "OverWritePolicy": "WrapsWhenFull",
        "DateTime": time_text(clock),
        "DateTimeLocalOffset": "+00:00",
        "Status": status(Health.OK),
        "Entries": link(Resource(kind=Kind.LOG_ENTRIES, system=system_id)),
        "Actions": {"#LogService.ClearLog": {"target": Operation(action=Action.CLEAR_LOG, system=system_id).uri}},
    }


def log_entry(entry: EventLogEntry, resource: Resource) -> JsonObject:
    created: dict[str, Json] = {} if entry.time is None else {"Created": time_text(entry.time)}
    origin: dict[str, Json] = {"Originator": entry.origin} if entry.origin else {}
    return {
        **head(resource, "LogEntry", f"Log entry {entry.id}"),
        "EntryType": "Event",
        "Severity": health(entry.severity),
        "Message": entry.message,
        **created,
        **origin,
    }
