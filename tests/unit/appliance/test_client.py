"""What the client makes of daemons that are absent, silent or out of their minds."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.client import Client
from appliance.errors import AbsentError, InnervateError, LateError, MachineryError, NotFoundError


@contextmanager
def answering(path: Path, answer: bytes, seen: list[bytes] | None = None) -> Iterator[Client]:
    """Answers one request with these bytes, whatever it was, then hangs up."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                request = connection.recv(65536)
                if seen is not None:
                    seen.append(request)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Client(path, timeout=10)
        thread.join()


def http(status: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def test_no_daemon(tmp_path: Path) -> None:
    client = Client(tmp_path / "api.sock")
    with pytest.raises(AbsentError) as raised:
        client.health()
    assert "innervate daemon" in raised.value.next_action
    assert "api.sock" in raised.value.evidence
    with pytest.raises(AbsentError), client.tunnel("node-0"):
        pass


def test_a_dead_daemons_socket(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(AbsentError, match="does not answer"):
        Client(path).machines()


def test_a_silent_daemon(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with pytest.raises(LateError, match=r"0\.01 seconds") as raised:
            Client(path, timeout=0.01).make_plan()
    assert "POST /v1/plans" in raised.value.evidence


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", AbsentError),
        (b"SSH-2.0-OpenSSH_9.2\r\n", AbsentError),
        (http("200 OK", b"{}")[:-1], MachineryError),
        (http("200 OK", b"{}"), MachineryError),
        (http("200 OK", b"\xff"), MachineryError),
        (http("500 Internal Server Error", b"<html>"), MachineryError),
        (http("418 I'm a teapot", b'{"type":"x","title":"Teapot","status":418,"code":"new"}'), MachineryError),
        (http("404 Not Found", b'{"type":"x","title":"Gone","status":404,"code":"not-found"}'), NotFoundError),
    ],
)
def test_strange_answers(answer: bytes, kind: type[InnervateError], tmp_path: Path) -> None:
    with answering(tmp_path / "api.sock", answer) as client, pytest.raises(InnervateError) as raised:
        client.health()
    assert type(raised.value) is kind
    assert str(raised.value)


def test_names_cannot_leave_their_place_in_the_path(tmp_path: Path) -> None:
    seen: list[bytes] = []
    with answering(tmp_path / "api.sock", http("404 Not Found", b"{}"), seen) as client, pytest.raises(MachineryError):
        client.machine("a/../b?c=d")
    assert seen[0].startswith(b"GET /v1/machines/a%2F..%2Fb%3Fc%3Dd HTTP/1.1\r\n")
