"""The QMP client against a peer that we script."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from appliance.errors import MachineryError
from appliance.lab.qmp import Qmp

Peer = Callable[[socket.socket], None]


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def play(theirs: socket.socket, answers: list[list[dict[str, object]]]) -> threading.Thread:
    """Sends the greeting, then the next group of lines after each request; then hangs up."""

    def serve() -> None:
        with theirs, theirs.makefile("rb") as requests:
            theirs.sendall(b'{"QMP": {"version": {}, "capabilities": []}}\n')
            for group, _request in zip(answers, requests, strict=False):
                theirs.sendall(b"".join(json.dumps(line).encode() + b"\n" for line in group))

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_answers_and_events_are_kept_apart(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    events: list[str] = []
    server = play(theirs, [[{"return": {}}], [{"event": "RESET"}, {"return": 5}]])
    with closing(Qmp(ours, events.append)) as qmp:
        assert qmp.execute("query-x") == 5
    server.join()
    assert events == ["RESET"]


def test_refusal_is_an_error_with_the_reason(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    server = play(theirs, [[{"return": {}}], [{"error": {"class": "GenericError", "desc": "no such device"}}]])
    with closing(Qmp(ours, lambda _: None)) as qmp, pytest.raises(MachineryError, match="refused eject") as caught:
        qmp.execute("eject")
    server.join()
    assert "no such device" in caught.value.evidence


def test_qemu_that_goes_away_is_an_error(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    server = play(theirs, [[{"return": {}}]])
    with closing(Qmp(ours, lambda _: None)) as qmp:
        server.join()
        with pytest.raises(MachineryError):
            qmp.execute("query-status")
