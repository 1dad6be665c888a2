"""`python -m pxe` as a process, and on the other end of a cable clients that nobody here wrote."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pxe.dhcp.packet import MessageType
from tests.contract.firmware import EFI, firmware
from tests.contract.segment import DEADLINE, DEVICE, dnsmasq, segment
from tests.contract.standalone import Server, example

BACK_WITHIN = 5.0

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(
        not all(map(shutil.which, ("busybox", "curl", "dig"))), reason="busybox, curl or dig is not installed"
    ),
]

UDHCPC_SCRIPT = """#!/bin/sh
[ "$1" = bound ] || exit 0
echo "$ip $boot_file" > "$OUT"
ip address flush dev "$interface"
ip address add "$ip/$mask" dev "$interface"
"""


class Cable:
    """Two network namespaces with a link between them: `sw` on our end, `nic` on the machine's."""

    def __init__(self) -> None:
        self.near, self._there = f"pxe-server-{os.getpid()}", f"pxe-client-{os.getpid()}"
        for name in (self.near, self._there):
            run("ip", "netns", "add", name)
        run("ip", "link", "add", "sw", "netns", self.near, "type", "veth", "peer", "nic", "netns", self._there)
        run(*self.here("ip", "address", "add", "10.9.0.1/24", "dev", "sw"))
        for argv in (self.here("ip", "link", "set", "lo", "up"), self.here("ip", "link", "set", "sw", "up")):
            run(*argv)
        run(*self.there("ip", "link", "set", "nic", "up"))

    def here(self, *argv: str) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.near, *argv)

    def there(self, *argv: str) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self._there, *argv)

    def close(self) -> None:
        for name in (self.near, self._there):
            run("ip", "netns", "delete", name)


def run(*argv: str, **environment: str) -> str:
    done = subprocess.run(
        argv, check=True, capture_output=True, text=True, timeout=DEADLINE, env={**os.environ, **environment}
    )
    return done.stdout


class Machine:
    """`busybox` on the machine's end."""

    def __init__(self, cable: Cable, folder: Path) -> None:
        self._cable = cable
        self._out = folder / "bound"
        self._script = folder / "udhcpc.sh"
        self._script.write_text(UDHCPC_SCRIPT)
        self._script.chmod(0o755)

    def bind(self, mac: str) -> tuple[str, str]:
        """As an x64 UEFI firmware with this address: the leased address and the boot file."""
        run(*self._cable.there("ip", "link", "set", "nic", "address", mac))
        self._out.unlink(missing_ok=True)
        argv = ("busybox", "udhcpc", "-i", "nic", "-n", "-q", "-f", "-t", "8", "-T", "1", "-s", str(self._script))
        vendor = ("-V", "PXEClient:Arch:00007:UNDI:003016", "-x", "0x5d:0007", "-O", "bootfile")
        run(*self._cable.there(*argv, *vendor), OUT=str(self._out))
        address, _, file = self._out.read_text().strip().partition(" ")
        return address, file

    def tftp(self, name: str, target: Path) -> bytes:
        run(*self._cable.there("busybox", "tftp", "-g", "-r", name, "-l", str(target), "10.9.0.1"))
        return target.read_bytes()

    def fetch(self, path: str) -> str:
        return run(*self._cable.there("curl", "-sSf", "--max-time", "10", f"http://10.9.0.1{path}"))

    def resolve(self, name: str) -> str:
        return run(*self._cable.there("dig", "@10.9.0.1", name, "+short", "+time=2")).strip()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Alone on its cable, so that it need not listen first."""
    return example(tmp_path, device='device = "sw"', alone="alone = true", chain='chain = "ipxe"')


@pytest.fixture
def cable() -> Iterator[Cable]:
    cable = Cable()
    yield cable
    cable.close()


@pytest.fixture
def machine(cable: Cable, tmp_path: Path) -> Machine:
    return Machine(cable, tmp_path)


@pytest.fixture
def server(cable: Cable, config: Path) -> Iterator[Server]:
    server = Server(cable.near, config)
    server.await_line("serving device=sw")
    yield server
    server.close()


def test_a_machine_boots_and_the_server_stops_when_told(server: Server, machine: Machine, tmp_path: Path) -> None:
    assert machine.bind("52:54:00:00:00:01") == ("10.9.0.11", "snponly.efi")
    server.await_line("dhcp kind=ack mac=52:54:00:00:00:01", "address=10.9.0.11", "filename=snponly.efi")
    assert machine.tftp("snponly.efi", tmp_path / "got") == b"programs/snponly.efi" * 1000
    server.await_line("tftp client=10.9.0.11 name=snponly.efi outcome=finished")
    assert "kernel http://10.9.0.1/artifact/installer/vmlinuz" in machine.fetch("/boot.ipxe?mac=52-54-00-00-00-01")
    server.await_line("script mac=52:54:00:00:00:01 intent=RunKernel address=10.9.0.11")
    assert machine.fetch("/artifact/installer/initrd.img") == "artifacts/installer/initrd.img" * 1000
    assert machine.resolve("node-2.rack.test") == "10.9.0.12"
    assert server.end(signal.SIGTERM) == 0


def test_sighup_changes_what_is_served(server: Server, machine: Machine, config: Path) -> None:
    assert machine.bind("52:54:00:00:00:02")[0] == "10.9.0.12"
    (config.parent / "artifacts/new").write_text("new file")
    good = config.read_text().replace("10.9.0.12", "10.9.0.22").replace('boot = "disk"', 'boot = "installer"')
    config.write_text(good + "nonsense = 1\n")
    server.tell(signal.SIGHUP)
    server.await_line("nothing is changed: machine[1].nonsense: unknown key")
    assert machine.resolve("node-2.rack.test") == "10.9.0.12"
    config.write_text(good)
    server.tell(signal.SIGHUP)
    server.await_line("reloaded")
    assert machine.resolve("node-2.rack.test") == "10.9.0.22"
    assert machine.fetch("/artifact/new") == "new file"
    assert "installer/vmlinuz" in machine.fetch("/boot.ipxe?mac=52-54-00-00-00-02")
    assert machine.bind("52:54:00:00:00:02")[0] == "10.9.0.22"


def test_killed_server_is_back_with_its_leases(server: Server, machine: Machine, cable: Cable, config: Path) -> None:
    first, second = machine.bind("52:54:00:00:00:0a")[0], machine.bind("52:54:00:00:00:0b")[0]
    assert first != second
    server.end(signal.SIGKILL)
    began = time.monotonic()
    again = Server(cable.near, config)
    try:
        again.await_line("serving device=sw")
        assert machine.bind("52:54:00:00:00:0b")[0] == second
        assert time.monotonic() - began < BACK_WITHIN
        assert machine.bind("52:54:00:00:00:0a")[0] == first
    finally:
        again.close()


def test_killed_server_with_an_identity_does_not_listen_first(cable: Cable, machine: Machine, tmp_path: Path) -> None:
    config = example(tmp_path, device='device = "sw"')
    first = Server(cable.near, config)
    try:
        first.await_line("serving device=sw")
        address = machine.bind("52:54:00:00:00:0a")[0]
    finally:
        first.close()
    began = time.monotonic()
    again = Server(cable.near, config)
    try:
        again.await_line("serving device=sw")
        assert machine.bind("52:54:00:00:00:0a")[0] == address
        assert time.monotonic() - began < BACK_WITHIN
    finally:
        again.close()


needs_dnsmasq = pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="dnsmasq is not installed")
POOL = "10.9.0.100,10.9.0.120,255.255.255.0,5m"


@pytest.fixture
def beside_dnsmasq(tmp_path: Path) -> Iterator[dict[str, str]]:
    addresses = {"ours": "10.9.0.1/24", "theirs": "10.9.0.3/24", "client": ""}
    with segment(addresses) as hosts, dnsmasq(hosts["theirs"], tmp_path, POOL, "--no-ping"):
        yield hosts


@needs_dnsmasq
def test_it_refuses_to_give_out_addresses_beside_another_server(beside_dnsmasq: dict[str, str], tmp_path: Path) -> None:
    server = Server(beside_dnsmasq["ours"], example(tmp_path, device=f'device = "{DEVICE}"'))
    try:
        server.await_line("ERROR", "already serves this segment", "10.9.0.3", "52:54:00:00:01:01", "proxy mode")
        assert server.ended() == 1
    finally:
        server.close()


@needs_dnsmasq
def test_it_boots_machines_beside_another_server_in_proxy_mode(beside_dnsmasq: dict[str, str], tmp_path: Path) -> None:
    config = example(tmp_path, device=f'device = "{DEVICE}"', mode='mode = "proxy"')
    server = Server(beside_dnsmasq["ours"], config)
    try:
        server.await_line(f"serving device={DEVICE}", "mode=proxy")
        with firmware(beside_dnsmasq["client"], "52:54:00:aa:00:01") as client:
            client.ask(MessageType.DISCOVER, EFI)
            offers = client.offers(2)
            assert (offers["10.9.0.1"].yiaddr, offers["10.9.0.1"].file) == (bytes(4), b"snponly.efi")
            assert offers["10.9.0.3"].yiaddr != bytes(4)
        server.await_line("proxy kind=offer mac=52:54:00:aa:00:01", "filename=snponly.efi")
        assert server.end(signal.SIGTERM) == 0
    finally:
        server.close()
