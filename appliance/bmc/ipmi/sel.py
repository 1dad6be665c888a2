"""System event log (IPMI 2.0 sections 31, 32, 42) <-> our log entries. Pure."""

from appliance.bmc.ipmi.packet import Request
from appliance.errors import BmcError
from appliance.model.bmc import EventLogEntry, Health

_STORAGE = 0x0A
LAST = 0xFFFF
MAX_ENTRIES = 4096
RESERVE = Request(netfn=_STORAGE, command=0x42, data=b"")
INFO = Request(netfn=_STORAGE, command=0x40, data=b"")

# Table 42-3, the sensor types that logs are full of.
_SENSORS = {
    0x01: "temperature",
    0x02: "voltage",
    0x03: "current",
    0x04: "fan",
    0x05: "chassis intrusion",
    0x07: "processor",
    0x08: "power supply",
    0x09: "power unit",
    0x0C: "memory",
    0x0D: "drive slot",
    0x0F: "system firmware",
    0x10: "event logging",
    0x12: "system event",
    0x13: "critical interrupt",
    0x14: "button",
    0x1D: "system boot",
    0x1E: "boot error",
    0x1F: "operating system boot",
    0x20: "operating system stop",
    0x23: "watchdog",
    0x28: "management subsystem",
}
# Table 42-2, generic event type 1.
_THRESHOLDS = (
    "lower non-critical going low",
    "lower non-critical going high",
    "lower critical going low",
    "lower critical going high",
    "lower non-recoverable going low",
    "lower non-recoverable going high",
    "upper non-critical going low",
    "upper non-critical going high",
    "upper critical going low",
    "upper critical going high",
    "upper non-recoverable going low",
    "upper non-recoverable going high",
)
_EPOCH_OF_UNSET_CLOCK = 0x20000000


def read_entry(record: int) -> Request:
    """Whole entries need no reservation."""
    return Request(netfn=_STORAGE, command=0x43, data=b"\0\0" + record.to_bytes(2, "little") + b"\0\xff")


def erase(reservation: bytes, *, begin: bool) -> Request:
    return Request(netfn=_STORAGE, command=0x47, data=reservation + b"CLR" + (b"\xaa" if begin else b"\0"))


def erased(answer: bytes) -> bool:
    return bool(answer) and answer[0] & 0x0F == 1


def count(info: bytes) -> int:
    if len(info) < 3:
        raise BmcError("the BMC sent broken log information", evidence=info.hex(), next_action="update its firmware")
    return int.from_bytes(info[1:3], "little")


def entry(answer: bytes) -> tuple[int, EventLogEntry]:
    """The id of the next record, and this one."""
    if len(answer) != 18:
        raise BmcError("the BMC sent a broken log entry", evidence=answer[:32].hex(), next_action="clear the log")
    following, record = int.from_bytes(answer[:2], "little"), answer[2:]
    number, kind = int.from_bytes(record[:2], "little"), record[2]
    stamp = int.from_bytes(record[3:7], "little")
    # Below this the clock counts from the BMC's start (section 37.1); OEM types from 0xE0 have no time.
    time = float(stamp) if _EPOCH_OF_UNSET_CLOCK <= stamp < 0xFFFFFFFF and kind < 0xE0 else None
    if kind != 0x02:
        message, severity = f"OEM record 0x{kind:02x}: {record[3:].hex()}", Health.UNKNOWN
    else:
        message, severity = _event(record)
    origin = f"sensor {record[11]}" if kind == 0x02 else ""
    return following, EventLogEntry(id=str(number), time=time, severity=severity, message=message, origin=origin)


def _event(record: bytes) -> tuple[str, Health]:
    sensor, kind, offset = record[10], record[12] & 0x7F, record[13] & 0x0F
    over = bool(record[12] & 0x80)
    name = _SENSORS.get(sensor, f"sensor type 0x{sensor:02x}")
    if kind == 1 and offset < len(_THRESHOLDS):
        severity = Health.WARNING if "non-critical" in _THRESHOLDS[offset] else Health.CRITICAL
        what = _THRESHOLDS[offset]
    else:
        # What a discrete event means for the machine differs from sensor to sensor: the reader is told which it was.
        severity, what = Health.UNKNOWN, f"event type 0x{kind:02x} state {offset} data {record[13:16].hex()}"
    return f"{name}: {what}" + (", over" if over else ""), Health.OK if over else severity
