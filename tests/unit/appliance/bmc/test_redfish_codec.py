"""Redfish documents of several makes, and of none."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.bmc import redfish_codec as codec
from appliance.bmc.codec import boot, log, media, power, sensors, update
from appliance.bmc.codec.text import MAX_TEXT, clean
from appliance.bmc.quirks import Fact, Quirks, quirks_of
from appliance.errors import BmcError, BmcUnsupportedError
from appliance.model.bmc import (
    BootMode,
    BootOverride,
    BootTarget,
    BootTerm,
    Health,
    Indicator,
    MediaSlot,
    PowerCommand,
    PowerState,
    Sensor,
    SensorKind,
    SystemIdentity,
)
from pxe.client import Mac

GOLDEN = Path(__file__).parents[3] / "golden" / "redfish"
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def golden(name: str) -> codec.JsonObject:
    return codec.parse_document((GOLDEN / f"{name}.json").read_bytes())


IDENTITIES = {
    "lab-system": SystemIdentity(
        path="/s",
        uuid=UUID("00000077-0000-4000-8000-000000000001"),
        serial="SN0001",
        manufacturer="Innervate Lab",
        product="Virtual Server",
        macs=(),
        power=PowerState.OFF,
    ),
    "dell-system": SystemIdentity(
        path="/s",
        uuid=UUID("4c4c4544-0058-4b10-8039-b7c04f505733"),
        serial="7XK9PW3",
        manufacturer="Dell Inc.",
        product="PowerEdge R660",
        macs=(),
        power=PowerState.ON,
    ),
    "hpe-system": SystemIdentity(
        path="/s",
        uuid=UUID("39343550-3934-5a43-4a33-3133304b324c"),
        serial="CZJ3130K2L",
        manufacturer="HPE",
        product="ProLiant DL360 Gen11",
        macs=(),
        power=PowerState.CHANGING,
    ),
    "supermicro-system": SystemIdentity(
        path="/s",
        uuid=None,
        serial="A263771X0B05417",
        manufacturer="Supermicro",
        product="SYS-1029P-WTR",
        macs=(),
        power=PowerState.OFF,
    ),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_identity_of_each_make(name: str) -> None:
    system = golden(name)
    assert codec.system_identity("/s", system, (), quirks_of(codec.product_of(system))) == IDENTITIES[name]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lab-system", BootTarget.NONE),
        ("dell-system", BootTarget.NETWORK),
        ("hpe-system", BootTarget.NONE),
        ("supermicro-system", BootTarget.CD),
    ],
)
def test_boot_override_of_each_make(name: str, expected: BootTarget) -> None:
    assert boot.override(golden(name)).target is expected


def test_boot_override_of_someone_else_is_not_none() -> None:
    floppy: codec.JsonObject = {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Floppy"}
    with pytest.raises(BmcError, match="someone else"):
        boot.override({"Boot": floppy})


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("On", PowerState.ON),
        ("Off", PowerState.OFF),
        ("PoweringOn", PowerState.CHANGING),
        ("PoweringOff", PowerState.CHANGING),
        ("Paused", PowerState.UNKNOWN),
        (None, PowerState.UNKNOWN),
        (["On"], PowerState.UNKNOWN),
    ],
)
def test_power_state(said: codec.JsonValue, state: PowerState) -> None:
    assert codec.power_state({"PowerState": said}) is state


EVERY = ("On", "ForceOff", "GracefulShutdown", "ForceRestart", "Nmi", "PowerCycle", "PushPowerButton")


@pytest.mark.parametrize(
    ("command", "allowable", "state", "expected"),
    [
        (PowerCommand.ON, EVERY, PowerState.OFF, "On"),
        (PowerCommand.ON, ("ForceOn", "PushPowerButton"), PowerState.OFF, "ForceOn"),
        (PowerCommand.ON, (), PowerState.OFF, "On"),
        (PowerCommand.GRACEFUL_OFF, EVERY, PowerState.ON, "GracefulShutdown"),
        (PowerCommand.FORCE_OFF, EVERY, PowerState.ON, "ForceOff"),
        (PowerCommand.FORCE_RESTART, EVERY, PowerState.ON, "ForceRestart"),
        (PowerCommand.FORCE_RESTART, ("PowerCycle",), PowerState.ON, "PowerCycle"),
        (PowerCommand.FORCE_RESTART, EVERY, PowerState.OFF, "On"),
        (PowerCommand.CYCLE, EVERY, PowerState.ON, "PowerCycle"),
        (PowerCommand.CYCLE, EVERY, PowerState.OFF, "On"),
        (PowerCommand.CYCLE, EVERY, PowerState.UNKNOWN, "PowerCycle"),
        (PowerCommand.NMI, EVERY, PowerState.ON, "Nmi"),
    ],
)
def test_reset_type(command: PowerCommand, allowable: tuple[str, ...], state: PowerState, expected: str) -> None:
    assert power.reset_type(command, allowable, state) == expected


def test_reset_type_that_is_not_offered_is_refused_with_what_is() -> None:
    with pytest.raises(BmcUnsupportedError, match="offers no cycle") as caught:
        power.reset_type(PowerCommand.CYCLE, ("On", "ForceOff"), PowerState.ON)
    assert caught.value.evidence == "it allows On, ForceOff"


@pytest.mark.parametrize(
    ("command", "state", "reached"),
    [
        (PowerCommand.ON, PowerState.ON, True),
        (PowerCommand.ON, PowerState.CHANGING, False),
        (PowerCommand.FORCE_OFF, PowerState.OFF, True),
        (PowerCommand.GRACEFUL_OFF, PowerState.ON, False),
        (PowerCommand.FORCE_RESTART, PowerState.ON, False),
        (PowerCommand.CYCLE, PowerState.ON, False),
    ],
)
def test_refused_command_may_have_had_nothing_to_do(command: PowerCommand, state: PowerState, reached: bool) -> None:
    assert power.reached(command, state) is reached


def test_reset_types_from_an_action_info() -> None:
    reset = codec.action(golden("supermicro-system"), "ComputerSystem.Reset")
    assert reset is not None
    assert reset.allowable("ResetType") == ()
    assert reset.info == "/redfish/v1/Systems/1/ResetActionInfo"
    assert "ForceOn" in codec.info_allowable(golden("supermicro-reset-info"), "ResetType")
    assert codec.info_allowable(golden("supermicro-reset-info"), "Other") == ()


NO_QUIRKS = Quirks()
WHOLE = Quirks(facts=frozenset({Fact.BOOT_WHOLE, Fact.CD_IS_USB_CD}))


def once(target: BootTarget, mode: BootMode | None = None, http_uri: str = "") -> BootOverride:
    return BootOverride(target=target, term=BootTerm.ONCE, mode=mode, http_uri=http_uri)


@pytest.mark.parametrize(
    ("wanted", "name", "quirks", "expected"),
    [
        (once(BootTarget.NETWORK), "dell-system", NO_QUIRKS, ("Once", "Pxe", None, None)),
        (once(BootTarget.DISK), "hpe-system", NO_QUIRKS, ("Once", "Hdd", None, None)),
        (once(BootTarget.CD), "supermicro-system", NO_QUIRKS, ("Once", "Cd", None, None)),
        (once(BootTarget.CD), "supermicro-system", WHOLE, ("Once", "UsbCd", "Legacy", None)),
        (once(BootTarget.NETWORK, BootMode.UEFI), "supermicro-system", WHOLE, ("Once", "Pxe", "UEFI", None)),
        (
            once(BootTarget.HTTP, BootMode.UEFI, "http://a/b"),
            "hpe-system",
            NO_QUIRKS,
            ("Once", "UefiHttp", "UEFI", "http://a/b"),
        ),
        (
            BootOverride(target=BootTarget.DISK, term=BootTerm.CONTINUOUS),
            "dell-system",
            NO_QUIRKS,
            ("Continuous", "Hdd", None, None),
        ),
        (
            BootOverride(target=BootTarget.NONE, term=BootTerm.DISABLED),
            "lab-system",
            NO_QUIRKS,
            ("Disabled", None, None, None),
        ),
        (
            BootOverride(target=BootTarget.NONE, term=BootTerm.DISABLED),
            "supermicro-system",
            WHOLE,
            ("Disabled", "None", "Legacy", None),
        ),
    ],
)
def test_boot_patch(
    wanted: BootOverride, name: str, quirks: Quirks, expected: tuple[str | None, str | None, str | None, str | None]
) -> None:
    keys = ("BootSourceOverrideEnabled", "BootSourceOverrideTarget", "BootSourceOverrideMode", "HttpBootUri")
    said = {key: value for key, value in zip(keys, expected, strict=True) if value is not None}
    assert boot.patch(wanted, golden(name), quirks) == {"Boot": said}


def test_boot_patch_to_what_is_not_offered() -> None:
    with pytest.raises(BmcUnsupportedError, match="cannot boot from cd"):
        boot.patch(once(BootTarget.CD), golden("lab-system"), NO_QUIRKS)


@pytest.mark.parametrize(
    ("system", "facts", "path"),
    [
        ({}, set(), ""),
        ({"@Redfish.Settings": {"SettingsObject": {"@odata.id": "/s/Settings"}}}, set(), "/s/Settings"),
        ({"@Redfish.Settings": {"SettingsObject": {"@odata.id": "/s/x"}}}, {Fact.BOOT_AT_SD}, "/s/x"),
        ({}, {Fact.BOOT_AT_SD}, "/s/SD"),
        ({"@Redfish.Settings": []}, set(), ""),
    ],
)
def test_settings_path(system: codec.JsonObject, facts: set[Fact], path: str) -> None:
    assert boot.settings_path("/s/", system, Quirks(facts=frozenset(facts))) == path


@pytest.mark.parametrize(
    ("document", "slot"),
    [
        ({"Id": "CD", "Image": None, "Inserted": None, "MediaTypes": ["CD"]}, ("CD", "", False)),
        ({"Id": "CD", "Image": "", "Inserted": False}, ("CD", "", False)),
        ({"Id": "CD", "Image": "http://a/b.iso"}, ("CD", "http://a/b.iso", True)),
        ({"Id": "CD", "Image": "http://a/b.iso", "Inserted": False}, ("CD", "http://a/b.iso", False)),
    ],
)
def test_media_slot(document: codec.JsonObject, slot: tuple[str, str, bool]) -> None:
    types = frozenset({"CD"}) if "MediaTypes" in document else frozenset()
    assert media.slot(document) == MediaSlot(id=slot[0], media_types=types, image=slot[1], inserted=slot[2])


@pytest.mark.parametrize(
    ("offered", "facts", "protocol"),
    [
        ([], set(), None),
        (["HTTP", "HTTPS"], set(), "HTTP"),
        (["NFS"], set(), None),
        ([], {Fact.TRANSFER_PROTOCOL}, "HTTP"),
    ],
)
def test_protocol_is_named_where_it_is_wanted(offered: list[str], facts: set[Fact], protocol: str | None) -> None:
    described: codec.JsonObject = {"TransferProtocolType@Redfish.AllowableValues": [*offered]}
    way = codec.Action(target="/t", described=described, info="")
    body = media.insertion("http://a/b.iso", way, {}, Quirks(facts=frozenset(facts)))
    assert body.get("TransferProtocolType") == protocol


def test_sensors_of_both_generations() -> None:
    new = sensors.sensor({"Name": "Inlet", "ReadingType": "Temperature", "Reading": "21.5", "ReadingUnits": "Cel"})
    (old,) = sensors.of_thermal({"Temperatures": [{"Name": "Inlet", "ReadingCelsius": 21.5}, None, 5]})
    assert (
        new == old == Sensor(name="Inlet", kind=SensorKind.TEMPERATURE, reading=21.5, unit="Cel", health=Health.UNKNOWN)
    )
    assert sensors.watts_of_power({"PowerControl": []}) is None
    assert sensors.watts_of_metrics({"PowerWatts": {"Reading": None}}) is None


@pytest.mark.parametrize(
    ("document", "led", "lit"),
    [
        ({"IndicatorLED": "Blinking"}, Indicator.BLINKING, {"IndicatorLED": "Lit"}),
        ({"IndicatorLED": "Unknown"}, Indicator.UNKNOWN, {"IndicatorLED": "Lit"}),
        ({"LocationIndicatorActive": True, "IndicatorLED": "Off"}, Indicator.LIT, {"LocationIndicatorActive": True}),
        ({"LocationIndicatorActive": False}, Indicator.OFF, {"LocationIndicatorActive": True}),
    ],
)
def test_indicator(document: codec.JsonObject, led: Indicator, lit: codec.JsonObject) -> None:
    assert sensors.indicator(document) is led
    assert sensors.indicator_patch(Indicator.LIT, document) == lit


@pytest.mark.parametrize(
    ("services", "chosen"),
    [
        ([], None),
        ([{"Id": "Lclog"}], None),
        ([{"Id": "Lclog", "Entries": {"@odata.id": "/l"}}], "Lclog"),
        ([{"Id": "Lclog", "Entries": {"@odata.id": "/l"}}, {"Id": "Sel", "Entries": {"@odata.id": "/s"}}], "Sel"),
        (
            [
                {"Id": "IML", "Entries": {"@odata.id": "/l"}},
                {"Id": "x", "LogEntryType": "SEL", "Entries": {"@odata.id": "/s"}},
            ],
            "x",
        ),
    ],
)
def test_event_log_among_others(services: list[codec.JsonObject], chosen: str | None) -> None:
    found = log.event_log(services)
    assert (found and found["Id"]) == chosen


@pytest.mark.parametrize(
    ("created", "time"),
    [
        ("2024-05-01T12:00:00Z", 1714564800.0),
        ("2024-05-01T14:00:00+02:00", 1714564800.0),
        ("2024-05-01T12:00:00", 1714564800.0),
        ("1970-01-01T00:00:00Z", None),
        ("0000-00-00T00:00:00", None),
        ("0001-01-01T00:00:00+23:59", None),
        (None, None),
    ],
)
def test_time_of_an_entry(created: str | None, time: float | None) -> None:
    assert log.entry({"Id": "1", "Created": created}).time == time


@pytest.mark.parametrize(
    ("status", "document", "end", "percent"),
    [
        (202, {}, update.TaskEnd.RUNNING, None),
        (204, {}, update.TaskEnd.WELL, None),
        (200, {"TaskState": "Running", "PercentComplete": 40}, update.TaskEnd.RUNNING, 40),
        (202, {"TaskState": "Completed", "TaskStatus": "OK", "PercentComplete": 100}, update.TaskEnd.WELL, 100),
        (200, {"TaskState": "Completed", "TaskStatus": "Critical"}, update.TaskEnd.BADLY, None),
        (200, {"TaskState": "Cancelled", "PercentComplete": 400}, update.TaskEnd.BADLY, None),
        (200, {"TaskState": "Baking"}, update.TaskEnd.RUNNING, None),
        (400, {"error": {"message": "no"}}, update.TaskEnd.BADLY, None),
    ],
)
def test_task(status: int, document: codec.JsonObject, end: update.TaskEnd, percent: int | None) -> None:
    view = update.task(status, json.dumps(document).encode())
    assert (view.end, view.percent) == (end, percent)


@pytest.mark.parametrize(
    "extended",
    [
        [{"MessageId": "Base.1.18.PasswordChangeRequired", "MessageArgs": ["/a/1"]}],
        {"MessageId": "Base.1.18.PasswordChangeRequired", "MessageArgs": ["/a/1"]},
    ],
)
@pytest.mark.parametrize("wrapped", [True, False])
def test_messages_of_a_refusal(extended: codec.JsonValue, wrapped: bool) -> None:
    inner: codec.JsonObject = {"@Message.ExtendedInfo": extended}
    body = json.dumps({"error": inner} if wrapped else inner).encode()
    assert codec.message_ids(body) == ("PasswordChangeRequired",)
    assert codec.password_path(body) == "/a/1"


@pytest.mark.parametrize(
    ("document", "mac"),
    [
        ({"PermanentMACAddress": "52-54-00-77-00-01", "MACAddress": "aa:aa:aa:aa:aa:aa"}, "52:54:00:77:00:01"),
        ({"PermanentMACAddress": "", "MACAddress": "525400770001"}, "52:54:00:77:00:01"),
        ({"MACAddress": "00:00:00:00:00:00"}, None),
        ({"MACAddress": "ff:ff:ff:ff:ff:ff"}, None),
        ({"MACAddress": "80:00:02:08:fe:80:00:00:00:00:00:00:7c:fe:90:03:00:3b:1f:62"}, None),
        ({"MACAddress": None}, None),
        ({}, None),
    ],
)
def test_mac_of(document: codec.JsonObject, mac: str | None) -> None:
    assert codec.mac_of(document) == (Mac(mac) if mac else None)


def test_members_and_links_of_the_lab() -> None:
    assert codec.link(golden("lab-root"), "Systems") == "/redfish/v1/Systems"
    assert not codec.has_sessions(golden("lab-root"))
    path = codec.only_system(codec.members(golden("lab-systems")))
    assert path == golden("lab-system")["@odata.id"]
    assert codec.mac_of(golden("lab-interface")) == Mac("52:54:00:77:00:01")


@pytest.mark.parametrize(("paths", "message"), [((), "knows no system"), (("/a", "/b"), "several systems")])
def test_only_system_wants_exactly_one(paths: tuple[str, ...], message: str) -> None:
    with pytest.raises(BmcError, match=message) as caught:
        codec.only_system(paths)
    assert caught.value.evidence == (", ".join(paths) or "its collection of systems is empty")


def test_refusal_quotes_the_service() -> None:
    body = (GOLDEN / "hpe-refusal.json").read_bytes()
    assert codec.refusal(400, body).startswith("HTTP 400: The operation was not successful")
    assert codec.refusal(502, b"<html>\x1b[31mBad gateway") == "HTTP 502: <html> [31mBad gateway"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("5", 5.0),
        (" 0 ", 0.0),
        (None, None),
        ("-1", None),
        ("999999999", None),
        ("Wed, 21 Oct 2015", None),
        ("٣", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert codec.retry_after(header) == seconds


def test_clean_strips_what_could_hurt_a_terminal_or_a_page_of_log() -> None:
    assert clean("a\x1b[31m\r\n\u202eb\x00  c ") == "a [31m b c"
    assert len(clean("x" * 10_000)) == MAX_TEXT


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"[" * 100_000, b"\xff\xfe", b"1" * 5000])
def test_what_is_not_a_document(body: bytes) -> None:
    with pytest.raises(BmcError, match="not"):
        codec.parse_document(body)


FIELDS = (
    "Manufacturer", "UUID", "SerialNumber", "PowerState", "Boot", "Actions", "Members", "Links", "Parameters",
    "@Redfish.Settings", "Image", "Inserted", "MediaTypes", "Reading", "Temperatures", "Fans", "PowerControl",
    "PowerWatts", "IndicatorLED", "Created", "Severity", "TaskState", "PercentComplete", "Messages", "error",
    "@Message.ExtendedInfo", "Status", "Members@odata.nextLink",
)  # fmt: skip
INSIDE = st.sampled_from(
    (
        "BootSourceOverrideTarget",
        "BootSourceOverrideEnabled",
        "@odata.id",
        "MessageId",
        "MessageArgs",
        "Health",
        "Reading",
    )
)
HOSTILE = ANY_JSON | st.dictionaries(INSIDE, ANY_JSON, max_size=3)
PARSERS: tuple[Callable[[codec.JsonObject], object], ...] = (
    lambda value: codec.system_identity("/s", value, (), WHOLE),
    codec.members,
    codec.next_page,
    codec.has_sessions,
    codec.mac_of,
    lambda value: codec.action(value, "ComputerSystem.Reset"),
    lambda value: codec.info_allowable(value, "ResetType"),
    boot.override,
    boot.has_override,
    lambda value: boot.settings_path("/s", value, NO_QUIRKS),
    lambda value: boot.patch(once(BootTarget.DISK, BootMode.UEFI), value, WHOLE),
    media.slot,
    sensors.sensor,
    lambda value: list(sensors.of_thermal(value)),
    lambda value: list(sensors.of_power(value)),
    sensors.watts_of_metrics,
    sensors.watts_of_power,
    sensors.indicator,
    lambda value: sensors.indicator_patch(Indicator.LIT, value),
    log.entry,
    lambda value: log.event_log([value]),
    update.item,
    lambda value: update.task(200, json.dumps(value).encode()),
    lambda value: codec.refusal(400, json.dumps(value).encode()),
    lambda value: codec.message_ids(json.dumps(value).encode()),
    lambda value: codec.password_path(json.dumps(value).encode()),
)


@given(st.dictionaries(st.sampled_from(FIELDS), HOSTILE | st.lists(HOSTILE, max_size=2)))
def test_hostile_documents_give_a_value_or_a_bmc_error(document: codec.JsonObject) -> None:
    parsed = codec.parse_document(json.dumps(document).encode())
    for parse in PARSERS:
        with contextlib.suppress(BmcError):
            parse(parsed)
