"""kill -9 of the DHCP server at any moment: whatever it acknowledged is on disk, and it soon answers again."""

import os
import random
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from pxe.boot import Endpoints
from pxe.dhcp.address import UNSPECIFIED, Address
from pxe.dhcp.guards import Guards
from pxe.dhcp.journal import recover
from pxe.dhcp.leases import LeaseState
from pxe.dhcp.packet import DhcpPacket, MessageType, Option, pack, parse
from pxe.dhcp.server import DhcpServer
from pxe.dhcp.subnet import DhcpConfig, Subnet
from tests.contract.segment import DEVICE, RealClock, inside, segment

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

SERVER, RELAY = IPv4Address("10.20.0.1"), IPv4Address("10.20.0.2")
CONFIG = DhcpConfig(
    local=(
        Subnet(
            network=IPv4Network("10.20.0.0/16"),
            server=SERVER,
            pool_first=IPv4Address("10.20.1.0"),
            pool_last=IPv4Address("10.20.240.255"),
        ),
    )
)
OUTSTANDING = 32
BACK_WITHIN = 5.0


class Rack:
    """A relay and any number of machines behind it. `acknowledged` is all that the server ever promised."""

    def __init__(self, sock: socket.socket, seed: int) -> None:
        self._sock = sock
        self._rng = random.Random(seed)
        self.acknowledged: dict[bytes, Address] = {}

    def storm(self, seconds: float) -> None:
        """New machines ask without a pause."""
        end = time.monotonic() + seconds
        for _ in range(OUTSTANDING):
            self._ask(MessageType.DISCOVER, self._rng.randbytes(6))
        while (left := end - time.monotonic()) > 0:
            if self._hear(left) is MessageType.ACK:
                self._ask(MessageType.DISCOVER, self._rng.randbytes(6))

    def hear_the_rest(self) -> None:
        """What the dead server had sent."""
        while self._hear(0.0) is not None:
            pass

    def renew(self, mac: bytes) -> None:
        """Returns when it is acknowledged."""
        address = self.acknowledged.pop(mac)
        end = time.monotonic() + BACK_WITHIN
        while mac not in self.acknowledged:
            left = end - time.monotonic()
            assert left > 0, "no answer after the restart"
            self._ask(MessageType.REQUEST, mac, ciaddr=address)
            self._hear(min(left, 0.1))
        assert self.acknowledged[mac] == address

    def _ask(self, kind: MessageType, mac: bytes, ciaddr: Address = UNSPECIFIED, **options: bytes) -> None:
        known = {Option.MESSAGE_TYPE: bytes((kind,)), **{Option[name]: value for name, value in options.items()}}
        packet = DhcpPacket(
            op=1,
            xid=1,
            chaddr=mac,
            giaddr=Address(RELAY.packed),
            ciaddr=ciaddr,
            options={int(k): v for k, v in known.items()},
        )
        self._sock.sendto(pack(packet), (str(SERVER), 67))

    def _hear(self, seconds: float) -> MessageType | None:
        if not select.select([self._sock], [], [], seconds)[0]:
            return None
        reply = parse(self._sock.recv(2000))
        if reply.message_type is MessageType.OFFER:
            server = reply.options[Option.SERVER_IDENTIFIER]
            self._ask(MessageType.REQUEST, reply.chaddr, REQUESTED_ADDRESS=reply.yiaddr, SERVER_IDENTIFIER=server)
        elif reply.message_type is MessageType.ACK:
            self.acknowledged[reply.chaddr] = reply.yiaddr
        return reply.message_type


def serve(namespace: str, journal: Path) -> int:
    """The pid of a server that serves."""
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with inside(namespace):
                DhcpServer(
                    device=DEVICE,
                    config=CONFIG,
                    endpoints=Endpoints(address=SERVER),
                    journal=journal,
                    clock=RealClock(),
                    observe=lambda _: None,
                    # Nobody else is there, and a storm of a tenth of a second leaves no time to ask.
                    guards=Guards(probe=False),
                ).start()
            os.write(told, b"!")
            signal.pause()
        finally:
            os._exit(1)
    os.close(told)
    assert os.read(ready, 1) == b"!"
    os.close(ready)
    return pid


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@contextmanager
def rack(seed: int) -> Iterator[tuple[Rack, Callable[[Path], int]]]:
    with segment({"srv": f"{SERVER}/16", "rel": f"{RELAY}/16"}) as names:
        with inside(names["rel"]):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            sock.bind((str(RELAY), 67))
            yield Rack(sock, seed), lambda journal: serve(names["srv"], journal)


@pytest.mark.parametrize("runs", [20, pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_no_acknowledged_lease_is_lost(runs: int, tmp_path: Path) -> None:
    rng, total = random.Random(runs), 0
    with rack(runs) as (machines, start):
        for number in range(runs):
            fresh, journal = number % 20 == 0, tmp_path / f"leases-{number // 20}"
            if fresh:
                machines.acknowledged.clear()
            begun, before = time.monotonic(), len(machines.acknowledged)
            pid = start(journal)
            try:
                if not fresh:
                    machines.renew(rng.choice(list(machines.acknowledged)))
                    assert time.monotonic() - begun < BACK_WITHIN
                machines.storm(0.02 + rng.random() * 0.1)
            finally:
                kill(pid)
            machines.hear_the_rest()
            kept = {bytes(lease.mac): lease for lease in recover(journal.read_bytes(), "leases").leases}
            lost = {mac: address for mac, address in machines.acknowledged.items() if kept[mac].address != address}
            assert not lost
            assert all(kept[mac].state is LeaseState.BOUND for mac in machines.acknowledged)
            held = [lease.address for lease in kept.values() if lease.state is LeaseState.BOUND]
            assert len(set(held)) == len(held)
            total += len(machines.acknowledged) - before
        assert total > 20 * runs
