"""The appliance's Redfish endpoint: its files, its accounts over restarts, and where events may go."""

import asyncio
import base64
import json
import socket
import ssl
import stat
from ipaddress import IPv4Address
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from appliance.errors import MachineryError
from appliance.fleet.door import Door, is_elsewhere, opened
from appliance.redfish.simulated import SimulatedBackend, simulated_view
from appliance.system import SystemClock, SystemRng

LOCAL = IPv4Address("127.0.0.1")


def door(folder: Path) -> Door:
    with socket.create_server((str(LOCAL), 0)) as free:
        port = free.getsockname()[1]
    return Door(folder=folder, address=LOCAL, port=port, site="lab", version="1")


def ask(where: Door, path: str, user: str, password: str, body: bytes | None = None, method: str = "GET") -> int:
    tls = ssl.create_default_context(cafile=str(where.folder / "server.crt"))
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    request = Request(f"https://127.0.0.1:{where.port}{path}", data=body, headers=headers, method=method)
    try:
        with urlopen(request, context=tls, timeout=20) as answer:  # noqa: S310  https
            return int(answer.status)
    except HTTPError as error:
        return error.code


async def while_open(where: Door, *questions: tuple[str, str, str, bytes | None, str]) -> list[int]:
    clock = SystemClock()
    async with opened(where, SimulatedBackend([simulated_view(1)], clock), clock, SystemRng()):
        return [await asyncio.to_thread(ask, where, *question) for question in questions]


def test_first_password_then_ones_own_which_outlives_a_restart(tmp_path: Path) -> None:
    where = door(tmp_path / "redfish")
    systems, account = "/redfish/v1/Systems", "/redfish/v1/AccountService/Accounts/admin"
    own = json.dumps({"Password": "my own password"}).encode()

    async def lives() -> None:
        assert await while_open(where, (systems, "admin", "guess", None, "GET")) == [401]
        first = (where.folder / "first-password").read_text().strip()
        assert await while_open(
            where, (systems, "admin", first, None, "GET"), (account, "admin", first, own, "PATCH")
        ) == [200, 200]
        assert await while_open(
            where, (systems, "admin", first, None, "GET"), (systems, "admin", "my own password", None, "GET")
        ) == [401, 200]

    asyncio.run(lives())
    assert b"my own password" not in b"".join(file.read_bytes() for file in where.folder.iterdir())


def test_secrets_are_private_and_the_certificate_stays(tmp_path: Path) -> None:
    where = door(tmp_path / "redfish")
    asyncio.run(while_open(where))
    before = (where.folder / "server.crt").read_bytes()
    asyncio.run(while_open(where))
    assert (where.folder / "server.crt").read_bytes() == before
    assert {stat.S_IMODE(file.stat().st_mode) for file in where.folder.iterdir()} == {0o600}
    assert stat.S_IMODE(where.folder.stat().st_mode) == 0o700


def test_broken_accounts_stop_the_daemon_with_a_reason(tmp_path: Path) -> None:
    where = door(tmp_path / "redfish")
    asyncio.run(while_open(where))
    (where.folder / "accounts.json").write_text('{"accounts": [{"name": 1}]}')
    with pytest.raises(MachineryError, match=r"accounts\.json cannot be read") as caught:
        asyncio.run(while_open(where))
    assert "remove it" in caught.value.next_action


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    where = door(tmp_path / "redfish")
    with socket.create_server((str(LOCAL), where.port)), pytest.raises(MachineryError, match=str(where.port)):
        asyncio.run(while_open(where))


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://10.0.0.5/events", True),
        ("https://monitor.example/events", True),
        ("http://10.0.0.5/events", False),
        ("https://127.0.0.1/", False),
        ("https://[::1]/", False),
        ("https://169.254.169.254/", False),
        ("https://0.0.0.0/", False),
        ("https://224.0.0.1/", False),
        ("https://localhost/", False),
        ("https://a.localhost/", False),
        ("https:///", False),
    ],
)
def test_where_events_may_go(url: str, allowed: bool) -> None:
    assert is_elsewhere(url) is allowed
