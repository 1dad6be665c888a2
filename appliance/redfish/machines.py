"""Which document shows which part of a machine. Pure."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from appliance.model.bmc import EventLogEntry, MediaSlot, Sensor
from appliance.redfish import enclosures, hardware, systems
from appliance.redfish.document import JsonObject
from appliance.redfish.errors import AbsentResourceError
from appliance.redfish.model import DriveView, MemoryView, ProcessorView, SystemView
from appliance.redfish.router import Kind, Resource
from appliance.redfish.schemas import collection, link

T = TypeVar("T")
Part = TypeVar("Part", ProcessorView, MemoryView, DriveView)
MANAGER_NIC = "eth0"
_WRITABLE = ("AssetTag",)

OF_VIEW = (
    Kind.SYSTEM,
    Kind.NICS,
    Kind.NIC,
    Kind.PROCESSORS,
    Kind.PROCESSOR,
    Kind.DIMMS,
    Kind.DIMM,
    Kind.STORAGES,
    Kind.STORAGE,
    Kind.DRIVE,
    Kind.LOGS,
    Kind.LOG,
    Kind.CHASSIS,
    Kind.POWER_SUBSYSTEM,
    Kind.THERMAL_SUBSYSTEM,
    Kind.MANAGER,
    Kind.NETWORK_PROTOCOL,
    Kind.MANAGER_NICS,
    Kind.MANAGER_NIC,
)
OF_SENSORS = (
    Kind.SENSORS,
    Kind.SENSOR,
    Kind.POWER,
    Kind.THERMAL,
    Kind.THERMAL_METRICS,
    Kind.FANS,
    Kind.FAN,
    Kind.ENVIRONMENT,
)


def of_view(resource: Resource, view: SystemView, now: float) -> JsonObject:
    """A document of one of the kinds `OF_VIEW`. Raises `AbsentResourceError`."""
    match resource.kind:
        case Kind.SYSTEM:
            return known({**systems.system(view), **hardware.parts(view)})
        case Kind.CHASSIS:
            return known({**enclosures.chassis(view), **hardware.enclosure_parts(view.id)})
        case Kind.NICS:
            return within(resource, Kind.NIC, "EthernetInterfaceCollection", "Interfaces", systems.nic_ids(view))
        case Kind.NIC if resource.item in systems.nic_ids(view):
            return systems.nic(view, resource)
        case Kind.LOGS:
            log = Resource(kind=Kind.LOG, system=view.id)
            return collection(resource, "LogServiceCollection", "Log services", (log,))
        case Kind.LOG:
            return systems.log_service(view.id, now)
        case Kind.POWER_SUBSYSTEM:
            return hardware.power_subsystem(view.id)
        case Kind.THERMAL_SUBSYSTEM:
            return hardware.thermal_subsystem(view.id)
        case Kind.MANAGER | Kind.NETWORK_PROTOCOL | Kind.MANAGER_NICS | Kind.MANAGER_NIC:
            return _of_manager(resource, view, now)
        case _:
            return _of_parts(resource, view)


def _of_manager(resource: Resource, view: SystemView, now: float) -> JsonObject:
    nics = (MANAGER_NIC,) if view.manager.mac else ()
    match resource.kind:
        case Kind.MANAGER:
            return known(
                {
                    **enclosures.manager(view, now),
                    "SerialConsole": hardware.consoles(view),
                    "NetworkProtocol": link(Resource(kind=Kind.NETWORK_PROTOCOL, system=view.id)),
                    "EthernetInterfaces": link(Resource(kind=Kind.MANAGER_NICS, system=view.id)),
                }
            )
        case Kind.NETWORK_PROTOCOL:
            return hardware.network_protocol(view)
        case Kind.MANAGER_NICS:
            return within(resource, Kind.MANAGER_NIC, "EthernetInterfaceCollection", "Interfaces", nics)
        case _ if resource.item in nics:
            return hardware.manager_nic(view, resource)
        case _:
            raise absent(resource)


def _of_parts(resource: Resource, view: SystemView) -> JsonObject:
    cpus, dimms, drives = _by_id(view.cpus), _by_id(view.dimms), _by_id(view.drives)
    match resource.kind:
        case Kind.PROCESSORS if cpus:
            return within(resource, Kind.PROCESSOR, "ProcessorCollection", "Processors", tuple(cpus))
        case Kind.PROCESSOR:
            return hardware.processor(one_of(cpus, resource), resource)
        case Kind.DIMMS if dimms:
            return within(resource, Kind.DIMM, "MemoryCollection", "Memory", tuple(dimms))
        case Kind.DIMM:
            return hardware.dimm(one_of(dimms, resource), resource)
        case Kind.STORAGES if drives:
            local = Resource(kind=Kind.STORAGE, system=view.id)
            return collection(resource, "StorageCollection", "Storage", (local,))
        case Kind.STORAGE if drives:
            return hardware.storage(view)
        case Kind.DRIVE:
            return hardware.drive(one_of(drives, resource), resource)
        case _:
            raise absent(resource)


def of_sensors(resource: Resource, sensors: Sequence[Sensor]) -> JsonObject:
    """A document of one of the kinds `OF_SENSORS`. Raises `AbsentResourceError`."""
    named = enclosures.named_sensors(sensors)
    fans = {item: named[item] for item in hardware.fan_ids(sensors)}
    match resource.kind:
        case Kind.POWER:
            return enclosures.power(resource.system, sensors)
        case Kind.THERMAL:
            return enclosures.thermal(resource.system, sensors)
        case Kind.THERMAL_METRICS:
            return hardware.thermal_metrics(resource.system, sensors)
        case Kind.ENVIRONMENT:
            return hardware.environment(resource.system, sensors)
        case Kind.FANS:
            return within(resource, Kind.FAN, "FanCollection", "Fans", tuple(fans))
        case Kind.FAN:
            return hardware.fan(one_of(fans, resource), resource)
        case Kind.SENSORS:
            return within(resource, Kind.SENSOR, "SensorCollection", "Sensors", tuple(named))
        case _:
            return enclosures.sensor(one_of(named, resource), resource)


def of_log(resource: Resource, log: Sequence[EventLogEntry]) -> JsonObject:
    """The schema has the members of a log stand in their collection itself (OData.AutoExpand)."""
    entries = {entry.id: entry for entry in log}
    if resource.kind is Kind.LOG_ENTRIES:
        listed = within(resource, Kind.LOG_ENTRY, "LogEntryCollection", "Log entries", tuple(entries))
        where = {name: Resource(kind=Kind.LOG_ENTRY, system=resource.system, item=name) for name in entries}
        return {**listed, "Members": tuple(systems.log_entry(entries[name], where[name]) for name in entries)}
    return systems.log_entry(one_of(entries, resource), resource)


def of_media(resource: Resource, media: Sequence[MediaSlot]) -> JsonObject:
    slots = {slot.id: slot for slot in media}
    if resource.kind is Kind.MEDIA:
        return within(resource, Kind.MEDIUM, "VirtualMediaCollection", "Virtual media", tuple(slots))
    return enclosures.medium(one_of(slots, resource), resource)


def known(document: JsonObject) -> JsonObject:
    """Without the properties that nothing is known of; what clients may write stays."""
    return {key: value for key, value in document.items() if value != "" or key in _WRITABLE}


def within(resource: Resource, kind: Kind, schema: str, name: str, ids: tuple[str, ...]) -> JsonObject:
    """A collection whose members are of `kind`."""
    members = tuple(Resource(kind=kind, system=resource.system, item=each) for each in ids)
    return collection(resource, schema, name, members)


def one_of(found: Mapping[str, T], resource: Resource) -> T:
    return given(found.get(resource.item), resource)


def given(value: T | None, resource: Resource) -> T:
    if value is None:
        raise absent(resource)
    return value


def absent(resource: Resource) -> AbsentResourceError:
    return AbsentResourceError(f"there is no {resource.uri}", next_action="read the collection that would have it")


def _by_id(parts: tuple[Part, ...]) -> dict[str, Part]:
    return {part.id: part for part in parts}
