from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.api.fake import FakeApplication, Served, served
from tests.unit.appliance.tui.rack import rack


@pytest.fixture
def application() -> FakeApplication:
    return rack()


@pytest.fixture
def socket_path(tmp_path: Path) -> Path:
    return tmp_path / "api.sock"


@pytest.fixture
def server(application: FakeApplication, socket_path: Path) -> Iterator[Served]:
    with served(application, socket_path) as server:
        yield server
