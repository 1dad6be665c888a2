"""Two network namespaces joined by a bad cable, for tests of servers under loss."""

import ctypes
import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.lab.wire import Impairment, Wire, open_tap

_CLONE_NEWNET = 0x40000000
_QUEUE = "20000"  # frames: windows of a whole rack, so that only the wire loses any


class _Clock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


@contextmanager
def _inside(namespace: str) -> Iterator[None]:
    """Sockets that this thread opens meanwhile belong to the namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as home, Path(f"/run/netns/{namespace}").open() as target:
        assert libc.setns(target.fileno(), _CLONE_NEWNET) == 0
        try:
            yield
        finally:
            assert libc.setns(home.fileno(), _CLONE_NEWNET) == 0


@dataclass(frozen=True)
class BadCable:
    """`near` holds device srv, 10.99.0.1/24, end A of the wire; `far` holds device cli, 10.99.0.2/24, end B."""

    near: str
    far: str
    wire: Wire

    def inside(self, namespace: str) -> AbstractContextManager[None]:
        return _inside(namespace)

    def spawn(self, argv: Sequence[str]) -> "subprocess.Popen[bytes]":
        """A client, in `far`."""
        return subprocess.Popen(
            ["ip", "netns", "exec", self.far, *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )


MakeCable = Callable[[Impairment, int], BadCable]


@pytest.fixture
def bad_cable() -> Iterator[MakeCable]:
    """Called with an impairment and a seed, as often as wanted; all is taken down after the test."""
    numbers = itertools.count()
    with ExitStack() as stack:

        def make(impairment: Impairment, seed: int) -> BadCable:
            tag = f"{os.getpid()}-{next(numbers)}"
            near, far = f"wire-near-{tag}", f"wire-far-{tag}"
            ends = []
            for namespace, device, address in ((near, "srv", "10.99.0.1/24"), (far, "cli", "10.99.0.2/24")):
                _ip("netns", "add", namespace)
                stack.callback(_ip, "netns", "del", namespace)
                with _inside(namespace):
                    ends.append(open_tap(device))
                _ip("-n", namespace, "addr", "add", address, "dev", device)
                _ip("-n", namespace, "link", "set", device, "txqueuelen", _QUEUE, "up")
                _ip("-n", namespace, "link", "set", "lo", "up")
            wire = Wire((ends[0], ends[1]), clock=_Clock(), impairment=impairment, seed=seed)
            stack.callback(wire.stop)
            wire.start()
            return BadCable(near=near, far=far, wire=wire)

        yield make
