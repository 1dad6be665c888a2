"""Nodes without virtual machines: Debian 13 with its own systemd as process 1, in namespaces and control groups.

    ground      a network namespace with a bridge, where the appliance's side of a test runs, and nobody else
    node        network, mount, pid, uts, ipc and cgroup namespaces; the packages of the image `debian-13` without its
                kernel; entered by its real sshd, with a key, as an installed machine is

All of it ends with the process that made it, however that one ends: the ground's first process dies with it, and with
that one everything in its pid namespace. Memory holds what nodes write; control groups are removed, or swept later.
"""

import ctypes
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from appliance.lab import enter
from tests.cluster.groups import Groups

GATEWAY = IPv4Interface("10.77.0.1/24")
"""The appliance's address on the ground."""
_CLONE_NEWNET = 0x40000000
_NODE = Path(__file__).with_name("node.sh")
_NAMESPACES = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_START_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    name: str
    address: IPv4Address


def nodes(*names: str) -> tuple[Node, ...]:
    """From the eleventh address on."""
    return tuple(Node(name=name, address=GATEWAY.ip + 10 + number) for number, name in enumerate(names))


class CommandError(Exception):
    """A command on a node failed: what it said."""


class Ground:
    """Made by `ground`. `key` is the private key that opens every node."""

    def __init__(self, folder: Path, key: Path, tree: Path, host_key: str, groups: Groups, pid: int) -> None:
        self.folder, self.key, self.host_key = folder, key, host_key
        self._tree, self._seed, self._groups, self._pid = tree, folder / "seed", groups, pid
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Sockets that this thread opens meanwhile are on the ground."""
        libc = ctypes.CDLL(None, use_errno=True)
        with Path("/proc/thread-self/ns/net").open() as home, Path(f"/proc/{self._pid}/ns/net").open() as there:
            assert libc.setns(there.fileno(), _CLONE_NEWNET) == 0
            try:
                yield
            finally:
                assert libc.setns(home.fileno(), _CLONE_NEWNET) == 0

    @property
    def entered(self) -> tuple[str, ...]:
        """What a command begins with that sees this machine's files and the ground's network."""
        return ("nsenter", f"--net=/proc/{self._pid}/ns/net")

    def run(self, *argv: str, log: str) -> subprocess.Popen[bytes]:
        """A program on the ground; what it says goes to that file."""
        command = [sys.executable, "-I", str(enter.__file__), str(self._pid), str(self.folder), *argv]
        with (self.folder / log).open("ab") as said:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)

    def start(self, node: Node) -> None:
        """Returns when its sshd answers."""
        scratch, listed = self.folder / node.name, self.folder / f"{node.name}.groups"
        scratch.mkdir(exist_ok=True)
        folders = zip(self._groups.make(node.name), self._groups.hierarchies, strict=True)
        listed.write_text("".join(f"{path} {one.kind} {one.options} {one.place}\n" for path, one in folders))
        self._running[node.name] = self.run(
            *("sh", str(_NODE), "enter", node.name, str(self._tree), str(scratch), str(listed), str(self._seed)),
            log=f"{node.name}.log",
        )
        self._await(node)

    def cut(self, node: Node) -> None:
        """As when its power fails: nothing of it runs any more. What it wrote is there when it is started again."""
        running = self._running.pop(node.name)
        running.kill()
        running.wait()

    def replace_disk(self, node: Node) -> None:
        """Of a node that does not run: it starts as on its first day."""
        assert self.run("umount", "--lazy", str(self.folder / node.name), log=f"{node.name}.log").wait(10) == 0

    def stop(self) -> None:
        """Cuts every node."""
        for running in self._running.values():
            running.kill()
            running.wait()
        self._running.clear()

    def ssh(self, node: Node, *argv: str, stdin: bytes = b"", seconds: float = 60.0) -> str:
        """Raises CommandError when it ends with another status than 0."""
        done = self._ssh(node, argv, stdin, seconds)
        if done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace")
            raise CommandError(f"{node.name}: {' '.join(argv)} ended with {done.returncode}\n{said[-6000:]}")
        return done.stdout.decode(errors="replace")

    def _ssh(self, node: Node, argv: Sequence[str], stdin: bytes, seconds: float) -> subprocess.CompletedProcess[bytes]:
        known = self.folder / "known_hosts"
        options = ("BatchMode=yes", f"UserKnownHostsFile={known}", "StrictHostKeyChecking=yes", "ConnectTimeout=5")
        words = [word for option in options for word in ("-o", option)]
        command = [
            *self.entered,
            "ssh",
            "-F",
            "none",
            "-i",
            str(self.key),
            *words,
            f"root@{node.address}",
            "--",
            shlex.join(argv),
        ]
        return subprocess.run(command, input=stdin, capture_output=True, timeout=seconds, check=False)

    def _await(self, node: Node) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while (done := self._ssh(node, ("true",), b"", 10)).returncode:
            log = (self.folder / f"{node.name}.log").read_text(errors="replace")
            ended = self._running[node.name].poll()
            assert ended is None, f"{node.name} ended with {ended}: {log[-2000:]}"
            assert time.monotonic() < deadline, f"{node.name} does not answer: {done.stderr.decode()}\n{log[-2000:]}"
            time.sleep(0.1)


@contextmanager
def ground(folder: Path, tree: Path, members: Sequence[Node], *, unified: bool = False) -> Iterator[Ground]:
    """`tree` is a root file system with an SSH server that is started at boot, see `tree.py`; nothing is written to it.
    Nodes are not started yet. `unified`: they have version 2 of control groups, whatever this machine has."""
    groups = Groups(folder.name, unified=unified)
    groups.sweep()
    with ExitStack() as stack:
        stack.callback(groups.remove)
        first = stack.enter_context(_namespaces(members))
        key, host_key = _keys(folder, members)
        made = Ground(folder, key, tree, host_key, groups, first.pid)
        stack.callback(made.stop)
        yield made


@contextmanager
def _namespaces(members: Sequence[Node]) -> Iterator[subprocess.Popen[bytes]]:
    """The process that holds them, which ends with this one, or with its standard input."""
    argv = ["setpriv", "--pdeathsig", "KILL", "unshare", *_NAMESPACES, "sh", "-c", _GROUND]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        try:
            first.stdin.write(_network(members).encode() + b"\n\n")
            first.stdin.flush()
            assert first.stdout.readline() == b"ready\n", "the ground's network could not be made"
            yield first
        finally:
            # It ends with its standard input, and unshare with it: then nothing of the namespaces runs any more.
            first.stdin.close()
            first.wait()


# Named network namespaces are files below /run: in a /run of the ground's own nobody else sees them.
_GROUND = """\
mount -t tmpfs tmpfs /run
while read -r line && [ -n "$line" ]; do ip $line || exit 1; done
echo ready
exec cat >/dev/null
"""


def _network(members: Sequence[Node]) -> str:
    lines = [
        "link set lo up",
        "link add br0 type bridge stp_state 0 forward_delay 0",
        f"addr add {GATEWAY} dev br0",
        "link set br0 up",
    ]
    for number, node in enumerate(members):
        peer = f"peer name eth0 address 52:54:00:00:02:{number:02x} netns {node.name}"
        lines += [
            f"netns add {node.name}",
            f"link add port{number} type veth {peer}",
            f"link set port{number} master br0 up",
            f"-n {node.name} link set lo up",
            f"-n {node.name} addr add {node.address}/{GATEWAY.network.prefixlen} dev eth0",
            f"-n {node.name} link set eth0 up",
            f"-n {node.name} route add default via {GATEWAY.ip}",
        ]
    return "\n".join(lines)


def _keys(folder: Path, members: Sequence[Node]) -> tuple[Path, str]:
    """A key that opens the nodes, and the public line of the host key that all of them have. What of it nodes are to
    have lies in `seed`, as in their own root."""
    key, host = folder / "key", folder / "seed/etc/ssh/ssh_host_ed25519_key"
    host.parent.mkdir(parents=True)
    for path in (key, host):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ground", "-f", str(path)]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
    authorized = folder / "seed/root/.ssh/authorized_keys"
    authorized.parent.mkdir(parents=True, mode=0o700)
    authorized.write_text(key.with_suffix(".pub").read_text())
    line = host.with_suffix(".pub").read_text().strip()
    (folder / "known_hosts").write_text("".join(f"{node.address} {line}\n" for node in members))
    return key, line
