"""The terminal interface itself on a pty: which bytes a Linux console, and a VT100, really get."""

import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from fcntl import ioctl
from pathlib import Path

import pytest

from appliance.api.fake import FakeApplication, Served
from appliance.tui.terminal import CP437
from tests.unit.appliance.tui.rack import begin

PATIENCE = 30.0
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\].*?(?:\x07|\x1b\\)|[PX^_].*?\x1b\\|[ -/]*[0-~])", re.DOTALL)
# ECMA-48 and VT100: clear, erase in line, cursor position, attributes; DEC private: cursor (25), line wrap (7).
_PLAIN = re.compile(r"\x1b\[(?:2J|\d*(?:;\d+)?H|[\d;]*m|K|\?25[hl]|\?7[hl])")
# Attributes, the eight colours and the default; their bright ones.
_SGR = re.compile(r"\x1b\[([\d;]*)m")
_SIXTEEN = {str(code) for code in (0, 1, 7, 39, 49, *range(30, 38), *range(40, 48), *range(90, 98), *range(100, 108))}


def recorded(socket_path: Path, environment: Mapping[str, str], *steps: tuple[str, str]) -> str:
    """All that the terminal was sent, from the start to the end of the program; a step is what is seen, and the keys
    that are pressed then."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    argv = [sys.executable, "-m", "appliance.main", "--socket", str(socket_path), "tui"]
    drop = ("NO_COLOR", "COLUMNS", "LINES")
    variables = {name: value for name, value in os.environ.items() if name not in drop} | dict(environment)
    seen, end = b"", time.monotonic() + PATIENCE
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=variables) as process:
        os.close(theirs)
        try:
            for sees, keys in steps:
                while sees not in _SEQUENCE.sub("", seen.decode(errors="replace")):
                    seen += _some(ours, end) or pytest.fail(f"{sees!r} did not come: {seen!r}")
                os.write(ours, keys.encode())
            while more := _some(ours, end):
                seen += more
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            os.close(ours)
    return seen.decode("utf-8")


def _some(terminal: int, end: float) -> bytes:
    """Empty at the end of the line, or of patience."""
    if not select.select([terminal], [], [], max(0.0, end - time.monotonic()))[0]:
        return b""
    try:
        return os.read(terminal, 65536)
    except OSError:  # EIO: the program has ended
        return b""


@pytest.fixture
def begun(server: Served, application: FakeApplication) -> None:
    begin(server, application)


@pytest.mark.usefixtures("begun")
@pytest.mark.parametrize("term", ["linux", "vt100"])
def test_only_what_a_console_understands(
    term: str, socket_path: Path, server: Served, application: FakeApplication
) -> None:
    sent = recorded(socket_path, {"TERM": term, "PYTHONUTF8": "1"}, ("node-4", "q"))
    server.do(application.tell("", "left"))
    assert {sequence for sequence in _SEQUENCE.findall(sent) if not _PLAIN.fullmatch(sequence)} == set()
    text = _SEQUENCE.sub("", sent)
    glyphs = {character for character in text if not " " <= character <= "~"} - {"\n", "\r"}
    assert glyphs <= (CP437 if term == "linux" else set())
    assert {code for codes in _SGR.findall(sent) for code in codes.split(";") if code} <= _SIXTEEN
    assert sent.rindex("\x1b[?25h") > sent.rindex("\x1b[?25l"), "the cursor is back"


@pytest.mark.usefixtures("begun")
def test_no_color(socket_path: Path, server: Served, application: FakeApplication) -> None:
    sent = recorded(socket_path, {"TERM": "linux", "PYTHONUTF8": "1", "NO_COLOR": "1"}, ("node-4", "q"))
    server.do(application.tell("", "left"))
    assert {code for codes in _SGR.findall(sent) for code in codes.split(";") if code} <= {"0", "1", "7", "39", "49"}
    assert "[!] node-1" in _SEQUENCE.sub("", sent)


@pytest.mark.usefixtures("begun")
def test_keys_of_the_linux_console(socket_path: Path, server: Served, application: FakeApplication) -> None:
    """F1 to F5 of the console are not those of xterm."""
    sent = recorded(
        socket_path, {"TERM": "linux", "PYTHONUTF8": "1"}, ("node-4", "\x1b[[A"), ("provision: plan all", "q")
    )
    server.do(application.tell("", "left"))
    assert "overview: the rack" in _SEQUENCE.sub("", sent)


@pytest.mark.usefixtures("begun")
def test_a_page_is_small(socket_path: Path, server: Served, application: FakeApplication) -> None:
    """From its title to its keys: less than two seconds at 9600 baud."""
    sent = recorded(socket_path, {"TERM": "vt100"}, ("node-4", "?"), ("j k scroll  Esc back", "q"))
    server.do(application.tell("", "left"))
    end = sent.index("j k scroll  Esc back")
    page = sent[sent.rindex("lab: Help", 0, end) : end]
    assert 400 < len(page) < 1800


def test_without_a_terminal(socket_path: Path) -> None:
    argv = [sys.executable, "-m", "appliance.main", "--socket", str(socket_path), "tui"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no terminal here\n  next: use `innervate menu`" in done.stderr
