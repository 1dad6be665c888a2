"""Sensor resources, and the Thermal and Power resources that came before them (DSP2046). Pure."""

from collections.abc import Iterable, Iterator

from appliance.bmc.codec.text import clean
from appliance.bmc.redfish_codec import JsonObject, child, health, number, objects
from appliance.model.bmc import Indicator, Sensor, SensorKind

_KINDS = {
    "Temperature": SensorKind.TEMPERATURE,
    "Rotational": SensorKind.FAN,
    "Power": SensorKind.POWER,
    "Voltage": SensorKind.VOLTAGE,
    "Current": SensorKind.CURRENT,
}
_UNITS = {"RPM": "{rev}/min", "Percent": "%"}


def sensor(document: JsonObject) -> Sensor:
    return Sensor(
        name=clean(document.get("Name")) or clean(document.get("Id")),
        kind=_KINDS.get(clean(document.get("ReadingType")), SensorKind.OTHER),
        reading=number(document.get("Reading")),
        unit=clean(document.get("ReadingUnits"), 16),
        health=health(child(document, "Status").get("Health")),
    )


def of_thermal(thermal: JsonObject) -> Iterator[Sensor]:
    for entry in _present(objects(thermal, "Temperatures")):
        yield _old(entry, SensorKind.TEMPERATURE, "ReadingCelsius", "Cel")
    for entry in _present(objects(thermal, "Fans")):
        unit = clean(entry.get("ReadingUnits"), 16)
        yield _old(entry, SensorKind.FAN, "Reading", _UNITS.get(unit, unit))


def of_power(power: JsonObject) -> Iterator[Sensor]:
    for entry in _present(objects(power, "Voltages")):
        yield _old(entry, SensorKind.VOLTAGE, "ReadingVolts", "V")
    for entry in objects(power, "PowerControl"):
        yield _old(entry, SensorKind.POWER, "PowerConsumedWatts", "W")


def _present(entries: Iterable[JsonObject]) -> Iterator[JsonObject]:
    """Without those of an empty slot."""
    return (entry for entry in entries if child(entry, "Status").get("State") != "Absent")


def _old(entry: JsonObject, kind: SensorKind, key: str, unit: str) -> Sensor:
    return Sensor(
        # FanName: before Thermal 1.1.
        name=clean(entry.get("Name")) or clean(entry.get("FanName")) or clean(entry.get("MemberId")),
        kind=kind,
        reading=number(entry.get(key)),
        unit=unit,
        health=health(child(entry, "Status").get("Health")),
    )


def watts_of_metrics(metrics: JsonObject) -> float | None:
    """Of an EnvironmentMetrics resource."""
    return number(child(metrics, "PowerWatts").get("Reading"))


def watts_of_power(power: JsonObject) -> float | None:
    """Of the chassis as a whole: the first PowerControl; the others are its parts (DSP2046, Power)."""
    controls = objects(power, "PowerControl")
    return number(controls[0].get("PowerConsumedWatts")) if controls else None


# --- the identify LED -----------------------------------------------------------------------------------------

_LED, _ACTIVE = "IndicatorLED", "LocationIndicatorActive"
_LEDS = {Indicator.OFF: "Off", Indicator.LIT: "Lit", Indicator.BLINKING: "Blinking"}


def has_indicator(document: JsonObject) -> bool:
    return document.get(_LED) is not None or document.get(_ACTIVE) is not None


def indicator(document: JsonObject) -> Indicator:
    active = document.get(_ACTIVE)
    if isinstance(active, bool):
        return Indicator.LIT if active else Indicator.OFF
    names = {name: led for led, name in _LEDS.items()}
    return names.get(clean(document.get(_LED)), Indicator.UNKNOWN)


def indicator_patch(wanted: Indicator, document: JsonObject) -> JsonObject:
    """LocationIndicatorActive where there is one: IndicatorLED is deprecated (DSP2046)."""
    if document.get(_ACTIVE) is not None:
        return {_ACTIVE: wanted is not Indicator.OFF}
    return {_LED: _LEDS.get(wanted, "Lit")}
