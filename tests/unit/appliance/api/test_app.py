import asyncio
import json
from pathlib import Path

import pytest
from starlette.types import Message

from appliance.api.app import create_app
from appliance.api.fake import FakeApplication

GOLDEN = Path(__file__).parents[3] / "golden" / "openapi.json"


def drawn() -> str:
    """To accept a change: write this to tests/golden/openapi.json, and read the difference first."""
    return json.dumps(create_app(FakeApplication()).openapi(), indent=1) + "\n"


def get(target: str, host: str, hosts: frozenset[str]) -> int:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": target,
        "query_string": b"",
        "headers": [(b"host", host.encode())],
        "scheme": "http",
        "server": ("127.0.0.1", 80),
    }
    asyncio.run(create_app(FakeApplication(), hosts=hosts)(scope, receive, send))
    status: int = sent[0]["status"]
    return status


def test_openapi() -> None:
    assert drawn() == GOLDEN.read_text()


def test_every_operation_documents_its_problems() -> None:
    for operations in json.loads(GOLDEN.read_text())["paths"].values():
        for operation in operations.values():
            assert list(operation["responses"]["default"]["content"]) == ["application/problem+json"]


@pytest.mark.parametrize(
    ("host", "hosts", "status"),
    [
        ("anything", frozenset(), 200),
        ("rack.example", frozenset({"rack.example"}), 200),
        ("rack.example:8443", frozenset({"rack.example"}), 200),
        ("evil.example", frozenset({"rack.example"}), 421),
        ("", frozenset({"rack.example"}), 421),
    ],
)
def test_host(host: str, hosts: frozenset[str], status: int) -> None:
    assert get("/v1/health", host, hosts) == status
