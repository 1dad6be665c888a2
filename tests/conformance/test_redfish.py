"""The Redfish specification (DSP0266), topic by topic: each test sends a request and reads what comes back.

The DMTF's own validators run beside these; here is what they do not ask, and what clients rely on.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from appliance.model.bmc import AccountRole, EventLogEntry, Health, PowerCommand, PowerState
from appliance.redfish.accounts import AuthLimits
from appliance.redfish.exchange import Request
from appliance.redfish.machines import of_log
from appliance.redfish.privileges import allows
from appliance.redfish.router import Action, Kind, Operation, Resource, route
from appliance.redfish.service import MAX_BODY
from tests.conformance.redfish_client import (
    PASSWORDS,
    RESET,
    SESSIONS,
    SYSTEM,
    V1,
    Answer,
    Asker,
    basic,
    play,
    read,
)

CHEAP = AuthLimits(scrypt_cost=1 << 8)
ADMIN = AccountRole.ADMINISTRATOR.value
BOOT = {"Boot": {"BootSourceOverrideTarget": "Pxe", "BootSourceOverrideEnabled": "Once"}}
SUBSCRIPTIONS = f"{V1}/EventService/Subscriptions"
ACCOUNTS = f"{V1}/AccountService/Accounts"
MEDIA = f"{V1}/Managers/node1/VirtualMedia"
UPDATE = f"{V1}/UpdateService/Actions/UpdateService.SimpleUpdate"


# --- protocol version, headers, media types -------------------------------------------------------------------


def test_versions_are_told_to_everybody() -> None:
    async def scene(asker: Asker) -> None:
        answer = await asker.ask("GET", "/redfish", role=None)
        assert (answer.status, answer.body) == (200, {"v1": f"{V1}/"})

    play(scene, limits=CHEAP)


@pytest.mark.parametrize("path", [V1, f"{V1}/"])
def test_service_root_is_open_with_and_without_a_slash(path: str) -> None:
    async def scene(asker: Asker) -> None:
        answer = await asker.ask("GET", path, role=None)
        assert answer.at("@odata.id") == f"{V1}/"
        assert answer.at("RedfishVersion")
        assert answer.at("Links", "Sessions", "@odata.id") == SESSIONS

    play(scene, limits=CHEAP)


@pytest.mark.parametrize(
    ("path", "kind"), [(f"{V1}/odata", "application/json"), (f"{V1}/$metadata", "application/xml")]
)
def test_odata_documents_are_open(path: str, kind: str) -> None:
    async def scene(asker: Asker) -> None:
        answer = await asker.ask("GET", path, role=None)
        assert answer.status == 200
        assert answer.headers["content-type"].startswith(kind)

    play(scene, limits=CHEAP)


def test_every_answer_names_the_odata_version_and_is_not_to_be_kept() -> None:
    async def scene(asker: Asker) -> None:
        for answer in (await asker.get(SYSTEM), await asker.get(f"{V1}/Nowhere"), await asker.ask("PUT", SYSTEM, {})):
            assert answer.headers["odata-version"] == "4.0"
            assert answer.headers["cache-control"] == "no-store"

    play(scene, limits=CHEAP)


@pytest.mark.parametrize(("version", "status"), [("4.0", 200), (" 4.0 ", 200), ("4.1", 412), ("3.0", 412), ("", 412)])
def test_odata_version_of_a_request(version: str, status: int) -> None:
    async def scene(asker: Asker) -> None:
        assert (await asker.get(SYSTEM, odata_version=version)).status == status

    play(scene, limits=CHEAP)


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("application/json;charset=utf-8", 200),
        ("application/*", 200),
        ("*/*", 200),
        ("text/html, application/json;q=0.5", 200),
        ("text/html", 406),
        ("application/json;q=0", 406),
        ("", 200),
    ],
)
def test_accept(accept: str, status: int) -> None:
    async def scene(asker: Asker) -> None:
        assert (await asker.get(SYSTEM, accept=accept)).status == status

    play(scene, limits=CHEAP)


def test_resource_names_its_schema() -> None:
    async def scene(asker: Asker) -> None:
        answer = await asker.get(SYSTEM)
        assert answer.headers["link"].endswith("rel=describedby")
        name = str(answer.at("@odata.type")).removeprefix("#").rpartition(".")[0]
        assert f"/{name}.json>" in answer.headers["link"]

    play(scene, limits=CHEAP)


# --- methods --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST"])
def test_method_that_a_resource_lacks_is_405_with_allow(method: str) -> None:
    async def scene(asker: Asker) -> None:
        answer = await asker.ask(method, f"{V1}/Systems", {})
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")

    play(scene, limits=CHEAP)


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "BREW"])
def test_unknown_method_is_501(method: str) -> None:
    async def scene(asker: Asker) -> None:
        assert (await asker.ask(method, SYSTEM)).status == 501

    play(scene, limits=CHEAP)


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        (SYSTEM, "GET, HEAD, PATCH"),
        (SESSIONS, "GET, HEAD, POST"),
        (SUBSCRIPTIONS, "GET, HEAD, POST"),
        (f"{V1}/Chassis/node1", "GET, HEAD, PATCH"),
        (f"{ACCOUNTS}/{ADMIN}", "GET, HEAD, PATCH, DELETE"),
    ],
)
def test_allow_of_get(path: str, allow: str) -> None:
    async def scene(asker: Asker) -> None:
        assert (await asker.get(path)).headers["allow"] == allow

    play(scene, limits=CHEAP)


def test_action_allows_post_only() -> None:
    async def scene(asker: Asker) -> None:
        answer = await asker.get(RESET)
        assert (answer.status, answer.headers["allow"]) == (405, "POST")

    play(scene, limits=CHEAP)


def test_head_says_what_get_says() -> None:
    async def scene(asker: Asker) -> None:
        get, head = await asker.get(SYSTEM), await asker.ask("HEAD", SYSTEM)
        assert (head.status, head.headers) == (get.status, get.headers)

    play(scene, limits=CHEAP)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (f"{V1}/Systems/other", 404),
        (f"{V1}/Systems/node1/Nothing", 404),
        (f"{V1}/Systems/../Systems", 404),
        (f"{V1}/Systems/%2e%2e/x", 404),
        ("/", 404),
        (f"{V1}/" + "x" * 5000, 414),
    ],
)
def test_what_is_not_there(target: str, status: int) -> None:
    async def scene(asker: Asker) -> None:
        assert (await asker.get(target)).status == status

    play(scene, limits=CHEAP)


def test_body_that_is_too_large_is_413() -> None:
    async def scene(asker: Asker) -> None:
        assert (await asker.ask("PATCH", SYSTEM, b" " * (MAX_BODY + 1))).status == 413

    play(scene, limits=CHEAP)


# --- entity tags ----------------------------------------------------------------------------------------------


def test_etag_of_header_and_document_agree_and_follow_the_content() -> None:
    async def scene(asker: Asker) -> None:
        first, again = await asker.get(SYSTEM), await asker.get(SYSTEM)
        assert first.headers["etag"] == first.at("@odata.etag") == again.headers["etag"]
        assert not first.headers["etag"].startswith("W/")
        changed = await asker.ask("PATCH", SYSTEM, BOOT)
        assert changed.headers["etag"] != first.headers["etag"]
        assert (await asker.get(SYSTEM)).headers["etag"] == changed.headers["etag"]

    play(scene, limits=CHEAP)


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
def test_if_none_match_of_what_is_known_is_304_without_a_body(form: str) -> None:
    async def scene(asker: Asker) -> None:
        tag = (await asker.get(SYSTEM)).headers["etag"]
        answer = await asker.get(SYSTEM, if_none_match=form.format(tag))
        assert (answer.status, answer.raw, answer.headers["etag"]) == (304, b"", tag)
        assert (await asker.get(SYSTEM, if_none_match='"other"')).status == 200

    play(scene, limits=CHEAP)


@pytest.mark.parametrize(
    ("form", "status"), [("{}", 200), ("*", 200), ('"old", {}', 200), ('"old"', 412), ("W/{}", 412), ("old", 412)]
)
def test_if_match_guards_a_change(form: str, status: int) -> None:
    async def scene(asker: Asker) -> None:
        tag = (await asker.get(SYSTEM)).headers["etag"]
        answer = await asker.ask("PATCH", SYSTEM, BOOT, {"if-match": form.format(tag)})
        assert answer.status == status
        target = (await asker.get(SYSTEM)).at("Boot", "BootSourceOverrideTarget")
        assert target == ("Pxe" if status == 200 else "None")

    play(scene, limits=CHEAP)


def test_an_extract_carries_no_etag_of_the_whole() -> None:
    async def scene(asker: Asker) -> None:
        tag = (await asker.get(SYSTEM)).headers["etag"]
        answer = await asker.get(f"{SYSTEM}?$select=Name", if_none_match=tag)
        assert answer.status == 200
        assert "etag" not in answer.headers

    play(scene, limits=CHEAP)


# --- query parameters -----------------------------------------------------------------------------------------


def members(answer: Answer) -> list[str]:
    shown = answer.at("Members")
    assert isinstance(shown, list)
    return [member["@odata.id"].rpartition("/")[2] for member in shown]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("$skip=2", ["node3", "node4"]),
        ("$top=2", ["node1", "node2"]),
        ("$skip=1&$top=2", ["node2", "node3"]),
        ("$skip=9", []),
        ("$top=0", []),
    ],
)
def test_skip_and_top(query: str, shown: list[str]) -> None:
    async def scene(asker: Asker) -> None:
        answer = await asker.get(f"{V1}/Systems?{query}")
        assert (members(answer), answer.at("Members@odata.count")) == (shown, 4)

    play(scene, machines=4, limits=CHEAP)


def test_entries_of_a_log_stand_in_their_collection() -> None:
    """DSP8010, LogEntryCollection: `Members` is annotated with OData.AutoExpand."""
    log = [EventLogEntry(id=name, time=1.0, severity=Health.OK, message=f"m{name}") for name in ("1", "2")]
    listed = of_log(Resource(kind=Kind.LOG_ENTRIES, system="node1"), log)
    each = [of_log(Resource(kind=Kind.LOG_ENTRY, system="node1", item=entry.id), log) for entry in log]
    assert listed["Members@odata.count"] == 2
    assert list(listed["Members"]) == each  # type: ignore[arg-type]
    assert {entry["EntryType"] for entry in each} == {"Event"}


def test_long_collection_is_cut_into_pages_that_lead_to_each_other() -> None:
    async def scene(asker: Asker) -> None:
        seen, target = list[str](), f"{V1}/Systems"
        sizes = []
        while target:
            answer = await asker.get(target)
            sizes.append(len(members(answer)))
            seen += members(answer)
            target = str(answer.body.get("Members@odata.nextLink", ""))
        assert sizes == [500, 1]
        assert len(set(seen)) == 501

    play(scene, machines=501, limits=CHEAP)


@pytest.mark.parametrize("reach", [".", "*", ".($levels=1)"])
def test_expand_puts_members_in_the_place_of_links(reach: str) -> None:
    async def scene(asker: Asker) -> None:
        answer = await asker.get(f"{V1}/Systems?$expand={reach}")
        assert [answer.at("Members", place, "SerialNumber") for place in (0, 1)] == ["SIM000001", "SIM000002"]
        links = answer.at("Members", 0, "Processors")
        assert links == {"@odata.id": f"{SYSTEM}/Processors"}

    play(scene, machines=2, limits=CHEAP)


def test_expand_of_two_levels_goes_one_further() -> None:
    async def scene(asker: Asker) -> None:
        answer = await asker.get(f"{V1}/Systems?$expand=.($levels=2)")
        assert answer.at("Members", 0, "Processors", "Members@odata.count") == 1

    play(scene, limits=CHEAP)


def test_expand_of_links_follows_links_only() -> None:
    async def scene(asker: Asker) -> None:
        answer = await asker.get(f"{SYSTEM}?$expand=~")
        assert answer.at("Links", "Chassis", 0, "Name")
        assert answer.at("Processors") == {"@odata.id": f"{SYSTEM}/Processors"}

    play(scene, limits=CHEAP)


def test_expand_opens_nothing_to_who_may_not_read_it() -> None:
    async def scene(asker: Asker) -> None:
        root = await asker.ask("GET", f"{V1}/?$expand=*($levels=4)", role=None)
        assert root.status == 200
        assert root.at("Systems") == {"@odata.id": f"{V1}/Systems"}
        service = await asker.ask("GET", f"{V1}/AccountService?$expand=.", role=AccountRole.READ_ONLY)
        assert service.at("Accounts") == {"@odata.id": ACCOUNTS}

    play(scene, limits=CHEAP)


def test_select_gives_what_was_asked_for_and_who_it_is_of() -> None:
    async def scene(asker: Asker) -> None:
        answer = await asker.get(f"{SYSTEM}?$select=Name,Boot/BootSourceOverrideTarget,Nothing")
        assert {name for name in answer.body if not name.startswith("@")} == {"Name", "Boot"}
        assert answer.at("Boot") == {"BootSourceOverrideTarget": "None"}
        assert answer.at("@odata.id") == SYSTEM

    play(scene, limits=CHEAP)


def test_select_of_a_collection_is_of_its_members() -> None:
    async def scene(asker: Asker) -> None:
        answer = await asker.get(f"{V1}/Systems?$expand=.&$select=PowerState")
        member = answer.at("Members", 0)
        assert isinstance(member, dict)
        assert {name for name in member if not name.startswith("@")} == {"PowerState"}
        assert answer.at("Members@odata.count") == 1

    play(scene, limits=CHEAP)


@pytest.mark.parametrize(("machines", "is_collection"), [(1, False), (2, True)])
def test_only(machines: int, is_collection: bool) -> None:
    async def scene(asker: Asker) -> None:
        answer = await asker.get(f"{V1}/Systems?only")
        assert ("Members" in answer.body) is is_collection

    play(scene, machines=machines, limits=CHEAP)


@pytest.mark.parametrize(
    ("target", "status", "message"),
    [
        (f"{V1}/Systems?$filter=x", 501, "QueryParameterUnsupported"),
        (f"{V1}/Systems?$expand=x", 400, "QueryParameterValueFormatError"),
        (f"{V1}/Systems?$expand=.($levels=99)", 400, "QueryParameterOutOfRange"),
        (f"{V1}/Systems?$top=-1", 400, "QueryParameterValueFormatError"),
        (f"{V1}/Systems?$skip=many", 400, "QueryParameterValueFormatError"),
        (f"{V1}/Systems?only&$top=1", 400, "QueryCombinationInvalid"),
        (f"{SYSTEM}?$top=1", 400, "QueryNotSupportedOnResource"),
        (f"{SYSTEM}?only", 400, "QueryNotSupportedOnResource"),
    ],
)
def test_query_that_cannot_be_answered(target: str, status: int, message: str) -> None:
    async def scene(asker: Asker) -> None:
        answer = await asker.get(target)
        assert (answer.status, answer.message_ids) == (status, [message])

    play(scene, limits=CHEAP)


def test_unknown_query_parameter_is_ignored() -> None:
    async def scene(asker: Asker) -> None:
        assert (await asker.get(f"{V1}/Systems?rest=1")).status == 200

    play(scene, limits=CHEAP)


def test_query_on_a_change_is_refused() -> None:
    async def scene(asker: Asker) -> None:
        answer = await asker.ask("PATCH", f"{SYSTEM}?$select=Name", BOOT)
        assert (answer.status, answer.message_ids) == (400, ["QueryNotSupportedOnOperation"])

    play(scene, limits=CHEAP)


# --- PATCH ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "MalformedJSON"),
        (b"[]", 400, "MalformedJSON"),
        (b"\xff", 400, "MalformedJSON"),
        (b"[" * 5000, 400, "MalformedJSON"),
        ({}, 400, "EmptyJSON"),
        ({"@odata.id": SYSTEM}, 400, "NoOperation"),
        ({"SerialNumber": "x"}, 400, "PropertyNotWritable"),
        ({"Colour": "red"}, 400, "PropertyUnknown"),
        ({"IndicatorLED": 7}, 400, "PropertyValueTypeError"),
        ({"IndicatorLED": "Purple"}, 400, "PropertyValueNotInList"),
        ({"Boot": "Pxe"}, 400, "PropertyValueTypeError"),
        ({"Boot": {"BootSourceOverrideTarget": "Tape"}}, 400, "PropertyValueNotInList"),
    ],
)
def test_patch_that_changes_nothing_says_why(body: object, status: int, message: str) -> None:
    async def scene(asker: Asker) -> None:
        before = (await asker.get(SYSTEM)).headers["etag"]
        answer = await asker.ask("PATCH", SYSTEM, body)
        assert answer.status == status
        assert message in answer.message_ids
        assert (await asker.get(SYSTEM)).headers["etag"] == before

    play(scene, limits=CHEAP)


def test_patch_does_what_it_can_and_annotates_the_rest() -> None:
    async def scene(asker: Asker) -> None:
        answer = await asker.ask("PATCH", SYSTEM, {**BOOT, "SerialNumber": "x", "Colour": "red"})
        assert answer.status == 200
        assert answer.at("Boot", "BootSourceOverrideTarget") == "Pxe"
        assert sorted(answer.message_ids) == ["PropertyNotWritable", "PropertyUnknown"]

    play(scene, limits=CHEAP)


def test_body_that_is_not_called_json_is_415() -> None:
    async def scene(asker: Asker) -> None:
        assert (await asker.ask("PATCH", SYSTEM, BOOT, {"content-type": "text/plain"})).status == 415

    play(scene, limits=CHEAP)


# --- power and boot -------------------------------------------------------------------------------------------


def test_offered_reset_types_are_those_taken() -> None:
    async def scene(asker: Asker) -> None:
        action = (await asker.get(SYSTEM)).at("Actions", "#ComputerSystem.Reset")
        assert isinstance(action, dict)
        assert action["target"] == RESET
        for kind in action["ResetType@Redfish.AllowableValues"]:
            assert (await asker.ask("POST", RESET, {"ResetType": kind})).status in (204, 409), kind

    play(scene, limits=CHEAP)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "ActionParameterMissing"),
        ({"ResetType": "Explode"}, "ActionParameterValueNotInList"),
        ({"ResetType": 1}, "ActionParameterValueTypeError"),
        ({"ResetType": "On", "Delay": 5}, "ActionParameterUnknown"),
    ],
)
def test_reset_that_makes_no_sense(body: Mapping[str, object], message: str) -> None:
    async def scene(asker: Asker) -> None:
        answer = await asker.ask("POST", RESET, body)
        assert (answer.status, answer.message_ids) == (400, [message])
        assert (await asker.backend.system("node1")).power is PowerState.OFF

    play(scene, limits=CHEAP)


def test_action_that_a_resource_lacks() -> None:
    async def scene(asker: Asker) -> None:
        answer = await asker.ask("POST", f"{SYSTEM}/Actions/ComputerSystem.Dance", {})
        assert (answer.status, answer.message_ids) == (400, ["ActionNotSupported"])

    play(scene, limits=CHEAP)


def test_boot_override_once_is_used_up_by_one_boot() -> None:
    async def scene(asker: Asker) -> None:
        await asker.ask("PATCH", SYSTEM, BOOT)
        assert (await asker.get(SYSTEM)).at("Boot", "BootSourceOverrideEnabled") == "Once"
        assert (await asker.ask("POST", RESET, {"ResetType": "On"})).status == 204
        async with asyncio.timeout(5):
            while (await asker.get(SYSTEM)).at("Boot", "BootSourceOverrideEnabled") != "Disabled":
                asker.clock.time += 1

    play(scene, limits=CHEAP)


def test_command_that_the_state_forbids_is_a_conflict_with_a_reason() -> None:
    async def scene(asker: Asker) -> None:
        command = PowerCommand.FORCE_RESTART
        assert command in (await asker.backend.system("node1")).commands
        answer = await asker.ask("POST", RESET, {"ResetType": "ForceRestart"})
        assert answer.status == 409
        assert answer.at("error", "@Message.ExtendedInfo", 0, "Resolution")

    play(scene, limits=CHEAP)


# --- virtual media --------------------------------------------------------------------------------------------


def test_media_are_inserted_and_ejected() -> None:
    async def scene(asker: Asker) -> None:
        slot = str((await asker.get(MEDIA)).at("Members", 0, "@odata.id"))
        action = f"{slot}/Actions/VirtualMedia.InsertMedia"
        assert (await asker.ask("POST", action, {"Image": "http://10.0.0.1/a.iso"})).status == 204
        shown = await asker.get(slot)
        assert (shown.at("Image"), shown.at("Inserted")) == ("http://10.0.0.1/a.iso", True)
        assert (await asker.ask("POST", f"{slot}/Actions/VirtualMedia.EjectMedia", {})).status == 204
        assert (await asker.get(slot)).at("Inserted") is False

    play(scene, limits=CHEAP)


@pytest.mark.parametrize("image", ["ftp://h/a.iso", "a.iso", "http://", "http://h:99999/a", "http://h/a b", ""])
def test_image_that_is_no_http_url(image: str) -> None:
    async def scene(asker: Asker) -> None:
        slot = str((await asker.get(MEDIA)).at("Members", 0, "@odata.id"))
        answer = await asker.ask("POST", f"{slot}/Actions/VirtualMedia.InsertMedia", {"Image": image})
        assert (answer.status, answer.message_ids) == (400, ["ActionParameterValueFormatError"])

    play(scene, limits=CHEAP)


# --- sessions and authentication ------------------------------------------------------------------------------


def test_session_opens_with_its_token_and_ends_when_deleted() -> None:
    async def scene(asker: Asker) -> None:
        location, token = await asker.token()
        assert (await asker.ask("GET", SYSTEM, headers={"x-auth-token": token}, role=None)).status == 200
        assert token not in (await asker.get(location)).raw.decode()
        ended = await asker.ask("DELETE", location, headers={"x-auth-token": token}, role=None)
        assert ended.status == 204
        assert (await asker.ask("GET", SYSTEM, headers={"x-auth-token": token}, role=None)).status == 401

    play(scene, limits=CHEAP)


def test_session_may_be_made_at_members_too() -> None:
    async def scene(asker: Asker) -> None:
        body = {"UserName": ADMIN, "Password": PASSWORDS[AccountRole.ADMINISTRATOR]}
        assert (await asker.ask("POST", f"{SESSIONS}/Members", body, role=None)).status == 201

    play(scene, limits=CHEAP)


def test_session_that_is_not_used_ends() -> None:
    async def scene(asker: Asker) -> None:
        _, token = await asker.token()
        for seconds, status in ((100, 200), (100, 200), (121, 401)):
            asker.clock.time += seconds
            assert (await asker.ask("GET", SYSTEM, headers={"x-auth-token": token}, role=None)).status == status

    play(scene, limits=replace(CHEAP, session_seconds=120))


def test_session_table_is_bounded() -> None:
    async def scene(asker: Asker) -> None:
        await asker.token()
        await asker.token()
        body = {"UserName": ADMIN, "Password": PASSWORDS[AccountRole.ADMINISTRATOR]}
        answer = await asker.ask("POST", SESSIONS, body, role=None)
        assert (answer.status, answer.message_ids) == (503, ["SessionLimitExceeded"])

    play(scene, limits=replace(CHEAP, sessions=2))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-auth-token": "guess"},
        {"x-auth-token": ""},
        {"authorization": "Basic !!!"},
        {"authorization": "Basic " + "A" * 5000},
        {"authorization": "Bearer x"},
        basic("nobody", "x"),
        basic(ADMIN, "wrong"),
        basic(ADMIN, ""),
        {**basic(ADMIN, PASSWORDS[AccountRole.ADMINISTRATOR]), "x-auth-token": "guess"},
    ],
)
@pytest.mark.parametrize("path", [SYSTEM, f"{V1}/Nowhere"])
def test_stranger_is_shown_nothing(headers: Mapping[str, str], path: str) -> None:
    async def scene(asker: Asker) -> None:
        answer = await asker.ask("GET", path, headers=headers, role=None)
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Basic ")

    play(scene, limits=CHEAP)


def test_unknown_user_and_wrong_password_get_the_same_answer() -> None:
    async def scene(asker: Asker) -> None:
        one = await asker.ask("GET", SYSTEM, headers=basic("nobody", "x"), role=None)
        other = await asker.ask("GET", SYSTEM, headers=basic(ADMIN, "x"), role=None)
        assert (one.status, one.headers, one.body) == (other.status, other.headers, other.body)

    play(scene, limits=CHEAP)


def test_account_is_locked_after_too_many_failures_and_only_for_a_while() -> None:
    async def scene(asker: Asker) -> None:
        for _ in range(3):
            assert (await asker.ask("GET", SYSTEM, headers=basic(ADMIN, "x"), role=None)).status == 401
        assert (await asker.get(SYSTEM)).status == 401
        assert (await asker.ask("GET", SYSTEM, role=AccountRole.OPERATOR)).status == 200
        asker.clock.time += 61
        assert (await asker.get(SYSTEM)).status == 200

    play(scene, limits=replace(CHEAP, lockout_threshold=3, lockout_seconds=60))


# --- accounts and privileges ----------------------------------------------------------------------------------


def test_account_is_made_used_and_removed() -> None:
    async def scene(asker: Asker) -> None:
        body = {"UserName": "ann", "Password": "correct horse", "RoleId": "Operator"}
        made = await asker.ask("POST", ACCOUNTS, body)
        assert (made.status, made.headers["location"]) == (201, f"{ACCOUNTS}/ann")
        assert made.at("Password") is None
        assert (await asker.ask("GET", SYSTEM, headers=basic("ann", "correct horse"), role=None)).status == 200
        again = await asker.ask("POST", ACCOUNTS, body)
        assert (again.status, again.message_ids) == (400, ["ResourceAlreadyExists"])
        assert (await asker.ask("DELETE", f"{ACCOUNTS}/ann")).status == 204
        assert (await asker.ask("GET", SYSTEM, headers=basic("ann", "correct horse"), role=None)).status == 401

    play(scene, limits=CHEAP)


def test_password_never_comes_back_not_even_in_a_complaint() -> None:
    async def scene(asker: Asker) -> None:
        for password in ("short", 12345678, "x" * 200):
            body = {"UserName": "ann", "Password": password, "RoleId": "Operator"}
            answer = await asker.ask("POST", ACCOUNTS, body)
            assert answer.status == 400
            assert str(password) not in answer.raw.decode()

    play(scene, limits=CHEAP)


def test_changed_password_ends_the_other_sessions_of_its_account() -> None:
    async def scene(asker: Asker) -> None:
        (_, ours), (_, other) = await asker.token(), await asker.token()
        change = {"Password": "another password"}
        done = await asker.ask("PATCH", f"{ACCOUNTS}/{ADMIN}", change, {"x-auth-token": ours}, role=None)
        assert done.status == 200
        statuses = [
            (await asker.ask("GET", SYSTEM, headers={"x-auth-token": token}, role=None)).status
            for token in (ours, other)
        ]
        assert statuses == [200, 401]

    play(scene, limits=CHEAP)


def test_last_administrator_stays() -> None:
    async def scene(asker: Asker) -> None:
        for method, body in (("DELETE", None), ("PATCH", {"RoleId": "ReadOnly"}), ("PATCH", {"Enabled": False})):
            assert (await asker.ask(method, f"{ACCOUNTS}/{ADMIN}", body)).status == 409

    play(scene, limits=CHEAP)


@pytest.mark.parametrize(
    ("role", "method", "target", "body", "status"),
    [
        (AccountRole.READ_ONLY, "GET", SYSTEM, None, 200),
        (AccountRole.READ_ONLY, "POST", RESET, {"ResetType": "On"}, 403),
        (AccountRole.READ_ONLY, "PATCH", SYSTEM, BOOT, 403),
        (AccountRole.READ_ONLY, "GET", ACCOUNTS, None, 403),
        (AccountRole.READ_ONLY, "GET", f"{ACCOUNTS}/ReadOnly", None, 200),
        (AccountRole.READ_ONLY, "GET", f"{ACCOUNTS}/Administrator", None, 403),
        (AccountRole.READ_ONLY, "PATCH", f"{ACCOUNTS}/ReadOnly", {"Password": "a new password"}, 200),
        (AccountRole.READ_ONLY, "PATCH", f"{ACCOUNTS}/ReadOnly", {"RoleId": "Administrator"}, 403),
        (AccountRole.READ_ONLY, "DELETE", f"{ACCOUNTS}/ReadOnly", None, 403),
        (AccountRole.OPERATOR, "POST", RESET, {"ResetType": "On"}, 204),
        (AccountRole.OPERATOR, "PATCH", SYSTEM, BOOT, 200),
        (AccountRole.OPERATOR, "PATCH", f"{V1}/SessionService", {"SessionTimeout": 60}, 403),
        (AccountRole.OPERATOR, "POST", ACCOUNTS, {}, 403),
        (AccountRole.ADMINISTRATOR, "PATCH", f"{V1}/SessionService", {"SessionTimeout": 60}, 200),
        (AccountRole.ADMINISTRATOR, "PATCH", f"{V1}/SessionService", {"SessionTimeout": 1}, 400),
    ],
)
def test_privileges(role: AccountRole, method: str, target: str, body: object, status: int) -> None:
    async def scene(asker: Asker) -> None:
        assert (await asker.ask(method, target, body, role=role)).status == status

    play(scene, limits=CHEAP)


@pytest.mark.parametrize("kind", Kind)
def test_every_resource_has_a_privilege_for_every_role_to_read_it(kind: Kind) -> None:
    resource = Resource(kind=kind, system="a", item="b")
    assert allows(AccountRole.ADMINISTRATOR, resource, "GET", own=False)
    only_administrators = kind in (Kind.ACCOUNTS, Kind.ACCOUNT)
    assert allows(AccountRole.READ_ONLY, resource, "GET", own=False) is not only_administrators


@pytest.mark.parametrize("action", Action)
def test_no_action_is_open_to_readers(action: Action) -> None:
    operation = Operation(action=action, system="a", item="b")
    assert not allows(AccountRole.READ_ONLY, operation, "POST", own=False)
    assert allows(AccountRole.ADMINISTRATOR, operation, "POST", own=False)


@pytest.mark.parametrize("kind", Kind)
def test_uris_lead_back_to_their_resources(kind: Kind) -> None:
    resource = Resource(
        kind=kind, system="node1" if "{system}" in kind.value else "", item="x-1.b" if "{item}" in kind.value else ""
    )
    assert route(resource.uri) == route(resource.uri.rstrip("/") + "/") == resource


# --- tasks ----------------------------------------------------------------------------------------------------


def test_update_is_a_task_with_a_monitor() -> None:
    async def scene(asker: Asker) -> None:
        started = await asker.ask("POST", UPDATE, {"ImageURI": "http://10.0.0.1/bios.bin"})
        assert started.status == 202
        assert int(started.headers["retry-after"]) >= 1
        monitor, task = started.headers["location"], str(started.at("@odata.id"))
        async with asyncio.timeout(5):
            while (answer := await asker.get(monitor)).status == 202:  # noqa: ASYNC110  a client polls
                await asyncio.sleep(0)
        assert answer.status == 204
        done = await asker.get(task)
        assert (done.at("TaskState"), done.at("PercentComplete")) == ("Completed", 100)
        assert (await asker.ask("DELETE", monitor)).status == 204
        assert (await asker.get(task)).status == 404

    play(scene, limits=CHEAP)


def test_update_of_several_machines_has_to_name_one() -> None:
    async def scene(asker: Asker) -> None:
        answer = await asker.ask("POST", UPDATE, {"ImageURI": "http://10.0.0.1/bios.bin"})
        assert (answer.status, answer.message_ids) == (400, ["ActionParameterMissing"])
        body = {"ImageURI": "http://10.0.0.1/bios.bin", "Targets": [f"{V1}/Systems/node2"]}
        assert (await asker.ask("POST", UPDATE, body)).status == 202

    play(scene, machines=2, limits=CHEAP)


# --- events ---------------------------------------------------------------------------------------------------


def test_subscriber_is_sent_events_with_its_context() -> None:
    async def scene(asker: Asker) -> None:
        body = {"Destination": "https://10.0.0.1/events", "Protocol": "Redfish", "Context": "rack 7"}
        made = await asker.ask("POST", SUBSCRIPTIONS, body)
        assert made.status == 201
        await asyncio.sleep(0)
        test = {"MessageId": "Base.1.18.Success", "Message": "hello"}
        action = f"{V1}/EventService/Actions/EventService.SubmitTestEvent"
        assert (await asker.ask("POST", action, test)).status == 204
        async with asyncio.timeout(5):
            while not asker.posted:  # noqa: ASYNC110  nothing here takes time
                await asyncio.sleep(0)
        url, data = asker.posted[0]
        event = json.loads(data)
        assert (url, event["Context"]) == ("https://10.0.0.1/events", "rack 7")
        assert event["Events"][0]["Message"] == "hello"
        assert (await asker.ask("DELETE", made.headers["location"])).status == 204
        assert members(await asker.get(SUBSCRIPTIONS)) == []

    play(scene, limits=CHEAP)


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"Destination": "https://forbidden/"}, 403, "AccessDenied"),
        ({"Destination": "no url"}, 400, "PropertyValueFormatError"),
        ({"Protocol": "SNMPv2c"}, 400, "PropertyValueNotInList"),
        ({"EventFormatType": "MetricReport"}, 400, "PropertyValueNotInList"),
        ({"Id": "7"}, 400, "PropertyNotWritable"),
        ({"Whatever": 1}, 400, "PropertyUnknown"),
    ],
)
def test_subscription_that_is_refused(change: Mapping[str, object], status: int, message: str) -> None:
    async def scene(asker: Asker) -> None:
        body = {"Destination": "https://10.0.0.1/", "Protocol": "Redfish", **change}
        answer = await asker.ask("POST", SUBSCRIPTIONS, body)
        assert (answer.status, answer.message_ids) == (status, [message])

    play(scene, limits=CHEAP)


def test_stream_of_events_is_for_a_session_that_goes_on() -> None:
    async def scene(asker: Asker) -> None:
        location, token = await asker.token()
        request = Request(method="GET", target=f"{V1}/EventService/SSE", headers={"x-auth-token": token})
        response = await asker.made.service.respond(request)
        assert read(response).headers["content-type"] == "text/event-stream"
        assert response.subscriber is not None
        assert asker.made.service.is_welcome(response.subscriber)
        await asker.ask("DELETE", location)
        assert not asker.made.service.is_welcome(response.subscriber)

    play(scene, limits=CHEAP)


# --- the whole tree -------------------------------------------------------------------------------------------


def links(value: object) -> set[str]:
    if isinstance(value, list):
        return {uri for child in value for uri in links(child)}
    if not isinstance(value, dict):
        return set()
    own = {value["@odata.id"]} if isinstance(value.get("@odata.id"), str) else set[str]()
    return own | {uri for child in value.values() for uri in links(child)}


@pytest.mark.parametrize("machines", [1, 3])
def test_every_link_leads_to_a_resource_that_says_who_it_is(machines: int) -> None:
    async def scene(asker: Asker) -> None:
        seen, waiting = set[str](), {f"{V1}/"}
        while waiting:
            uri = waiting.pop()
            seen.add(uri)
            answer = await asker.get(uri.partition("#")[0])
            assert answer.status == 200, uri
            if answer.headers["content-type"].startswith("application/json"):
                assert answer.at("@odata.id") == uri.partition("#")[0]
                assert answer.at("@odata.type")
                assert answer.at("Name")
                waiting |= links(answer.body) - seen
        assert len(seen) > 60

    play(scene, machines=machines, limits=CHEAP)
