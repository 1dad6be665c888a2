"""Whatever is asked of the Redfish service, by whomever, it answers as HTTP and the specification want it."""

import asyncio
import json

from hypothesis import given
from hypothesis import strategies as st

from appliance.model.bmc import AccountRole
from appliance.redfish.accounts import AuthLimits
from appliance.redfish.exchange import METHODS, Request
from appliance.redfish.router import Action, Kind, Operation, Resource
from tests.conformance.redfish_client import PASSWORDS, asking, basic, read

LIMITS = AuthLimits(scrypt_cost=1 << 8)
KNOWN = {200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 406, 409, 412, 413, 414, 415, 501, 503}
ITEMS = st.sampled_from(
    ["node1", "node2", "1", "Administrator", "ReadOnly", "Cd", "Slot0", "..", "%2e", "ä", "x" * 300]
)
PATHS = st.one_of(
    st.builds(
        lambda kind, system, item: Resource(kind=kind, system=system, item=item).uri,
        st.sampled_from(Kind),
        ITEMS,
        ITEMS,
    ),
    st.builds(
        lambda action, system, item: Operation(action=action, system=system, item=item).uri,
        st.sampled_from(Action),
        ITEMS,
        ITEMS,
    ),
    st.text(max_size=60).map(lambda text: f"/redfish/v1/{text}"),
)
QUERIES = st.one_of(
    st.just(""),
    st.sampled_from(
        ["?only", "?$expand=*($levels=4)", "?$expand=~", "?$select=Boot/X,Id", "?$skip=1&$top=0", "?$top=9" * 9]
    ),
    st.text(max_size=30).map(lambda text: f"?{text}"),
)
NAMES = st.sampled_from(
    [
        "Boot",
        "BootSourceOverrideTarget",
        "BootSourceOverrideEnabled",
        "IndicatorLED",
        "LocationIndicatorActive",
        "ResetType",
        "Image",
        "ImageURI",
        "Targets",
        "UserName",
        "Password",
        "RoleId",
        "Enabled",
        "Locked",
        "Destination",
        "Protocol",
        "Context",
        "SessionTimeout",
        "MessageId",
        "Severity",
        "@odata.id",
        "Id",
        "Links",
        "ä",
    ]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["Pxe", "Once", "On", "ForceOff", "Lit", "Operator", "https://10.0.0.1/x", "http://[", "Redfish"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=8,
)
BODIES = st.one_of(
    st.just(b""),
    st.binary(max_size=40),
    st.dictionaries(NAMES, VALUES, max_size=5).map(lambda value: json.dumps(value).encode()),
)
TEXT = st.text(max_size=20)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "if-match": st.sampled_from(["*", '"x"', '"', "W/"]) | TEXT,
        "if-none-match": st.sampled_from(["*", '"x"', '"', "W/"]) | TEXT,
        "accept": st.sampled_from(["*/*", "text/html", ";;q=,"]) | TEXT,
        "content-type": st.sampled_from(["application/json", "text/plain"]) | TEXT,
        "odata-version": TEXT,
        "x-auth-token": TEXT,
        "authorization": st.sampled_from(["Basic ", "Basic Og==", "Basic /w=="]) | TEXT,
    },
)
LOGINS = st.sampled_from([basic(role.value, password) for role, password in PASSWORDS.items()] + [{}])
REQUESTS = st.builds(
    lambda method, path, query, headers, login, body: Request(
        method=method, target=path + query, headers={**login, **headers}, body=body
    ),
    st.sampled_from([*METHODS, "BREW"]),
    PATHS,
    QUERIES,
    HEADERS,
    LOGINS,
    BODIES,
)


@given(st.lists(REQUESTS, min_size=1, max_size=12))
def test_every_request_is_answered_as_the_specification_wants(requests: list[Request]) -> None:
    async def scene() -> None:
        async with asking(machines=2, limits=LIMITS) as asker:
            for request in requests:
                answer = read(await asker.made.service.respond(request))
                assert answer.status in KNOWN, request
                assert answer.headers["odata-version"] == "4.0"
                if answer.status in (204, 304):
                    assert not answer.raw
                elif answer.status >= 400:
                    assert answer.message_ids, request
                for header in answer.headers.values():
                    assert header.isprintable(), request
                    assert header.isascii(), request
                for password in PASSWORDS.values():
                    assert password.encode() not in answer.raw

    asyncio.run(scene())


@given(st.lists(REQUESTS, min_size=1, max_size=8))
def test_strangers_and_readers_change_nothing(requests: list[Request]) -> None:
    async def scene() -> None:
        async with asking(machines=2, limits=LIMITS) as asker:
            before = [await asker.backend.system(name) for name in ("node1", "node2")]
            reader = basic(AccountRole.READ_ONLY.value, PASSWORDS[AccountRole.READ_ONLY])
            for request in requests:
                for login in (reader, {}):
                    asked = Request(method=request.method, target=request.target, headers=login, body=request.body)
                    await asker.made.service.respond(asked)
            assert [await asker.backend.system(name) for name in ("node1", "node2")] == before
            assert set(asker.made.accounts.names()) == {role.value for role in AccountRole}

    asyncio.run(scene())
