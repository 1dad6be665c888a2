"""Debian's chronyd, configured by us: whoever may ask gets the time, and nobody sets this computer's clock."""

import asyncio
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from appliance.supervision.host import HostChildren
from appliance.system import SystemClock
from appliance.timekeeping.config import Answering, rendered
from appliance.timekeeping.service import time_keeper
from tests.contract.balancing import looping
from tests.foreign import unpacked

_SINCE_1900 = 2_208_988_800
_CLIENT = b"\x23" + bytes(47)  # version 4, mode 3 (RFC 5905, section 7.3)


def program() -> tuple[str, ...]:
    """Unpacked: the package would take the place of whatever keeps this machine's clock."""
    root = unpacked("chrony", "libedit2", "libgnutls30", "libnettle8", "libseccomp2", "libtomcrypt1")
    return ("env", f"LD_LIBRARY_PATH={root}/usr/lib/x86_64-linux-gnu", str(root / "usr/sbin/chronyd"))


@contextmanager
def answering(folder: Path, networks: tuple[IPv4Network, ...]) -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    told = Answering(
        address=IPv4Address("127.0.0.1"), networks=networks, upstreams=(), folder=folder / "time", port=port
    )
    with looping() as loop:
        keeper = time_keeper(told, HostChildren(), SystemClock(), program())
        asyncio.run_coroutine_threadsafe(keeper.run(), loop)
        until = time.monotonic() + 10
        while not any("Disabled control of system clock" in line for line in keeper.said):
            assert time.monotonic() < until, keeper.standing
        yield port


def asked(port: int, seconds: float) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(seconds)
        client.connect(("127.0.0.1", port))
        client.send(_CLIENT)
        return client.recv(100)


def test_the_time_is_told(tmp_path: Path) -> None:
    with answering(tmp_path, (IPv4Network("127.0.0.0/8"),)) as port:
        said = asked(port, 5)
    stratum, told = said[1], struct.unpack("!I", said[40:44])[0] - _SINCE_1900
    assert stratum == 10
    assert abs(told - time.time()) < 3


@pytest.mark.long
def test_who_may_not_ask_hears_nothing(tmp_path: Path) -> None:
    with answering(tmp_path, (IPv4Network("10.99.0.0/24"),)) as port, pytest.raises(TimeoutError):
        asked(port, 0.5)


def test_chronyd_takes_what_is_rendered(tmp_path: Path) -> None:
    told = Answering(
        address=IPv4Address("10.77.0.1"),
        networks=(IPv4Network("10.77.0.0/24"),),
        upstreams=(IPv4Address("192.0.2.1"),),
        folder=tmp_path,
    )
    (tmp_path / "chrony.conf").write_text(rendered(told))
    argv = [*program(), "-p", "-f", str(tmp_path / "chrony.conf")]
    said = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=20).stdout
    assert said == rendered(told)
    assert said != rendered(replace(told, upstreams=()))
