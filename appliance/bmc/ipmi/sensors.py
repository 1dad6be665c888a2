"""Sensor data records and readings (IPMI 2.0 sections 33, 35, 36, 43) <-> our sensors. Pure."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from appliance.bmc.codec.text import clean
from appliance.bmc.ipmi.packet import Request
from appliance.errors import BmcError
from appliance.model.bmc import Health, Sensor, SensorKind

_SENSOR, _STORAGE = 0x04, 0x0A
LAST = 0xFFFF
MAX_RECORDS = 1024
HEADER = 5
CHUNK = 16
RESERVE = Request(netfn=_STORAGE, command=0x22, data=b"")

_FULL = 0x01
_THRESHOLD = 0x01
_UNITS: Mapping[int, tuple[str, SensorKind]] = {
    1: ("Cel", SensorKind.TEMPERATURE),
    2: ("[degF]", SensorKind.TEMPERATURE),
    4: ("V", SensorKind.VOLTAGE),
    5: ("A", SensorKind.CURRENT),
    6: ("W", SensorKind.POWER),
    18: ("{rev}/min", SensorKind.FAN),
}
# Section 36.3 and table 43-1, byte 24: what is applied to the linear value.
_LINEARISATIONS: Mapping[int, Callable[[float], float]] = {
    0: float,
    1: math.log,
    2: math.log10,
    3: math.log2,
    4: math.exp,
    5: lambda x: 10.0**x,
    6: lambda x: 2.0**x,
    7: lambda x: 1 / x,
    8: lambda x: x**2,
    9: lambda x: x**3,
    10: math.sqrt,
    11: lambda x: math.copysign(abs(x) ** (1 / 3), x),
}
_KINDS = {
    0x01: SensorKind.TEMPERATURE,
    0x02: SensorKind.VOLTAGE,
    0x03: SensorKind.CURRENT,
    0x04: SensorKind.FAN,
    0x0B: SensorKind.POWER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorRecord:
    """value = L[(m * raw + b * 10**b_exponent) * 10**exponent] (section 36.3)."""

    number: int
    lun: int
    name: str
    kind: SensorKind
    unit: str
    signed: int
    m: int
    b: int
    b_exponent: int
    exponent: int
    linearisation: int = 0


def read_record(reservation: bytes, record: int, offset: int, count: int) -> Request:
    data = reservation + record.to_bytes(2, "little") + bytes((offset, count))
    return Request(netfn=_STORAGE, command=0x23, data=data)


def record_part(answer: bytes) -> tuple[int, bytes]:
    """The id of the next record, and what was asked of this one."""
    if len(answer) < 2:
        raise BmcError("the BMC sent a broken sensor record", evidence=answer.hex(), next_action="update its firmware")
    return int.from_bytes(answer[:2], "little"), answer[2:]


def record_size(header: bytes) -> int:
    return HEADER + header[4] if len(header) >= HEADER else HEADER


def reading_of(record: SensorRecord) -> Request:
    return Request(netfn=_SENSOR, command=0x2D, data=bytes((record.number,)), lun=record.lun)


def sensor_record(record: bytes) -> SensorRecord | None:
    """None for what gives no number by a known formula: discrete and OEM sensors, entities, FRU locators."""
    if len(record) < 48 or record[3] != _FULL or record[13] != _THRESHOLD or record[23] & 0x7F not in _LINEARISATIONS:
        return None
    if (signed := record[20] >> 6) == 3:
        return None
    unit, kind = _UNITS.get(record[21], ("%" if record[20] & 1 else "", SensorKind.OTHER))
    return SensorRecord(
        number=record[7],
        lun=record[6] & 3,
        name=_name(record[47], record[48:]),
        kind=kind if kind is not SensorKind.OTHER else _KINDS.get(record[12], kind),
        unit=unit,
        signed=signed,
        m=_twos(record[24] | (record[25] & 0xC0) << 2, 10),
        b=_twos(record[26] | (record[27] & 0xC0) << 2, 10),
        b_exponent=_twos(record[29] & 0x0F, 4),
        exponent=_twos(record[29] >> 4, 4),
        linearisation=record[23] & 0x7F,
    )


def _name(type_length: int, text: bytes) -> str:
    return clean(text[: type_length & 0x1F].decode("latin-1")) if type_length >> 6 == 3 else ""


def _twos(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def sensor(record: SensorRecord, answer: bytes) -> Sensor:
    """Table 35-15. Without a reading where the BMC says that it is not available or not scanned."""
    awake = len(answer) >= 2 and answer[1] & 0x40 and not answer[1] & 0x20
    return Sensor(
        name=record.name or f"sensor {record.number}",
        kind=record.kind,
        reading=_value(record, answer[0]) if awake else None,
        unit=record.unit,
        health=_health(answer[2]) if awake and len(answer) > 2 else Health.UNKNOWN,
    )


def _value(record: SensorRecord, raw: int) -> float | None:
    """None where the formula has no value, such as the logarithm of 0."""
    if record.signed and raw & 0x80:
        raw -= 0xFF if record.signed == 1 else 0x100
    exact = (record.m * raw + record.b * 10.0**record.b_exponent) * 10.0**record.exponent
    try:
        return round(_LINEARISATIONS[record.linearisation](exact), 6)
    except (ValueError, OverflowError, ZeroDivisionError):
        return None


def _health(thresholds: int) -> Health:
    """Bits 0 to 5: lower non-critical, critical, non-recoverable, then the upper three."""
    if thresholds & 0b110110:
        return Health.CRITICAL
    return Health.WARNING if thresholds & 0b001001 else Health.OK
