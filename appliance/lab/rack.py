"""A virtual rack of servers on this machine: real firmware, real PXE, Redfish BMCs, all in namespaces of its own.

Nothing of the host's network changes, racks do not see each other, and all of a rack is gone with the process
that started it, however that one ended.
"""

import ctypes
import os
import select
import shutil
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired
from types import TracebackType
from typing import IO, Self, TypeVar

import appliance
from appliance.errors import InnervateError, MachineryError, NotFoundError, UsageError
from appliance.lab.spec import RackNode, RackSpec, RackState
from appliance.lab.supervisor import STATE_FILE
from appliance.model.codec import from_json, to_json

T = TypeVar("T")
Stream = int | IO[bytes] | None

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_CLONE_NEWNET = 0x40000000
_TOOLS = ("ip", "qemu-system-x86_64", "setpriv", "unshare")
_NAMESPACES = ("--net", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc")


class Rack:
    """Made by `start`. The kernel ends the rack with the *thread* that started it: use one that lives on."""

    def __init__(self, spec: RackSpec, state: RackState, supervisor: Popen[bytes]) -> None:
        self.spec = spec
        self.nodes = state.nodes
        self.accelerator = state.accelerator
        self._supervisor = supervisor

    @classmethod
    def start(cls, spec: RackSpec) -> Self:
        """Returns when every BMC answers; all nodes are off. A folder that is there already is used again,
        with the disks and the NVRAM in it.

        Raises `UsageError` without root or the tools, `MachineryError` when the rack does not come up.
        """
        _check_host(spec)
        spec.workdir.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = spec.workdir / "spec.json"
        file.write_bytes(to_json(spec))
        log = spec.workdir / "supervisor.log"
        supervisor = _spawn(file, log)
        try:
            _await_ready(supervisor, log)
            state = from_json(RackState, (spec.workdir / STATE_FILE).read_bytes())
        except (InnervateError, OSError):
            _stop(supervisor)
            raise
        return cls(spec, state, supervisor)

    def node(self, name: str) -> RackNode:
        for node in self.nodes:
            if node.spec.name == name:
                return node
        raise NotFoundError(f"the rack has no {name}", evidence=", ".join(node.spec.name for node in self.nodes))

    def console(self, node: RackNode) -> Path:
        """The log of the serial console, of every boot so far; it is there from the first power-on."""
        return node.spec.console

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Popen[bytes]:
        """Starts a command inside the rack's network, pid and mount namespaces.

        Terminating the result terminates the command; killing it kills the command. Its exit status is the
        command's, or 128 + the signal that ended it.
        """
        enter = Path(__file__).with_name("enter.py")
        command = [sys.executable, "-I", str(enter), str(self._supervisor.pid), str(cwd or Path.cwd()), *argv]
        return Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, env=env)

    @property
    def network(self) -> Path:
        """The network namespace, for programs that enter it themselves."""
        return Path(f"/proc/{self._supervisor.pid}/ns/net")

    def inside(self, function: Callable[[], T]) -> T:
        """Calls `function` on a thread whose sockets are made in the rack's network."""
        results: list[T] = []
        failures: list[BaseException] = []
        thread = threading.Thread(target=self._inside, args=(function, results, failures), name="rack")
        thread.start()
        thread.join()
        if failures:
            raise failures[0]
        return results[0]

    def stop(self) -> None:
        """Everything in the rack is gone when this returns. May be called again."""
        _stop(self._supervisor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _inside(self, function: Callable[[], T], results: list[T], failures: list[BaseException]) -> None:
        try:
            _join_network(self._supervisor.pid)
            results.append(function())
        except BaseException as error:
            failures.append(error)


def _check_host(spec: RackSpec) -> None:
    if os.geteuid() != 0:
        raise UsageError("a virtual rack needs root for its namespaces and taps", next_action="run it with sudo")
    tools = (*_TOOLS, "swtpm") if spec.tpms else _TOOLS
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        packages = [*Path(__file__).with_name("packages.txt").read_text().split(), *(("swtpm",) if spec.tpms else ())]
        action = f"apt install {' '.join(packages)}"
        raise UsageError("a virtual rack needs more tools", evidence=", ".join(missing), next_action=action)
    if not Path("/dev/net/tun").exists():
        raise UsageError("there is no /dev/net/tun", next_action="modprobe tun")


def _spawn(file: Path, log: Path) -> Popen[bytes]:
    supervisor = [sys.executable, "-m", "appliance.lab.supervisor", str(file)]
    argv = ["setpriv", "--pdeathsig", "KILL", "unshare", *_NAMESPACES, *supervisor]
    home = Path(appliance.__file__).parents[1]
    with log.open("wb") as errors:
        return Popen(argv, stdin=PIPE, stdout=PIPE, stderr=errors, cwd=home)


def _await_ready(supervisor: Popen[bytes], log: Path) -> None:
    said = b""
    if supervisor.stdout and select.select([supervisor.stdout], [], [], _START_SECONDS)[0]:
        said = supervisor.stdout.readline()
    if said != b"ready\n":
        tail = log.read_text(errors="replace")[-1000:]
        raise MachineryError("the virtual rack did not come up", evidence=tail, next_action=f"read {log}")


def _stop(supervisor: Popen[bytes]) -> None:
    """`unshare` blocks SIGTERM while it waits for the supervisor, which leaves at the end of its input instead.

    It outlives the supervisor, and that one, as process 1, outlives everything else in the rack.
    """
    for stream in (supervisor.stdin, supervisor.stdout):
        if stream is not None:
            stream.close()
    try:
        supervisor.wait(_STOP_SECONDS)
    except TimeoutExpired:
        supervisor.kill()
        supervisor.wait()


def _join_network(pid: int) -> None:
    file = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(file, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise MachineryError("cannot enter the rack's network", evidence=os.strerror(number))
    finally:
        os.close(file)
