"""An address that moves between two machines with Debian's keepalived and haproxy, seen from a third that asks all the
time: what is between the last answer before and the first one after is how long it was away."""

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest

from appliance.balancer.config import Paths
from appliance.balancer.config import rendered as haproxy_cfg
from appliance.balancer.vip import NONLOCAL, look
from appliance.balancer.vip import rendered as keepalived_conf
from appliance.model.balancer import Backend, Balancing, HttpsCheck, Listener, Vip, VipMember
from tests.contract.balancing import HAPROXY, KEEPALIVED, api_server, papers, program
from tests.contract.segment import DEVICE, inside, ip, segment

SHARED = IPv4Interface("10.99.0.10/24")
ALIVE, PORT, API = 8405, 8443, 6443
AWAY_SECONDS = 4.0
MEMBERS = (
    VipMember(name="node-0", address=IPv4Address("10.99.0.11"), priority=110),
    VipMember(name="node-1", address=IPv4Address("10.99.0.12"), priority=100),
)
VIP = Vip(name="api", address=SHARED, device=DEVICE, router=51, members=MEMBERS, alive=ALIVE)
BALANCING = Balancing(
    address=SHARED.ip,
    listeners=(
        Listener(
            name="api",
            port=PORT,
            backends=tuple(Backend(name=one.name, address=one.address, port=API) for one in MEMBERS),
            check=HttpsCheck(),
        ),
    ),
    alive=ALIVE,
)


@dataclass(kw_only=True)
class Node:
    """A control plane: its balancer and its keepalived, which systemd would start again."""

    member: VipMember
    namespace: str
    folder: Path
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def port(self) -> str:
        """Of the switch."""
        return f"port{MEMBERS.index(self.member)}"

    def lay_out(self) -> None:
        self.folder.mkdir()
        paths = Paths(admin=Path(f"/run/{self.namespace}.admin"), states=self.folder / "states")
        paths.states.write_text("1\n")
        (self.folder / "haproxy.cfg").write_text(haproxy_cfg(BALANCING, paths))
        check = self.folder / "look"
        check.write_text(look(VIP))
        check.chmod(0o755)
        (self.folder / "keepalived.conf").write_text(keepalived_conf(VIP, self.member, str(check)))
        name, _, value = NONLOCAL.strip().partition(" = ")
        self.call("sysctl", "-q", "-w", f"{name}={value}")

    def call(self, *argv: str) -> str:
        words = ["ip", "netns", "exec", self.namespace, *argv]
        return subprocess.run(words, check=True, capture_output=True, text=True, timeout=30).stdout

    def start(self, *names: str) -> None:
        for name in names or ("haproxy", "keepalived"):
            log = (self.folder / f"{name}.log").open("ab")
            argv = ["ip", "netns", "exec", self.namespace, *self._argv(name)]
            self.running[name] = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
            log.close()

    def _argv(self, name: str) -> tuple[str, ...]:
        if name == "haproxy":
            return (*program("haproxy", HAPROXY), "-db", "-f", str(self.folder / "haproxy.cfg"))
        pids = [f"--{kind}={self.folder}/{kind}" for kind in ("pid", "vrrp_pid")]
        flags = ("--dont-fork", "--log-console", "--log-detail", "--vrrp", *pids)
        return (*program("keepalived", KEEPALIVED), *flags, "--use-file", str(self.folder / "keepalived.conf"))

    def kill(self, name: str) -> None:
        """All of its processes, and none says goodbye: keepalived's child would hear that its parent is gone."""
        process, child = self.running.pop(name), self.folder / "vrrp_pid"
        children = [int(child.read_text())] if name == "keepalived" and child.exists() else []
        for pid in children:
            os.kill(pid, signal.SIGSTOP)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        child.unlink(missing_ok=True)

    @property
    def holds(self) -> bool:
        return str(SHARED.ip) in ip("-n", self.namespace, "-4", "addr", "show", "dev", DEVICE)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()[-2000:]


class Asker(threading.Thread):
    """Opens a connection to the address again and again; notes when each was answered."""

    def __init__(self, namespace: str) -> None:
        super().__init__()
        self.answers: list[float] = []
        self._namespace, self._ended = namespace, threading.Event()

    def run(self) -> None:
        import socket

        with inside(self._namespace):
            while not self._ended.wait(0.02):
                try:
                    socket.create_connection((str(SHARED.ip), PORT), timeout=0.3).close()
                except OSError:
                    continue
                self.answers.append(time.monotonic())

    def stop(self) -> None:
        self._ended.set()
        self.join()

    def longest_gap(self, since: float) -> float:
        times = [moment for moment in self.answers if moment >= since]
        return max(after - before for before, after in zip([since, *times], times, strict=False))


@dataclass(kw_only=True)
class Pair:
    nodes: tuple[Node, Node]
    asker: Asker
    switch: str

    @property
    def holders(self) -> list[Node]:
        return [node for node in self.nodes if node.holds]

    def until(self, holds: Callable[[], bool], seconds: float = 10) -> None:
        began = time.monotonic()
        while not holds():
            assert time.monotonic() - began < seconds, [node.log("keepalived") for node in self.nodes]

    def away(self, during: Callable[[], None], settled: Callable[[], bool]) -> float:
        """How long nobody answered, from `during` until things are `settled` and asked for some time."""
        began = time.monotonic()
        during()
        self.until(settled)
        asked = len(self.asker.answers) + 20
        self.until(lambda: len(self.asker.answers) >= asked)
        return self.asker.longest_gap(began)


@contextmanager
def _pair(folder: Path) -> Iterator[Pair]:
    context = papers(folder)
    addresses = {one.name: f"{one.address}/24" for one in MEMBERS} | {"client": "10.99.0.100/24"}
    with segment(addresses) as names, ExitStack() as stack:
        nodes = [Node(member=one, namespace=names[one.name], folder=folder / one.name) for one in MEMBERS]
        for node in nodes:
            stack.enter_context(api_server(node.member.name, str(node.member.address), API, context, node.namespace))
            node.lay_out()
            stack.callback(lambda node=node: [node.kill(name) for name in tuple(node.running)])
            node.start()
        asker = Asker(names["client"])
        asker.start()
        stack.callback(asker.stop)
        pair = Pair(nodes=(nodes[0], nodes[1]), asker=asker, switch=names["client"].removesuffix("-client"))
        pair.until(lambda: len(pair.holders) == 1 and len(asker.answers) > 5, 20)
        yield pair


# Of a connection that is reset before it was accepted, Python's ssl leaves a socket to its garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.alone
@pytest.mark.long
def test_the_address_moves_and_is_never_in_two_places(tmp_path: Path) -> None:
    with _pair(tmp_path) as pair:
        (first,) = pair.holders  # whoever was well first
        (second,) = (node for node in pair.nodes if node is not first)

        def unplug(node: Node) -> None:
            """No frame passes; the carrier stays, so that nobody is told."""
            ip("-n", pair.switch, "link", "set", node.port, "nomaster")

        def plug(node: Node) -> None:
            ip("-n", pair.switch, "link", "set", node.port, "master", "br0")

        away = {}

        away["haproxy killed"] = pair.away(lambda: first.kill("haproxy"), lambda: pair.holders == [second])
        first.start("haproxy")
        pair.until(lambda: "Entering BACKUP STATE" in first.log("keepalived").rpartition("FAULT")[2])
        assert pair.holders == [second], "nobody takes it back from one that is well"

        def power_cut() -> None:
            second.kill("keepalived")
            second.kill("haproxy")
            unplug(second)

        away["power cut"] = pair.away(power_cut, lambda: first.holds)
        assert second.holds, "what was killed took nothing off"
        ip("-n", second.namespace, "addr", "del", str(SHARED), "dev", DEVICE)  # a machine that starts anew has none
        plug(second)
        second.start()
        pair.until(lambda: "Entering BACKUP STATE" in second.log("keepalived").rpartition("Starting Keepalived")[2])

        away["keepalived killed -9"] = pair.away(lambda: first.kill("keepalived"), lambda: second.holds)
        first.start("keepalived")  # as systemd does: what the dead one left on the device is taken off
        pair.until(lambda: pair.holders == [second])

        unplug(first)
        pair.until(lambda: len(pair.holders) == 2)  # each believes that the other is gone
        away["healed"] = pair.away(lambda: plug(first), lambda: len(pair.holders) == 1)
        logging.getLogger(__name__).info("away: %s", {name: round(seconds, 2) for name, seconds in away.items()})
        assert max(away.values()) < AWAY_SECONDS, away


def test_keepalived_takes_what_is_rendered(tmp_path: Path) -> None:
    with segment({"node-0": "10.99.0.11/24"}) as names:
        node = Node(member=MEMBERS[0], namespace=names["node-0"], folder=tmp_path / "node")
        node.lay_out()
        argv = (*program("keepalived", KEEPALIVED), "--config-test", f"--use-file={node.folder}/keepalived.conf")
        assert node.call(*argv) == ""
        (node.folder / "keepalived.conf").write_text("vrrp_instance {\n nonsense\n")
        with pytest.raises(subprocess.CalledProcessError):
            node.call(*argv)
