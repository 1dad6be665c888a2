"""IPMI commands on paper: chassis, boot flags, GUIDs, FRU, sensors, log. Documents are written, not recorded."""

import contextlib
import struct
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.bmc.ipmi import chassis, device, sel, sensors
from appliance.errors import BmcError, BmcUnsupportedError
from appliance.model.bmc import (
    BootMode,
    BootOverride,
    BootTarget,
    BootTerm,
    EventLogEntry,
    Health,
    Indicator,
    PowerCommand,
    PowerState,
    Sensor,
    SensorKind,
)


@pytest.mark.parametrize(
    ("status", "power", "led"),
    [
        ("210040", PowerState.ON, Indicator.OFF),
        ("200050", PowerState.OFF, Indicator.LIT),
        ("200060", PowerState.OFF, Indicator.LIT),
        ("210000", PowerState.ON, Indicator.UNKNOWN),
        ("21", PowerState.UNKNOWN, Indicator.UNKNOWN),
    ],
)
def test_chassis_status(status: str, power: PowerState, led: Indicator) -> None:
    assert chassis.power_state(bytes.fromhex(status)) is power
    assert chassis.indicator(bytes.fromhex(status)) is led


@pytest.mark.parametrize(
    ("command", "action"),
    [
        (PowerCommand.FORCE_OFF, 0),
        (PowerCommand.ON, 1),
        (PowerCommand.CYCLE, 2),
        (PowerCommand.FORCE_RESTART, 3),
        (PowerCommand.NMI, 4),
        (PowerCommand.GRACEFUL_OFF, 5),
    ],
)
def test_chassis_control(command: PowerCommand, action: int) -> None:
    assert chassis.control(command).data == bytes((action,))


def test_what_ipmi_cannot_do() -> None:
    http = BootOverride(target=BootTarget.HTTP, term=BootTerm.ONCE)
    for ask in (
        lambda: chassis.control(PowerCommand.GRACEFUL_RESTART),
        lambda: chassis.set_boot(http),
        lambda: chassis.identify(Indicator.BLINKING),
        lambda: chassis.watts(b""),
    ):
        with pytest.raises(BmcUnsupportedError) as caught:
            ask()
        assert caught.value.next_action


@pytest.mark.parametrize(
    ("override", "data"),
    [
        (BootOverride(target=BootTarget.NETWORK, term=BootTerm.ONCE), "05a004000000"),
        (BootOverride(target=BootTarget.NETWORK, term=BootTerm.ONCE, mode=BootMode.LEGACY), "058004000000"),
        (BootOverride(target=BootTarget.DISK, term=BootTerm.CONTINUOUS, mode=BootMode.UEFI), "05e008000000"),
        (BootOverride(target=BootTarget.CD, term=BootTerm.ONCE), "05a014000000"),
        (BootOverride(target=BootTarget.NONE, term=BootTerm.DISABLED), "050000000000"),
    ],
)
def test_boot_flags_are_written_and_read(override: BootOverride, data: str) -> None:
    request = chassis.set_boot(override)
    assert request.data.hex() == data
    read = chassis.boot(b"\x01\x05" + request.data[1:])
    assert (read.target, read.term) == (override.target, override.term)
    assert override.mode in (None, read.mode)


@pytest.mark.parametrize(
    ("answer", "target"),
    [("01050004000000", BootTarget.NONE), ("01058000000000", BootTarget.NONE), ("0105e020000000", BootTarget.CD)],
    ids=["valid bit cleared", "no device", "remote CD"],
)
def test_boot_flags_of_others(answer: str, target: BootTarget) -> None:
    assert chassis.boot(bytes.fromhex(answer)).target is target


@pytest.mark.parametrize("answer", ["", "0105", "01040000000000", "01058024000000"])
def test_boot_flags_that_say_nothing_we_know(answer: str) -> None:
    with pytest.raises(BmcError):
        chassis.boot(bytes.fromhex(answer))


@pytest.mark.parametrize(
    ("answer", "uuid"),
    [
        # SMBIOS order, as most copy it; version 4 shows in byte 7.
        ("77000000000000408000000000000001", "00000077-0000-4000-8000-000000000001"),
        # RFC 4122 as it is.
        ("0000007700f040f08000000000000001", "00000077-00f0-40f0-8000-000000000001"),
        # The specification's order: all bytes reversed.
        ("010000000000008010407700aabbccdd", "ddccbbaa-0077-4010-8000-000000000001"),
        # Dell: no version, "DELL" and the service tag in SMBIOS order.
        ("44454c4c5800104b8039b7c04f505733", "4c4c4544-0058-4b10-8039-b7c04f505733"),
    ],
    ids=["smbios", "rfc4122", "ipmi", "dell"],
)
def test_guid_in_every_order(answer: str, uuid: str) -> None:
    assert device.uuid_of(bytes.fromhex(answer)) == UUID(uuid)


@pytest.mark.parametrize("answer", [b"", bytes(16), b"\xff" * 16, b"x" * 15])
def test_guid_that_is_none(answer: bytes) -> None:
    assert device.uuid_of(answer) is None


BOARD_AREA = "010519000000c441636d65c5426f617264c3534e31c1"


def test_fru_of_a_board_only() -> None:
    area = bytes.fromhex("0100000100000000") + bytes.fromhex(BOARD_AREA).ljust(40, b"\0")
    assert device.fru_of(area) == device.Fru(manufacturer="Acme", product="Board", serial="SN1")


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [(0, b"\x01\xab", "01ab"), (1, b"\x12\xab", "12 -"), (2, bytes.fromhex("29dca6"), "IPMI"), (3, b"a\x1bb", "a b")],
)
def test_fru_text_of_every_type(kind: int, data: bytes, text: str) -> None:
    field = bytes((kind << 6 | len(data),)) + data
    area = bytes.fromhex("0100000001000000") + b"\x01\x02\x19" + field + b"\xc1" + bytes(16)
    assert device.fru_of(area).manufacturer == text


def full_record(*, unit: int = 1, m: int = 1, b: int = 0, exponents: int = 0, signed: int = 0) -> bytes:
    """A full sensor record (table 43-1) with a threshold sensor "Inlet"."""
    record = bytearray(48)
    record[3], record[4], record[7], record[12], record[13] = 1, 48, 0x21, 1, 1
    record[20], record[21], record[24], record[25] = signed << 6, unit, m & 0xFF, (m & 0x300) >> 2
    record[26], record[27], record[29] = b & 0xFF, (b & 0x300) >> 2, exponents
    record[47] = 0xC5
    return bytes(record) + b"Inlet"


@pytest.mark.parametrize(
    ("record", "raw", "reading", "unit", "kind"),
    [
        (full_record(), 23, 23.0, "Cel", SensorKind.TEMPERATURE),
        (full_record(signed=2), 0xF6, -10.0, "Cel", SensorKind.TEMPERATURE),
        (full_record(signed=1), 0xF5, -10.0, "Cel", SensorKind.TEMPERATURE),
        (full_record(unit=18, m=75), 60, 4500.0, "{rev}/min", SensorKind.FAN),
        (full_record(unit=4, m=59, exponents=0xD0), 203, 11.977, "V", SensorKind.VOLTAGE),
        (full_record(unit=6, m=4, b=-2, exponents=0x01), 30, 100.0, "W", SensorKind.POWER),
    ],
)
def test_readings(record: bytes, raw: int, reading: float, unit: str, kind: SensorKind) -> None:
    known = sensors.sensor_record(record)
    assert known is not None
    shown = sensors.sensor(known, bytes((raw, 0xC0, 0xC0)))
    assert shown == Sensor(name="Inlet", kind=kind, reading=reading, unit=unit, health=Health.OK)


@pytest.mark.parametrize(
    ("answer", "health"),
    [
        (b"\x17\xc0\xc8", Health.WARNING),
        (b"\x17\xc0\xd8", Health.CRITICAL),
        (b"\x17\xc0\xc1", Health.WARNING),
        (b"\x17\xc0\xc4", Health.CRITICAL),
        (b"\x17\xc0", Health.UNKNOWN),
    ],
)
def test_thresholds(answer: bytes, health: Health) -> None:
    known = sensors.sensor_record(full_record())
    assert known is not None
    assert sensors.sensor(known, answer).health is health


@pytest.mark.parametrize("answer", [b"", b"\x17", b"\x17\xe0\xc0", b"\x17\x80\xc0"])
def test_sensor_without_a_reading(answer: bytes) -> None:
    known = sensors.sensor_record(full_record())
    assert known is not None
    assert sensors.sensor(known, answer).reading is None


STAMP = 1_593_835_520


def entry(number: int, kind: int, when: int, rest: str) -> bytes:
    return struct.pack("<HHBI", 0xFFFF, number, kind, when) + bytes.fromhex(rest)


def test_log_entry_of_a_threshold() -> None:
    following, shown = sel.entry(entry(1, 2, STAMP, "200004015301595055"))
    assert following == sel.LAST
    assert shown == EventLogEntry(
        id="1",
        time=float(STAMP),
        severity=Health.CRITICAL,
        message="temperature: upper critical going high",
        origin="sensor 83",
    )


@pytest.mark.parametrize(
    ("kind", "when", "rest", "severity", "time", "message"),
    [
        (2, 77, "200004015301575055", Health.WARNING, None, "temperature: upper non-critical going high"),
        (
            2,
            STAMP,
            "200004015381595055",
            Health.OK,
            float(STAMP),
            "temperature: upper critical going high, over",
        ),
        (
            2,
            STAMP,
            "2000040c016fa0ff03",
            Health.UNKNOWN,
            float(STAMP),
            "memory: event type 0x6f state 0 data a0ff03",
        ),
        (0xE0, STAMP, "010203040506070809", Health.UNKNOWN, None, "OEM record 0xe0"),
    ],
)
def test_log_entries(kind: int, when: int, rest: str, severity: Health, time: float | None, message: str) -> None:
    _, shown = sel.entry(entry(2, kind, when, rest))
    assert (shown.severity, shown.time) == (severity, time)
    assert shown.message.startswith(message)


@given(st.binary(max_size=64))
def test_decoders_are_total(answer: bytes) -> None:
    known = sensors.sensor_record(full_record())
    assert known is not None
    for read in (
        chassis.power_state,
        chassis.indicator,
        chassis.boot,
        chassis.watts,
        device.uuid_of,
        device.firmware,
        device.fru_size,
        device.fru_of,
        device.fru_chunk,
        device.user_count,
        sensors.sensor_record,
        sensors.record_part,
        lambda data: sensors.sensor(known, data),
        sel.entry,
        sel.count,
    ):
        with contextlib.suppress(BmcError):
            read(answer)


@given(st.binary(min_size=48, max_size=80), st.binary(max_size=8))
def test_any_full_record_reads(noise: bytes, answer: bytes) -> None:
    record = bytearray(noise)
    record[3], record[13] = 1, 1
    if (known := sensors.sensor_record(bytes(record))) is not None:
        sensors.sensor(known, answer)
