import asyncio
import socket
from pathlib import Path

import pytest

from appliance.api.app import create_app
from appliance.api.fake import FakeApplication, fake_access, served
from appliance.api.server import listen, serve
from appliance.client import Client
from appliance.errors import MachineryError
from appliance.system import SystemRng


def test_a_dead_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with listen(path):
        assert path.is_socket()


def test_a_living_daemon_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with served(FakeApplication(), path):
        with pytest.raises(MachineryError, match="another daemon"):
            listen(path)
        assert Client(path).health().ready


def test_a_path_that_cannot_be_bound(tmp_path: Path) -> None:
    with pytest.raises(MachineryError, match="cannot listen") as raised:
        listen(tmp_path / "missing" / "api.sock")
    assert "No such file" in raised.value.evidence


def test_a_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    path.write_text("precious")
    with pytest.raises(MachineryError):
        listen(path)
    assert path.read_text() == "precious"


def test_an_early_stop_ends_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        stop = asyncio.Event()
        stop.set()
        with fake_access() as access:
            app = create_app(FakeApplication(), access, SystemRng())
            await asyncio.wait_for(serve(app, tmp_path / "api.sock", stop), 10)

    asyncio.run(main())
    assert not (tmp_path / "api.sock").exists()
