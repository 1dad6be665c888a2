"""Processors, memory and drives of a machine; what its chassis draws and how warm it is; its BMC's network. Pure."""

from collections.abc import Sequence

from appliance.model.bmc import Health, Sensor, SensorKind
from appliance.redfish.document import JsonObject
from appliance.redfish.enclosures import named_sensors
from appliance.redfish.model import DriveView, ManagerProtocol, MemoryView, ProcessorView, SystemView
from appliance.redfish.router import Kind, Resource
from appliance.redfish.schemas import head, link
from appliance.redfish.systems import status

_HTTPS_PORT = 443
_IPMI_PORT = 623


def parts(view: SystemView) -> JsonObject:
    """Links from the system to what is known one by one."""
    known = (
        ("Processors", Kind.PROCESSORS, view.cpus),
        ("Memory", Kind.DIMMS, view.dimms),
        ("Storage", Kind.STORAGES, view.drives),
    )
    return {name: link(Resource(kind=kind, system=view.id)) for name, kind, values in known if values}


def processor(value: ProcessorView, resource: Resource) -> JsonObject:
    return {
        **head(resource, "Processor", f"Processor {value.id}"),
        "ProcessorType": "CPU",
        "Model": value.model,
        "TotalCores": value.cores or None,
        "TotalThreads": value.threads or None,
        "Status": status(value.health),
    }


def dimm(value: MemoryView, resource: Resource) -> JsonObject:
    return {
        **head(resource, "Memory", f"Memory {value.id}"),
        "MemoryType": "DRAM",
        "CapacityMiB": value.capacity_mib,
        "PartNumber": value.part_number,
        "Status": status(value.health),
    }


def storage(view: SystemView) -> JsonObject:
    drives = tuple(link(Resource(kind=Kind.DRIVE, system=view.id, item=drive.id)) for drive in view.drives)
    return {
        **head(Resource(kind=Kind.STORAGE, system=view.id), "Storage", "Local storage"),
        "Drives": drives,
        "Drives@odata.count": len(drives),
        "Status": status(Health.OK),
    }


def drive(value: DriveView, resource: Resource) -> JsonObject:
    identifiers = ({"DurableName": value.wwn, "DurableNameFormat": "NAA"},) if value.wwn else ()
    return {
        **head(resource, "Drive", f"Drive {value.id}"),
        "Model": value.model,
        "SerialNumber": value.serial,
        "CapacityBytes": value.capacity_bytes,
        "MediaType": value.kind.value,
        "Identifiers": identifiers,
        "Status": status(value.health),
    }


def enclosure_parts(system: str) -> JsonObject:
    """Links from the chassis to what DSP0268 has since 2020.4 in place of Power and Thermal."""
    return {
        "PowerSubsystem": link(Resource(kind=Kind.POWER_SUBSYSTEM, system=system)),
        "ThermalSubsystem": link(Resource(kind=Kind.THERMAL_SUBSYSTEM, system=system)),
        "EnvironmentMetrics": link(Resource(kind=Kind.ENVIRONMENT, system=system)),
    }


def power_subsystem(system: str) -> JsonObject:
    here = Resource(kind=Kind.POWER_SUBSYSTEM, system=system)
    return {**head(here, "PowerSubsystem", "Power subsystem"), "Status": status(Health.OK)}


def thermal_subsystem(system: str) -> JsonObject:
    here = Resource(kind=Kind.THERMAL_SUBSYSTEM, system=system)
    return {
        **head(here, "ThermalSubsystem", "Thermal subsystem"),
        "Fans": link(Resource(kind=Kind.FANS, system=system)),
        "ThermalMetrics": link(Resource(kind=Kind.THERMAL_METRICS, system=system)),
        "Status": status(Health.OK),
    }


def thermal_metrics(system: str, sensors: Sequence[Sensor]) -> JsonObject:
    here = Resource(kind=Kind.THERMAL_METRICS, system=system)
    readings = tuple(
        {"DeviceName": sensor.name, **_excerpt(system, item, sensor)}
        for item, sensor in named_sensors(sensors).items()
        if sensor.kind is SensorKind.TEMPERATURE
    )
    return {
        **head(here, "ThermalMetrics", "Thermal metrics"),
        "TemperatureReadingsCelsius": readings,
        "TemperatureReadingsCelsius@odata.count": len(readings),
    }


def environment(system: str, sensors: Sequence[Sensor]) -> JsonObject:
    """The first power sensor is taken for the draw of the whole machine, as BMCs list it."""
    here = Resource(kind=Kind.ENVIRONMENT, system=system)
    watts = [pair for pair in named_sensors(sensors).items() if pair[1].kind is SensorKind.POWER]
    draw: JsonObject = {"PowerWatts": _excerpt(system, *watts[0])} if watts else {}
    return {**head(here, "EnvironmentMetrics", "Environment metrics"), **draw}


def fan_ids(sensors: Sequence[Sensor]) -> tuple[str, ...]:
    return tuple(item for item, sensor in named_sensors(sensors).items() if sensor.kind is SensorKind.FAN)


def fan(sensor: Sensor, resource: Resource) -> JsonObject:
    percent = sensor.unit == "%"
    source = Resource(kind=Kind.SENSOR, system=resource.system, item=resource.item).uri
    speed: JsonObject = {"DataSourceUri": source, "Reading": sensor.reading if percent else None}
    turns: JsonObject = {} if percent else {"SpeedRPM": sensor.reading}
    return {
        **head(resource, "Fan", sensor.name),
        "SpeedPercent": {**speed, **turns},
        "Status": status(sensor.health),
    }


def network_protocol(view: SystemView) -> JsonObject:
    redfish = view.manager.protocol is ManagerProtocol.REDFISH
    return {
        **head(Resource(kind=Kind.NETWORK_PROTOCOL, system=view.id), "ManagerNetworkProtocol", "Network protocols"),
        "HostName": view.manager.host_name,
        "HTTP": {"ProtocolEnabled": False},
        "HTTPS": {"ProtocolEnabled": redfish, "Port": _HTTPS_PORT},
        "IPMI": {"ProtocolEnabled": not redfish, "Port": _IPMI_PORT},
        "SSDP": {"ProtocolEnabled": False},
        "Status": status(Health.OK),
    }


def manager_nic(view: SystemView, resource: Resource) -> JsonObject:
    mac = str(view.manager.mac) if view.manager.mac else None
    return {
        **head(resource, "EthernetInterface", "BMC interface"),
        "MACAddress": mac,
        "PermanentMACAddress": mac,
        "HostName": view.manager.host_name,
        "Status": status(Health.UNKNOWN),
    }


def consoles(view: SystemView) -> JsonObject:
    types = tuple(sorted(console.value for console in view.manager.consoles))
    enabled = bool(types)
    return {"ServiceEnabled": enabled, "MaxConcurrentSessions": int(enabled), "ConnectTypesSupported": types}


def _excerpt(system: str, item: str, sensor: Sensor) -> JsonObject:
    source = Resource(kind=Kind.SENSOR, system=system, item=item).uri
    return {"DataSourceUri": source, "Reading": sensor.reading}
