"""Chassis with sensors (new and old form), Manager with virtual media, rendered. Pure."""

import re
from collections.abc import Mapping, Sequence

from appliance.bmc.codec.screen import CAPTURE
from appliance.model.bmc import Health, MediaSlot, Sensor, SensorKind
from appliance.redfish.document import Json, JsonObject
from appliance.redfish.model import SystemView
from appliance.redfish.router import Action, Kind, Operation, Resource
from appliance.redfish.schemas import head, link
from appliance.redfish.systems import indicator, power_text, status, time_text

_READING_TYPES = {
    SensorKind.TEMPERATURE: "Temperature",
    SensorKind.FAN: "Rotational",
    SensorKind.POWER: "Power",
    SensorKind.VOLTAGE: "Voltage",
    SensorKind.CURRENT: "Current",
}
_MEDIA_TYPES = ("CD", "DVD", "Floppy", "USBStick")
_NO_ID = re.compile(r"[^A-Za-z0-9_-]+")


def chassis(view: SystemView) -> JsonObject:
    here = Resource(kind=Kind.CHASSIS, system=view.id)
    return {
        **head(here, "Chassis", view.name),
        "ChassisType": view.chassis.type.value,
        "Manufacturer": view.manufacturer,
        "Model": view.product,
        "SerialNumber": view.serial,
        "AssetTag": view.chassis.asset_tag,
        "PowerState": power_text(view),
        "Status": status(view.health),
        **indicator(view),
        "Sensors": link(Resource(kind=Kind.SENSORS, system=view.id)),
        "Power": link(Resource(kind=Kind.POWER, system=view.id)),
        "Thermal": link(Resource(kind=Kind.THERMAL, system=view.id)),
        "Links": {
            "ComputerSystems": (link(Resource(kind=Kind.SYSTEM, system=view.id)),),
            "ManagedBy": (link(Resource(kind=Kind.MANAGER, system=view.id)),),
        },
    }


def named_sensors(sensors: Sequence[Sensor]) -> Mapping[str, Sensor]:
    """By the id that each gets: its name as far as a URI takes it, numbered where two look alike."""
    named: dict[str, Sensor] = {}
    for number, sensor in enumerate(sensors, start=1):
        plain = _NO_ID.sub("_", sensor.name).strip("_")[:64] or "Sensor"
        named[plain if plain not in named else f"{plain}.{number}"] = sensor
    return named


def sensor(value: Sensor, resource: Resource) -> JsonObject:
    kind: JsonObject = {"ReadingType": _READING_TYPES[value.kind]} if value.kind in _READING_TYPES else {}
    return {
        **head(resource, "Sensor", value.name),
        **kind,
        "Reading": value.reading,
        "ReadingUnits": value.unit,
        "Status": status(value.health),
    }


def power(system_id: str, sensors: Sequence[Sensor]) -> JsonObject:
    here = Resource(kind=Kind.POWER, system=system_id)
    watts = [value for value in sensors if value.kind is SensorKind.POWER]
    volts = [value for value in sensors if value.kind is SensorKind.VOLTAGE]
    return {
        **head(here, "Power", "Power"),
        "PowerControl": _listed(here, "PowerControl", watts, "PowerConsumedWatts"),
        "Voltages": _listed(here, "Voltages", volts, "ReadingVolts"),
    }


def thermal(system_id: str, sensors: Sequence[Sensor]) -> JsonObject:
    here = Resource(kind=Kind.THERMAL, system=system_id)
    degrees = [value for value in sensors if value.kind is SensorKind.TEMPERATURE]
    fans = [value for value in sensors if value.kind is SensorKind.FAN]
    return {
        **head(here, "Thermal", "Thermal"),
        "Temperatures": _listed(here, "Temperatures", degrees, "ReadingCelsius"),
        "Fans": tuple(
            {**_entry(here, "Fans", number, value), "Reading": _whole(value), "ReadingUnits": _fan_unit(value)}
            for number, value in enumerate(fans)
        ),
    }


def _listed(here: Resource, name: str, sensors: Sequence[Sensor], reading: str) -> tuple[JsonObject, ...]:
    return tuple({**_entry(here, name, number, value), reading: value.reading} for number, value in enumerate(sensors))


def _entry(here: Resource, name: str, number: int, value: Sensor) -> JsonObject:
    return {
        "@odata.id": f"{here.uri}#/{name}/{number}",
        "MemberId": str(number),
        "Name": value.name,
        "Status": status(value.health),
    }


def _whole(value: Sensor) -> int | None:
    return None if value.reading is None else round(value.reading)


def _fan_unit(value: Sensor) -> str:
    return "Percent" if value.unit == "%" else "RPM"


def manager(view: SystemView, clock: float) -> JsonObject:
    here = Resource(kind=Kind.MANAGER, system=view.id)
    reset: JsonObject = {
        "target": Operation(action=Action.RESET_MANAGER, system=view.id).uri,
        "ResetType@Redfish.AllowableValues": MANAGER_RESETS,
    }
    return {
        **head(here, "Manager", f"BMC of {view.name}"),
        "ManagerType": "BMC",
        "Model": view.manager.model,
        "FirmwareVersion": view.manager.firmware_version,
        "UUID": str(view.manager.uuid) if view.manager.uuid else None,
        "PowerState": "On",
        "DateTime": time_text(clock),
        "DateTimeLocalOffset": "+00:00",
        "Status": status(view.manager.health),
        "VirtualMedia": link(Resource(kind=Kind.MEDIA, system=view.id)),
        "Links": {
            "ManagerForServers": (link(Resource(kind=Kind.SYSTEM, system=view.id)),),
            "ManagerForChassis": (link(Resource(kind=Kind.CHASSIS, system=view.id)),),
        },
        "Actions": {"#Manager.Reset": reset, **_capture(view)},
    }


def _capture(view: SystemView) -> JsonObject:
    """An action of our own: Redfish has none for it."""
    if not view.manager.has_screen:
        return {}
    operation = Operation(action=Action.CAPTURE_SCREEN, system=view.id)
    return {"Oem": {f"#{CAPTURE}": {"target": operation.uri}}}


MANAGER_RESETS = ("GracefulRestart", "ForceRestart")


def medium(slot: MediaSlot, resource: Resource) -> JsonObject:
    types = tuple(name for name in _MEDIA_TYPES if name in slot.media_types)
    insert = Operation(action=Action.INSERT_MEDIA, system=resource.system, item=resource.item).uri
    eject = Operation(action=Action.EJECT_MEDIA, system=resource.system, item=resource.item).uri
    image: Json = slot.image or None
    return {
        **head(resource, "VirtualMedia", f"Virtual drive {slot.id}"),
        "MediaTypes": types,
        "Image": image,
        "ImageName": slot.image.rpartition("/")[2] or None,
        "Inserted": slot.inserted,
        "WriteProtected": True,
        "ConnectedVia": "URI" if slot.inserted else "NotConnected",
        "Status": status(Health.OK),
        "Actions": {
            "#VirtualMedia.InsertMedia": {"target": insert},
            "#VirtualMedia.EjectMedia": {"target": eject},
        },
    }
