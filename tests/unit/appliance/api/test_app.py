import json
from pathlib import Path

from tests.unit.appliance.api.asgi import api

GOLDEN = Path(__file__).parents[3] / "golden" / "openapi.json"


def drawn() -> str:
    """To accept a change: write this to tests/golden/openapi.json, and read the difference first."""
    with api() as one:
        return json.dumps(one.app.openapi(), indent=1) + "\n"


def test_openapi() -> None:
    assert drawn() == GOLDEN.read_text()


def test_every_operation_documents_its_problems() -> None:
    for operations in json.loads(GOLDEN.read_text())["paths"].values():
        for operation in operations.values():
            assert list(operation["responses"]["default"]["content"]) == ["application/problem+json"]
