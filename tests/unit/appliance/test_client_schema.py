"""The client against the OpenAPI document: each operation has a method, which asks and understands what it says.

Every public method is called with samples of its parameters' types, over a real socket; the server writes down what it
was asked. A method that is new is looked at without a word here.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, is_dataclass
from enum import Enum
from functools import cache
from http.server import BaseHTTPRequestHandler
from inspect import Parameter, isgenerator, signature
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from types import NoneType, UnionType
from typing import get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl, urlsplit

import jsonschema_rs
import pytest
from pydantic import TypeAdapter

from appliance.access.model import Role
from appliance.client import Client
from appliance.errors import InnervateError
from appliance.model.access_views import (
    AuditWanted,
    Outcome,
    PasswordRequest,
    SetupRequest,
    TokenRequest,
    UserChangeRequest,
    UserRequest,
    UserView,
)
from appliance.model.bmc_views import BmcSearchRequest, VaultEntryRequest, VaultScope
from appliance.model.doctor import Check, DoctorRequest
from appliance.model.goal import Consent
from appliance.model.leaving_views import LeaveRequest
from appliance.model.secret import Secret
from appliance.model.words import Destroys

DOCUMENT = json.loads((Path(__file__).parents[2] / "golden" / "openapi.json").read_text())
NO_METHOD = {
    "GET /v1/events/stream": "for browsers; programs ask /v1/events with `wait`",
    "POST /v1/login": "for browsers: a program shows its token, or comes by the Unix socket",
    "POST /v1/logout": "for browsers",
    "POST /v1/login/passkey/challenge": "a passkey lives in a browser",
    "POST /v1/login/passkey": "a passkey lives in a browser",
    "POST /v1/users/{user}/passkeys/challenge": "a passkey lives in a browser",
    "POST /v1/users/{user}/passkeys": "a passkey lives in a browser",
}
NO_OPERATION = {
    "console": "a WebSocket, for which OpenAPI has no words",
    "tunnel": "a WebSocket",
}
UNUSED = {
    ("GET /v1/machines/{name}/console", "past"): "a program gets all of it",
    ("GET /v1/machines", "cursor"): "sent with the second page",
    ("GET /v1/runs", "cursor"): "sent with the second page",
    ("GET /v1/leases", "cursor"): "sent with the second page",
    ("GET /v1/clusters", "cursor"): "sent with the second page",
    ("GET /v1/audit", "newest"): "for pages; a program reads the log from its beginning",
    ("GET /v1/audit", "before"): "for pages; a program reads the log from its beginning",
}
_WORD = "a" * 12
_BYTES = "application/octet-stream"
_SAMPLES: Mapping[str, object] = {
    "digest": "a" * 64,
    "url": "https://10.0.0.9",
    "request:set_up": SetupRequest(name="ann", code="x" * 12, password=_WORD),
    "request:add_user": UserRequest(name="ann", role=Role.ADMIN, password=_WORD),
    "request:set_password": PasswordRequest(password=_WORD, current=_WORD),
    "request:start_doctor": DoctorRequest(patient=True),
    "wanted:audit": AuditWanted(who="ann", what="run", outcome=Outcome.REFUSED),
    "request:make_token": TokenRequest(label="ci", role=Role.OPERATOR),
    "request:search_bmcs": BmcSearchRequest(targets=("10.0.0.0/28",), stated="ops", ours=("10.0.0.1",), login=True),
    "request:leave_site": LeaveRequest(site="lab", passphrase=_WORD),
    "site": "lab",
    "change": UserChangeRequest(role=Role.OPERATOR, enabled=False),
    "entry": VaultEntryRequest(scope=VaultScope.SITE, value="x", user="root", password=_WORD),
    "code": "123456",
    "bundle": Path("/dev/null"),
    "despite": (Check.DHCP,),
    "then": Consent(destroys=Destroys.BLANK, disks=("DISK0001",)),
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    method: str
    path: str
    query: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Use:
    """What one method of the client asked, of which operation of the document."""

    name: str
    asked: Asked
    operation: str


class _Server(ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.asked: list[Asked] = []
        super().__init__(str(path), _Handler)


class _Handler(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        assert isinstance(self.server, _Server)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.server.asked.append(Asked(method=self.command, path=parts.path, query=query, body=body))
        self.send_response(500)
        self.end_headers()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815  http.server looks them up by name

    def log_message(self, *_: object) -> None:
        return

    def address_string(self) -> str:
        return ""


@pytest.fixture(scope="module")
def uses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[Use]]:
    path = tmp_path_factory.mktemp("s") / "api.sock"
    with _Server(path) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            client = Client(path, timeout=10)
            yield [use for name in methods() for use in used(client, name, server)]
        finally:
            server.shutdown()
            thread.join()


def methods() -> list[str]:
    named = (name for name, value in vars(Client).items() if callable(value) and not name.startswith("_"))
    return sorted(set(named) - set(NO_OPERATION))


def used(client: Client, name: str, server: _Server) -> Iterator[Use]:
    method = getattr(client, name)
    server.asked.clear()
    hints = get_type_hints(method)
    given = [
        (parameter, sample(name, parameter.name, hints[parameter.name]))
        for parameter in signature(method).parameters.values()
    ]
    named = {one.name: value for one, value in given if one.kind is Parameter.KEYWORD_ONLY}
    with suppress(InnervateError):
        answer = method(*(value for one, value in given if one.kind is not Parameter.KEYWORD_ONLY), **named)
        if isgenerator(answer):
            next(answer)
    assert server.asked, f"{name} asked nothing"
    for asked in server.asked:
        yield Use(name=name, asked=asked, operation=operation_of(asked))


def sample(method: str, name: str, hint: object) -> object:
    for key in (f"{name}:{method}", name):
        if key in _SAMPLES:
            return _SAMPLES[key]
    if get_origin(hint) is UnionType:
        hint = next(kind for kind in get_args(hint) if kind is not NoneType)
    assert isinstance(hint, type)
    if hint is UserView:
        return UserView(name="ann", role=Role.ADMIN, enabled=True, totp=False, created=0.0)
    if issubclass(hint, Enum):
        return next(iter(hint))
    assert hint in (str, int, float, bool), f"{method} needs a sample of {name}: {hint}"
    return {str: "node-0", int: 7, float: 1.5, bool: True}[hint]


def operations() -> dict[str, dict[str, object]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    }


def operation_of(asked: Asked) -> str:
    """A path without braces before one with: /v1/machines/summary is no machine."""
    for operation in sorted(operations(), key=lambda key: key.count("{")):
        method, path = operation.split(" ")
        pattern = re.sub(r"\{\w+\}", "[^/]+", path)
        if method == asked.method and re.fullmatch(pattern, asked.path):
            return operation
    raise AssertionError(f"the API has no {asked.method} {asked.path}")


def test_every_operation_has_a_method(uses: Sequence[Use]) -> None:
    found = {use.operation for use in uses}
    assert set(operations()) - found == set(NO_METHOD)
    assert not found & set(NO_METHOD), "it has one after all: take it off the list"


def test_parameters_agree(uses: Sequence[Use]) -> None:
    for use in uses:
        known = {one["name"]: one for one in operations()[use.operation].get("parameters", ()) if one["in"] == "query"}
        for name, value in use.asked.query.items():
            assert name in known, f"{use.name}: {use.operation} has no parameter {name}"
            assert fits(value, known[name]["schema"]), f"{use.name}: {name}={value}"
        missing = {name for name, one in known.items() if one.get("required")} - set(use.asked.query)
        assert not missing, f"{use.name} leaves out {missing}"


def fits(value: str, schema: object) -> bool:
    """A query says everything as text; a number or a truth may be meant."""
    readings: list[object] = [value, *([value == "true"] if value in ("true", "false") else [])]
    for number in (int, float):
        with suppress(ValueError):
            readings.append(number(value))
    return any(validator(schema).is_valid(reading) for reading in readings)


def test_every_parameter_can_be_given(uses: Sequence[Use]) -> None:
    given = {(use.operation, name) for use in uses for name in use.asked.query}
    there = {
        (operation, one["name"])
        for operation, said in operations().items()
        if operation not in NO_METHOD
        for one in said.get("parameters", ())
        if one["in"] == "query"
    }
    assert there - given == set(UNUSED)


def test_bodies_agree(uses: Sequence[Use]) -> None:
    for use in uses:
        schema = content(operations()[use.operation].get("requestBody"))
        assert (schema is None) == (use.asked.body == b""), use.name
        if schema is not None:
            assert not list(map(str, validator(schema).iter_errors(json.loads(use.asked.body)))), use.name


def test_every_field_of_a_body_can_be_given(uses: Sequence[Use]) -> None:
    """What a body offers, some method can say."""
    for operation in {use.operation for use in uses}:
        schema = content(operations()[operation].get("requestBody"))
        said = {
            key for use in uses if use.operation == operation and use.asked.body for key in json.loads(use.asked.body)
        }
        assert schema is None or set(resolved(schema)["properties"]) <= said, operation


def test_answers_agree(uses: Sequence[Use]) -> None:
    """What a method makes of an answer is what the document says of it, to the last field."""
    for use in uses:
        hint = get_type_hints(getattr(Client, use.name))["return"]
        kind = get_args(hint)[0] if get_origin(hint) is not None else hint
        succeeded = [
            said for status, said in operations()[use.operation]["responses"].items() if status.startswith("2")
        ]
        schema = content(succeeded[0])
        if not is_dataclass(kind) or kind is Secret:
            assert kind in (str, bytes, NoneType, Secret), use.name
            assert schema in (None, {}, {"type": "string"}), use.name
            continue
        assert schema == {"$ref": f"#/components/schemas/{kind.__name__}"}, use.name
        template = "#/components/schemas/{model}"
        own = TypeAdapter(kind).json_schema(mode="serialization", ref_template=template)
        for name, model in {**own.pop("$defs", {}), kind.__name__: own}.items():
            assert shape(model) == shape(DOCUMENT["components"]["schemas"][name]), f"{use.name}: {name}"


def shape(model: object) -> object:
    """Without words for people, and without the default null, which the document leaves out."""
    if isinstance(model, dict):
        said = {key: value for key, value in model.items() if (key, value) != ("default", None)}
        return {key: shape(value) for key, value in said.items() if key not in ("description", "title")}
    return [shape(value) for value in model] if isinstance(model, list) else model


def content(said: object) -> object:
    """None for what is no document, but bytes."""
    documents = said.get("content", {}) if isinstance(said, dict) else {}
    return next((one["schema"] for kind, one in documents.items() if "schema" in one and kind != _BYTES), None)


def resolved(schema: object) -> dict[str, object]:
    assert isinstance(schema, dict)
    return DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def validator(schema: object) -> jsonschema_rs.Validator:
    return _validator(json.dumps(schema))


@cache
def _validator(schema: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({**json.loads(schema), "components": DOCUMENT["components"]})


def test_a_client_that_lags_behind_is_seen() -> None:
    """The comparison can fail: another field, another type."""
    view = DOCUMENT["components"]["schemas"]["HealthView"]
    assert shape(view) != shape({**view, "properties": {**view["properties"], "x": {"type": "string"}}})
    assert not fits("many", {"type": "integer"})
    assert fits("7", {"type": "integer"})
