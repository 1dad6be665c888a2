"""Where a bench runs: a process, mount and network namespace of its own, with a second network for the server.

Everything dies with the process that `./run bench` became: its death kills `unshare`, which takes the whole process
namespace down, and the networks go with their last process. Nothing of the machine is changed but a cache folder.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from tests.bench.errors import BenchError

CACHE = Path.home() / ".cache/innervate/bench"
WORK = CACHE / "work"

DEVICE = "bench-server"
NETWORK = IPv4Network("10.77.0.0/16")
SERVER = IPv4Address("10.77.0.1")
RELAY = IPv4Address("10.77.0.2")
POOL_FIRST = IPv4Address("10.77.1.0")
POOL_LAST = IPv4Address("10.77.199.255")
FIRST_CLIENT = IPv4Address("10.77.254.1")
CLIENTS = 200
HTTP_PORT = 80

SERVER_CPU, CLIENT_CPU = 0, 1

_CLIENT_DEVICE = "bench-client"
_NAMESPACE = "/run/netns/server"
_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """`folder` is on a real disk and empty; each run makes its own below it."""

    folder: Path

    def on_server(self, argv: Sequence[str]) -> tuple[str, ...]:
        return ("nsenter", f"--net={_NAMESPACE}", "--", "taskset", "--cpu-list", str(SERVER_CPU), *argv)

    def on_client(self, argv: Sequence[str]) -> tuple[str, ...]:
        return ("taskset", "--cpu-list", str(CLIENT_CPU), *argv)


def claim() -> int:
    """One bench at a time: the file that is returned holds the lock while it is open."""
    CACHE.mkdir(parents=True, exist_ok=True)
    lock = os.open(CACHE / "lock", os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as cause:
        raise BenchError(
            "another bench is running on this machine: wait for it, they would disturb each other"
        ) from cause
    return lock


def enter(arguments: Sequence[str], lock: int) -> int:
    """The bench inside its namespaces; its exit status. `unshare` ignores SIGTERM, so it is told to die with us."""
    if not {SERVER_CPU, CLIENT_CPU} <= os.sched_getaffinity(0):
        raise BenchError("a bench needs CPU 0 for the server and CPU 1 for the load")
    bound = ("setpriv", "--pdeathsig", "KILL", "--", "unshare", "--fork", "--kill-child", "--mount-proc")
    spaces = ("--net", "--mount", "--pid", "--")
    inside = (sys.executable, "-m", "tests.bench", *arguments, "--inside")
    return subprocess.run([*bound, *spaces, *inside], pass_fds=(lock,), check=False).returncode


@contextmanager
def make() -> Iterator[Lab]:
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    _join()
    try:
        yield Lab(folder=WORK)
    finally:
        shutil.rmtree(WORK, ignore_errors=True)


def _join() -> None:
    """Names of network namespaces live in a private /run, so that even a killed bench leaves none behind."""
    _do("mount", "-t", "tmpfs", "tmpfs", "/run")
    _do("ip", "netns", "add", "server")
    _do("ip", "link", "add", _CLIENT_DEVICE, "type", "veth", "peer", "name", DEVICE, "netns", "server")
    _do("ip", "-n", "server", "address", "add", f"{SERVER}/{NETWORK.prefixlen}", "dev", DEVICE)
    own = [RELAY, *(FIRST_CLIENT + i for i in range(CLIENTS))]
    lines = "".join(f"address add {address}/{NETWORK.prefixlen} dev {_CLIENT_DEVICE}\n" for address in own)
    _do("ip", "-batch", "-", stdin=lines)
    for prefix, device in ((("ip", "-n", "server"), DEVICE), (("ip",), _CLIENT_DEVICE)):
        _do(*prefix, "link", "set", "lo", "up")
        _do(*prefix, "link", "set", device, "up")


def _do(*argv: str, stdin: str = "") -> None:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        raise BenchError(f"{' '.join(argv)}: {done.stderr.strip()[:300]}")
