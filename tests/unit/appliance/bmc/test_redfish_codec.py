"""Redfish documents of several makes, and of none."""

import contextlib
import json
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.bmc import redfish_codec as codec
from appliance.errors import BmcError
from appliance.model.bmc import BootTarget, PowerCommand, PowerState, SystemIdentity
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
    assert codec.system_identity("/s", golden(name), ()) == IDENTITIES[name]


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
    assert codec.boot_override(golden(name)) is expected


def test_boot_override_of_someone_else_is_not_none() -> None:
    boot: codec.JsonObject = {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Floppy"}
    with pytest.raises(BmcError, match="someone else"):
        codec.boot_override({"Boot": boot})


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
    ("command", "allowable", "expected"),
    [
        (PowerCommand.ON, EVERY, "On"),
        (PowerCommand.ON, ("ForceOn", "PushPowerButton"), "ForceOn"),
        (PowerCommand.ON, (), "On"),
        (PowerCommand.GRACEFUL_OFF, EVERY, "GracefulShutdown"),
        (PowerCommand.FORCE_OFF, EVERY, "ForceOff"),
        (PowerCommand.FORCE_RESTART, EVERY, "ForceRestart"),
        (PowerCommand.FORCE_RESTART, ("PowerCycle",), "PowerCycle"),
        (PowerCommand.CYCLE, EVERY, "PowerCycle"),
        (PowerCommand.NMI, EVERY, "Nmi"),
    ],
)
def test_reset_type(command: PowerCommand, allowable: tuple[str, ...], expected: str) -> None:
    assert codec.reset_type(command, allowable) == expected


def test_reset_type_that_is_not_offered_is_refused_with_what_is() -> None:
    with pytest.raises(BmcError, match="offers no cycle") as caught:
        codec.reset_type(PowerCommand.CYCLE, ("On", "ForceOff"))
    assert caught.value.evidence == "it allows On, ForceOff"


def test_reset_types_from_an_action_info() -> None:
    action = codec.reset_action(golden("supermicro-system"))
    assert action.allowable == ()
    assert action.info == "/redfish/v1/Systems/1/ResetActionInfo"
    assert "ForceOn" in codec.reset_types(golden("supermicro-reset-info"))


@pytest.mark.parametrize(
    ("target", "name", "expected"),
    [
        (BootTarget.NETWORK, "dell-system", {"BootSourceOverrideTarget": "Pxe", "BootSourceOverrideEnabled": "Once"}),
        (BootTarget.DISK, "hpe-system", {"BootSourceOverrideTarget": "Hdd", "BootSourceOverrideEnabled": "Once"}),
        (BootTarget.NONE, "lab-system", {"BootSourceOverrideEnabled": "Disabled"}),
    ],
)
def test_boot_patch(target: BootTarget, name: str, expected: dict[str, str]) -> None:
    assert codec.boot_patch(target, golden(name)) == {"Boot": expected}


def test_boot_patch_to_what_is_not_offered() -> None:
    with pytest.raises(BmcError, match="cannot boot once from cd"):
        codec.boot_patch(BootTarget.CD, golden("lab-system"))


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
    assert caught.value.evidence == ", ".join(paths)


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
    assert codec.clean("a\x1b[31m\r\n\u202eb\x00  c ") == "a [31m b c"
    assert len(codec.clean("x" * 10_000)) == codec.MAX_TEXT


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"[" * 100_000, b"\xff\xfe", b"1" * 5000])
def test_what_is_not_a_document(body: bytes) -> None:
    with pytest.raises(BmcError, match="not"):
        codec.parse_document(body)


FIELDS = ("Manufacturer", "UUID", "SerialNumber", "PowerState", "Boot", "Actions", "Members", "Links", "Parameters")


@given(st.dictionaries(st.sampled_from(FIELDS), ANY_JSON))
def test_hostile_documents_give_a_value_or_a_bmc_error(document: codec.JsonObject) -> None:
    body = json.dumps(document).encode()
    parsers = (
        lambda value: codec.system_identity("/s", value, ()),
        codec.boot_override,
        codec.reset_action,
        codec.reset_types,
        codec.members,
        codec.has_sessions,
        codec.mac_of,
        lambda value: codec.boot_patch(BootTarget.DISK, value),
    )
    for parse in parsers:
        with contextlib.suppress(BmcError):
            parse(codec.parse_document(body))
