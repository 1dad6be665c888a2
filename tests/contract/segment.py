"""An Ethernet segment with several hosts, each a network namespace on one bridge, and a foreign DHCP server for it."""

import ctypes
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000
DEADLINE = 20.0
DEVICE = "eth"
"""Of every host."""


class RealClock:
    """`ahead` makes it run into the future."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


def ip(*words: str, batch: str | None = None) -> str:
    done = subprocess.run(["ip", *words], input=batch, check=True, capture_output=True, text=True, timeout=30)
    return done.stdout


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Sockets opened by this thread meanwhile belong to the namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as home, Path(f"/run/netns/{namespace}").open() as target:
        assert libc.setns(target.fileno(), CLONE_NEWNET) == 0
        try:
            yield
        finally:
            assert libc.setns(home.fileno(), CLONE_NEWNET) == 0


@contextmanager
def segment(hosts: dict[str, str]) -> Iterator[dict[str, str]]:
    """Names of hosts and their addresses (with the prefix length, empty for none); yields their namespaces."""
    switch = f"seg-{os.getpid()}"
    names = {host: f"{switch}-{host}" for host in hosts}
    made = []
    try:
        for namespace in (switch, *names.values()):
            ip("netns", "add", namespace)
            made.append(namespace)
        ip("-n", switch, "link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0")
        ip("-n", switch, "link", "set", "br0", "up")
        for number, (host, address) in enumerate(hosts.items()):
            port, namespace = f"port{number}", names[host]
            mac = f"52:54:00:00:01:{number:02x}"
            peer = ("peer", "name", DEVICE, "address", mac, "netns", namespace)
            ip("-n", switch, "link", "add", port, "type", "veth", *peer)
            ip("-n", switch, "link", "set", port, "master", "br0", "up")
            ip("-n", namespace, "link", "set", "lo", "up")
            if address:
                ip("-n", namespace, "addr", "add", address, "dev", DEVICE)
            ip("-n", namespace, "link", "set", DEVICE, "up")
        yield names
    finally:
        for namespace in made:
            ip("netns", "del", namespace)


@contextmanager
def dnsmasq(namespace: str, folder: Path, pool: str, *words: str) -> Iterator[None]:
    """Gives out addresses and knows nothing of booting."""
    argv = [
        *("ip", "netns", "exec", namespace, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0"),
        *("--user=root", "--log-facility=-", "--log-dhcp", f"--interface={DEVICE}", "--bind-interfaces", "--pid-file="),
        *(f"--dhcp-range={pool}", f"--dhcp-leasefile={folder / 'dnsmasq.leases'}", *words),
    ]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            seen = next((line for line in server.stderr if "IP range" in line), "")
            assert seen, "dnsmasq did not start"
            yield
        finally:
            server.terminate()
            server.communicate(timeout=DEADLINE)


def udhcpc(namespace: str, *flags: str) -> str:
    """An ordinary client takes an address; what it says about it."""
    words: Sequence[str] = ("-i", DEVICE, "-f", "-n", "-q", "-t", "5", "-T", "2", "-s", "/bin/true", *flags)
    argv = ["ip", "netns", "exec", namespace, "busybox", "udhcpc", *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr
