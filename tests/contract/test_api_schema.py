"""The OpenAPI document against the API: whatever it allows gets an answer that it describes, and never a 5xx."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import BaseSchema, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from appliance.access.model import Caller, Role, Via
from appliance.api.app import create_app
from appliance.api.fake import FakeApplication, fake_access
from appliance.model.ids import MachineName
from appliance.model.phase import Phase as MachinePhase
from appliance.model.views import EventsView, MachineView, PlanView, StepView
from appliance.system import SystemRng
from tests.unit.appliance.api.test_app import GOLDEN

_ROOT = Caller(name="local:root", role=Role.ADMIN, via=Via.SOCKET)
_ENDLESS = "/v1/events/stream"
_LOG_INS = ("/v1/login", "/v1/login/passkey", "/v1/setup", "/v1/users/{user}/password", "/v1/users/{user}/passkeys")
KNOWN = {
    "name": "node-0",
    "digest": "a" * 64,
    "run": "run-1",
    "goal": "goal-1",
    "image": "debian-13",
    "set": "kubeadm-v1.20.2-amd64",
    "cluster": "prod",
    "user": "ann",
    "token": "00000000",
    "session": "00000000",
    "passkey": "00000000",
}
"""What is there, for path parameters: few would be guessed."""


def operations() -> Iterator[tuple[str, str, GenerationMode]]:
    """What takes nothing cannot be asked wrongly."""
    for path, methods in json.loads(GOLDEN.read_text())["paths"].items():
        for method, operation in methods.items():
            if path != _ENDLESS:
                yield method, path, GenerationMode.POSITIVE
            if path != _ENDLESS and ("parameters" in operation or "requestBody" in operation):
                yield method, path, GenerationMode.NEGATIVE


_CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@dataclass(kw_only=True)
class _Hasty(FakeApplication):
    """Nobody waits for events that never come."""

    async def events(
        self,
        *,
        after: int,
        machine: MachineName | None,
        limit: int,
        wait: float,
        kinds: frozenset[str] | None = None,
    ) -> EventsView:
        return await super().events(after=after, machine=machine, limit=limit, wait=0, kinds=kinds)


@pytest.fixture(scope="module")
def token_of_root() -> dict[str, str]:
    return {}


@pytest.fixture(scope="module")
def api_schema(token_of_root: dict[str, str]) -> Iterator[BaseSchema]:
    step = StepView(id="s", machine="node-0", score="x", summary="x", kind="read", budget=1)
    application = _Hasty(
        inventory={"node-0": MachineView(name="node-0", phase=MachinePhase.ACTIVE, since=0)},
        plans=[PlanView(digest="a" * 64, site="lab", steps=(step,), deferred=())],
    )
    with fake_access() as access:
        app = create_app(application, access, SystemRng(), hosts=frozenset({"localhost", "127.0.0.1", "testserver"}))
        _, token = access.desk.make_token(_ROOT, "schemathesis", Role.ADMIN, 1)
        token_of_root["Authorization"] = f"Bearer {token}"
        yield schemathesis.openapi.from_asgi("/v1/openapi.json", app)


@pytest.mark.parametrize("examples", [10, pytest.param(25, marks=pytest.mark.long)])
@pytest.mark.parametrize(("method", "path", "mode"), tuple(operations()), ids=lambda part: getattr(part, "value", part))
def test_every_answer_is_described(
    method: str,
    path: str,
    mode: GenerationMode,
    examples: int,
    api_schema: BaseSchema,
    token_of_root: dict[str, str],
) -> None:
    """What the document allows, and what it forbids."""
    operation = api_schema[path][method]

    @given(case=operation.as_strategy(generation_mode=mode), known=st.booleans())
    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def described(case: Case, *, known: bool) -> None:
        if known and mode is GenerationMode.POSITIVE:
            case.path_parameters = {key: KNOWN[key] for key in case.path_parameters or {}}
        if path == "/v1/audit":
            case.query = {**(case.query or {}), "wait": 0}
        response = case.call(headers=token_of_root)
        case.validate_response(response, checks=_CHECKS)
        assert response.status_code not in (401, 421) or path in _LOG_INS
        if response.status_code < 400:
            assert str(response.status_code) in operation.definition.raw["responses"]

    described()
