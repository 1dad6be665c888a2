"""Time servers, asked by a client that is not ours: Debian's chronyd, one that is wrong, and ones that say nothing."""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from appliance.doctor import looks
from appliance.doctor.facts import Source
from images.processes import HostProcesses
from tests.contract.test_timekeeping import answering

_SINCE_1900 = 2_208_988_800
LOOPBACK = "127.0.0.1"


def asked(port: int, *names: str) -> tuple[Source, ...]:
    return asyncio.run(looks.clocks(HostProcesses(), names or (LOOPBACK,), port))


def stamp(seconds: float) -> bytes:
    whole = seconds + _SINCE_1900
    return struct.pack("!II", int(whole), int(whole % 1 * (1 << 32)))


def reply(question: bytes, ahead: float, *, head: bytes = b"\x24\x02\x06\xe8") -> bytes:
    """Version 4, mode 4, stratum 2 (RFC 5905 section 7.3)."""
    now = stamp(time.time() + ahead)
    return head + bytes(12) + now + question[40:48] + now + now


@contextmanager
def saying(answer: Callable[[bytes], bytes]) -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((LOOPBACK, 0))

        def run() -> None:
            while True:
                question, sender = server.recvfrom(1024)
                if question == b"enough":
                    return
                server.sendto(answer(question), sender)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"enough", server.getsockname())
            thread.join()


def test_debians_chronyd_agrees(tmp_path: Path) -> None:
    with answering(tmp_path, (IPv4Network("127.0.0.0/8"),)) as port:
        (source,) = asked(port)
    assert (source.problem, source.stratum) == ("", 10)
    assert abs(source.ahead) <= source.delay + 0.05


@pytest.mark.parametrize("ahead", [40.0, -3600.0], ids=["ahead", "behind"])
def test_how_far_it_is_from_ours(ahead: float) -> None:
    with saying(lambda question: reply(question, ahead)) as port:
        (source,) = asked(port)
    assert source.problem == ""
    assert source.ahead == pytest.approx(ahead, abs=source.delay + 0.05)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda question: reply(question, 0, head=b"\xe4\x00\x06\xe8"), "does not know the time"),
        (lambda question: reply(bytes(48), 0), "not to our question"),
        (lambda question: reply(question, 0)[:20], "not to our question"),
        (lambda question: reply(question, 0, head=b"\x23\x02\x06\xe8"), "not to our question"),
    ],
    ids=["lost", "forged", "short", "no-server"],
)
def test_what_is_no_time(answer: Callable[[bytes], bytes], words: str) -> None:
    with saying(answer) as port:
        (source,) = asked(port)
    assert words in source.problem


def test_nobody_there_holds_up_nobody_else() -> None:
    with saying(lambda question: reply(question, 0)) as port:
        found = {one.name: one.problem for one in asked(port, LOOPBACK, "127.0.0.2", "no.such.host.invalid")}
    assert found[LOOPBACK] == ""
    assert found["127.0.0.2"]
    assert found["no.such.host.invalid"]


def test_tools_that_are_not_there_name_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert asyncio.run(looks.time_servers(HostProcesses())) == ()
