"""Sockets that systemd hands over, by its own tool (systemd-socket-activate(1))."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pxe.inherited import inherited

ROOT = Path(__file__).parents[3]
ACTIVATE = shutil.which("systemd-socket-activate")
CHILD = """
import socket, sys
from pxe.inherited import inherited
stream = socket.SOCK_STREAM
names = sys.argv[1], ("127.0.0.1", int(sys.argv[2]))
held = [inherited(kind, name) for name in names for kind in (stream, socket.SOCK_DGRAM)]
again = inherited(stream, sys.argv[1])
print([None if one is None else one.getsockname() for one in (*held, again)], inherited(stream, ("127.0.0.1", 1)))
held[0].accept()[0].sendall(b"served")
"""


@contextmanager
def activated(path: Path, port: int) -> "Iterator[subprocess.Popen[str]]":
    argv = [str(ACTIVATE), "-l", str(path), "-l", f"127.0.0.1:{port}", "-E", f"PYTHONPATH={ROOT}"]
    child = [sys.executable, "-c", CHILD, str(path), str(port)]
    with subprocess.Popen([*argv, *child], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "Listening on 127.0.0.1" not in (line := process.stderr.readline()):
            assert line, "systemd-socket-activate has ended"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(ACTIVATE is None, reason="NOT TESTED: sockets of systemd, without systemd-socket-activate")
def test_what_systemd_has_bound_is_taken_by_name_and_kind(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    path = tmp_path / "api.sock"
    with activated(path, port) as process, socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(path))
        assert asking.recv(64) == b"served"
        assert process.stdout is not None
        assert process.stdout.read() == f"['{path}', None, ('127.0.0.1', {port}), None, '{path}'] None\n"


@pytest.mark.parametrize(
    "given",
    [{}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}, {"LISTEN_FDS": "-", "LISTEN_PID": "own"}],
    ids=["nothing", "no-pid", "another's", "no-number"],
)
def test_what_was_meant_for_another_is_not_taken(monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> None:
    for name in ("LISTEN_FDS", "LISTEN_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, str(os.getpid()) if value == "own" else value)
    assert inherited(socket.SOCK_STREAM, "/nowhere") is None
