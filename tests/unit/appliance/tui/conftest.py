from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.api.fake import FakeApplication, Served, served
from appliance.client import Client
from appliance.model.access_views import Role, UserRequest
from tests.unit.appliance.tui.rack import rack


@pytest.fixture
def application() -> FakeApplication:
    return rack()


@pytest.fixture
def socket_path(tmp_path: Path) -> Path:
    return tmp_path / "api.sock"


@pytest.fixture
def server(application: FakeApplication, socket_path: Path) -> Iterator[Served]:
    """With an admin: a setup code is another one each time."""
    with served(application, socket_path) as server:
        Client(socket_path).add_user(UserRequest(name="ann", role=Role.ADMIN, password="a long password"))
        yield server
