"""A server under test: started, waited for, its cost read, ended with everything it started."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.errors import BenchError
from tests.bench.lab import Lab

_START_SECONDS = 20.0
_STOP_SECONDS = 5.0
_GRACE_SECONDS = 30.0
_ROOT = Path(__file__).parents[2]
_POLL_SECONDS = 0.02
_TICKS = os.sysconf("SC_CLK_TCK")
_LISTENING = "0A"
_CPUCLOCK_SCHED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """`port` is the one, `udp` or `tcp`, that is bound when the server serves. `files` are written first."""

    argv: Sequence[str]
    udp: int = 0
    tcp: int = 0
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Server:
    """All processes of one session, the server's own and those it started."""

    session: int

    def cpu_seconds(self) -> float:
        """User and system time since the start; that of children which have ended counts as soon as they are reaped."""
        return sum(_cpu_seconds(pid) for pid in _session(self.session))

    def rss_mib(self) -> float:
        return sum(_rss_kib(pid) for pid in _session(self.session)) / 1024


@contextmanager
def serve(lab: Lab, launch: Launch, folder: Path) -> Iterator[Server]:
    """BenchError when it does not come up; always ends it."""
    for name, text in launch.files.items():
        (folder / name).write_text(text)
    log = folder / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            lab.on_server(launch.argv),
            cwd=_ROOT,
            env={**os.environ, **launch.environment},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _await_port(process, launch, log)
            yield Server(process.pid)
            if process.poll() is not None:
                raise BenchError(f"{launch.argv[0]} ended during the run: {_tail(log)}")
        finally:
            _end(process)


def run_to_end(launch: Launch, folder: Path, *, seconds: float) -> str:
    """What a program that ends by itself wrote to standard output. BenchError when it fails or takes too long."""
    log = folder / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            launch.argv,
            cwd=_ROOT,
            env={**os.environ, **launch.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=sink,
            start_new_session=True,
        )
        try:
            out, _ = process.communicate(timeout=seconds + _GRACE_SECONDS)
        except subprocess.TimeoutExpired as cause:
            raise BenchError(f"{launch.argv[0]} does not end: {_tail(log)}") from cause
        finally:
            if process.poll() is None:
                _end(process)
    if process.returncode:
        raise BenchError(f"{launch.argv[0]} failed ({process.returncode}): {_tail(log)}")
    return out.decode(errors="replace")


def _await_port(process: "subprocess.Popen[bytes]", launch: Launch, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _bound(process.pid, launch):
        if process.poll() is not None:
            raise BenchError(f"{launch.argv[0]} ended at once: {_tail(log)}")
        if time.monotonic() > deadline:
            raise BenchError(f"{launch.argv[0]} does not listen after {_START_SECONDS:.0f} s: {_tail(log)}")
        time.sleep(_POLL_SECONDS)


def _bound(pid: int, launch: Launch) -> bool:
    """As the server's own network sees it."""
    return (not launch.udp or launch.udp in _ports(pid, "udp", "")) and (
        not launch.tcp or launch.tcp in _ports(pid, "tcp", _LISTENING)
    )


def _ports(pid: int, table: str, state: str) -> set[int]:
    try:
        lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    except OSError:
        return set()
    rows = (line.split() for line in lines)
    return {int(row[1].rpartition(":")[2], 16) for row in rows if not state or row[3] == state}


def _end(process: "subprocess.Popen[bytes]") -> None:
    _signal(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    for pid in _session(process.pid):
        _signal(pid, signal.SIGKILL)
    process.wait(_STOP_SECONDS)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _tail(log: Path) -> str:
    return log.read_text(errors="replace").strip()[-400:] or "it said nothing"


def _session(session: int) -> list[int]:
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return [pid for pid in pids if (fields := _stat(pid)) and int(fields[3]) == session]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the command name, from `state` on; empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _cpu_seconds(pid: int) -> float:
    """The process's own clock has nanoseconds, /proc only ticks of 10 ms: those serve for reaped children."""
    fields = _stat(pid)
    try:
        own = time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)
    except OSError:
        return 0.0
    return own + sum(map(int, fields[13:15])) / _TICKS


def _rss_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
