"""The menu on a terminal of its own (`pty`), as a serial line gives it: bytes in, bytes out."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.api.fake import FakeApplication, Served
from appliance.model.views import Errand, PowerAction, RunState
from tests.failures import TEN, scene_of, show
from tests.unit.appliance.tui.rack import begin, discover, errand, install

PATIENCE = 60.0
REFRESH = 2048


class Line:
    """A terminal at the end of a line, and all that it was sent."""

    def __init__(self, terminal: int, process: subprocess.Popen[bytes]) -> None:
        self._terminal = terminal
        self._process = process
        self._mark = 0
        self.seen = b""

    def sees(self, *texts: str) -> str:
        """Until one of `texts` has come; returns what came since the one before."""
        end = time.monotonic() + PATIENCE
        while not (found := [at for text in texts if (at := self._end_of(text)) >= 0]):
            if not select.select([self._terminal], [], [], max(0.0, end - time.monotonic()))[0]:
                pytest.fail(f"{texts} did not come:\n{self.seen.decode(errors='replace')}")
            self.seen += os.read(self._terminal, 4096)
        start, self._mark = self._mark, min(found)
        return self.seen[start : self._mark].decode("ascii")

    def _end_of(self, text: str) -> int:
        at = self.seen.find(text.encode(), self._mark)
        return at + len(text) if at >= 0 else -1

    def interrupt(self) -> None:
        """As Ctrl-C on the terminal that the program belongs to."""
        self._process.send_signal(signal.SIGINT)

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode() + b"\n")


@contextmanager
def menu(socket_path: Path, term: str = "vt100") -> Iterator[Line]:
    ours, theirs = pty.openpty()
    # Whoever started the tests in the background has them ignore Ctrl-C, and what they start as well.
    heeding = ("env", "--default-signal=INT")
    argv = [*heeding, sys.executable, "-m", "appliance.main", "--socket", str(socket_path), "menu"]
    environment = os.environ | {"TERM": term, "LC_ALL": "C"}
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        line = Line(ours, process)
        try:
            yield line
            line.type("0")
            process.wait(PATIENCE)
        finally:
            process.kill()
            os.close(ours)
    check(line.seen)


def check(seen: bytes) -> None:
    """ASCII and line ends alone, at most 80 columns, and never more than 2 kB before a person has typed."""
    assert set(seen) <= set(range(0x20, 0x7F)) | {0x0D, 0x0A}
    rows = seen.decode("ascii").replace("\r", "").split("\n")
    assert max(map(len, rows)) <= 80
    refreshes = re.split(rb"(?:Number|leaves|more, q: enough --|all|Enter alone leaves)[^\n]*\n", seen)
    assert max(map(len, refreshes)) <= REFRESH


def test_status_details_and_explanation(socket_path: Path, server: Served, application: FakeApplication) -> None:
    begin(server, application)
    with menu(socket_path) as line:
        status = line.sees("Number: ")
        for text in ("site lab", "boot network, since", "[!] node-1 failed", "[H] node-3 held", "run run-1"):
            assert text in status
        line.type("3")
        line.sees("Machine, Enter alone leaves: ")
        line.type("node-0")
        assert "45% 450 MB of 1.0 GB, 38 MB/s" in line.sees("enough -- ")
        line.type("")
        assert "hello of" not in line.sees("Number: ")
        line.type("4")
        line.sees("leaves: ")
        line.type("2")
        assert "node-1 is enrolling" in line.sees("Number: ")
        line.type("5")
        line.sees("of all: ")
        line.type("node-0")
        assert "node-0 noted: ACK 10.77.0.50" in line.sees("Number: ")


def test_provision(socket_path: Path, server: Served, application: FakeApplication) -> None:
    application.plans = [discover("node-2"), install("node-2")]
    application.broken = application.slow = frozenset()
    with menu(socket_path) as line:
        line.sees("Number: ")
        line.type("2")
        assert "Nothing is destroyed" in line.sees("anything else to leave: ")
        line.type("lab")
        second = line.sees("anything else to leave: ")
        assert "run run-1 done" in second
        assert "! node-2: write debian-13 to DISK0000" in second
        line.type("no")
        assert "not applied" in line.sees("Number: ")
    assert len(application.runs().runs) == 1


def test_a_stale_plan_is_shown_anew(socket_path: Path, server: Served, application: FakeApplication) -> None:
    application.plans = [install("node-2", digest="01" * 32), *(install("node-2", digest=d * 32) for d in ("02", "03"))]
    application.slow = frozenset()
    with menu(socket_path) as line:
        line.sees("Number: ")
        line.type("2")
        line.sees("leave: ")
        server.do(application.make_plan())
        line.type("lab")
        anew = line.sees("leave: ")
        assert "the plan is stale" in anew
        assert f"plan {'03' * 6}" in anew
        line.type("lab")
        line.sees("run run-1 done")
        line.sees("Number: ")


def test_the_watching_ends_and_the_run_does_not(
    socket_path: Path, server: Served, application: FakeApplication
) -> None:
    with menu(socket_path) as line:
        line.sees("Number: ")
        line.type("2")
        line.sees("enough -- ")
        line.type("")
        assert "worker: 1 of 2 missing" in line.sees("leave: ")
        line.type("lab")
        assert "node-0 deploying" in line.sees("node-4 retired")
        line.interrupt()
        assert "run run-1 goes on; 1 shows it" in line.sees("Number: ")
    assert application.runs().runs[0].state is RunState.RUNNING


def test_power_and_hold(socket_path: Path, server: Served, application: FakeApplication) -> None:
    with menu(socket_path) as line:
        line.sees("Number: ")
        for name, sees in (("y", "the name was not typed"), ("node-2", "power cycle is run run-1")):
            line.type("6")
            line.sees("Machine, Enter alone leaves: ")
            line.type("node-2")
            line.sees("Number, Enter alone leaves: ")
            line.type("4")
            line.sees("Type the machine's name (node-2)")
            line.type(name)
            assert sees in line.sees("Number: ")
        line.type("7")
        line.sees("leaves: ")
        line.type("node-2")
        line.sees("Why? Enter alone leaves: ")
        line.type("its fan is loud")
        assert "node-2 is held." in line.sees("Number: ")
    assert application.powered == [("node-2", PowerAction.CYCLE)]
    assert application.inventory["node-2"].conditions[0].reason == "its fan is loud"


def test_errands(socket_path: Path, server: Served, application: FakeApplication) -> None:
    """What destroys something asks for the machine's name, what does not for a y; all show their plan first."""
    rescue = discover("node-2")
    application.errands = {
        Errand.WIPE: [errand("node-2", "wipe node-2")] * 2,
        Errand.RESCUE: [replace(rescue, deferred=())],
    }
    with menu(socket_path) as line:
        line.sees("Number: ")
        for number, plan, asks, answer, sees in (
            ("2", "! node-2: wipe disk DISK0001", "anything else to leave: ", "node-1", "not applied"),
            ("2", "! node-2: wipe disk DISK0001", "anything else to leave: ", "node-2", "run run-1 done"),
            ("4", "Nothing is destroyed.", "Enter alone leaves: ", "", "Left."),
            ("4", "Nothing is destroyed.", "Enter alone leaves: ", "y", "run run-2 done"),
        ):
            line.type("8")
            line.sees("Machine, Enter alone leaves: ")
            line.type("node-2")
            line.sees("Number, Enter alone leaves: ")
            line.type(number)
            assert plan in line.sees(asks)
            line.type(answer)
            assert sees in line.sees("Number: ")
    assert len(application.runs().runs) == 2


def test_without_a_daemon(tmp_path: Path) -> None:
    with menu(tmp_path / "none.sock") as line:
        seen = line.sees("Number: ")
        assert "the daemon does not answer" in seen
        assert "start it: `innervate daemon" in seen.replace("\r\n    ", " ")
        line.type("1")
        assert "the daemon does not answer" in line.sees("Number: ")


def test_a_great_rack_comes_a_screenful_at_a_time(
    socket_path: Path, server: Served, application: FakeApplication
) -> None:
    for number in range(10, 90):
        name = f"node-{number}"
        application.inventory[name] = replace(application.inventory["node-1"], name=name)
    with menu(socket_path) as line:
        line.sees("enough -- ")
        line.type("")
        line.sees("enough -- ")
        line.type("q")
        line.sees("Number: ")


@pytest.mark.parametrize("name", TEN)
def test_a_failure_shows_its_cause_and_what_to_do(
    name: str, socket_path: Path, server: Served, application: FakeApplication
) -> None:
    application.inventory, application.segment = {}, []
    scene = show(application, scene_of(name))
    shown = scene.condition
    with menu(socket_path) as line:
        status = flat(line.sees("Number: "))
        assert shown.reason in status
        assert f"next: {shown.next_action}" in status
        assert scene.beside in status
        line.type("3")
        line.sees("leaves: ")
        line.type("1")
        seen = flat(line.sees("Why it is"))
        assert f"seen: {flat(shown.evidence)}" in seen
        if "Number: " not in line.sees("enough -- ", "Number: "):
            line.type("q")
            line.sees("Number: ")


def flat(text: str) -> str:
    return " ".join(text.split())
