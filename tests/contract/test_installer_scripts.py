"""The scripts of the installer's ramdisk, by a shell like its own, against the real boot server and desk."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from appliance.boot import Snapshot
from appliance.conductor.machine import MachineState, observed
from appliance.inventory.identity import Identities
from appliance.lab.topology import lab_rack
from appliance.model.ids import MachineName, Nonce
from appliance.plan import DiskRef
from appliance.services.installers import InstallDesk
from appliance.store.records import InstallerSeen, InstallerStage
from pxe.content import Content
from pxe.http.responder import HttpReply, HttpRequest
from pxe.http.server import HttpServer
from tests.unit.appliance.conductor.test_installer import DO, KEY, NODE, NONCE, RAMDISK, at_work

SCRIPTS = Path(__file__).parents[2] / "images/installer/files/innervate"
ADDRESS = IPv4Address("127.80.0.1")
GAVE_UP = -signal.SIGKILL
SERIAL, SIZE = "QM00001 &+%", 16 << 20
APPLETS = ("nc", "wget", "dd", "head", "cut", "sed", "tr", "wc", "tail", "cat", "grep")
SLEEP = """#!/bin/sh
[ "$1" != 3600 ] || kill -KILL "$PPID"
exec busybox sleep 0.1
"""
"""Who gives up sleeps for ever: that ends the script here."""
STUBS = ("debconf-set", "blockdev", "in-target", "logger", "sync")


class Clock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class Appliance:
    """The desk behind the real HTTP server; what it is told is on record at once."""

    def __init__(self, state: MachineState) -> None:
        self.state, self.told = state, list[tuple[InstallerStage, str]]()
        self.logged = b""
        self.desk: InstallDesk | None = None

    def installer(self, machine: MachineName, nonce: Nonce, stage: InstallerStage, detail: str) -> None:
        self.told.append((stage, detail))
        seen = InstallerSeen(machine=machine, nonce=nonce, stage=stage, detail=detail)
        self.state = observed(self.state, seen, time.time())

    def log(self, _machine: MachineName, _offset: int, text: bytes) -> None:
        self.logged += text

    def refused(self, _client: IPv4Address, _why: str) -> None:
        return

    def snapshot(self) -> Snapshot:
        return Snapshot.of([self.state], Identities(), {}, RAMDISK)

    def content(self, _path: str) -> Content | None:
        return None

    def is_dynamic(self, _path: str) -> bool:
        return True

    def is_slow(self, _path: str) -> bool:
        return True

    def handle(self, request: HttpRequest) -> HttpReply:
        assert self.desk is not None
        return self.desk.handle(request)


class Machine:
    """A root folder with what the scripts look at."""

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        shutil.copytree(SCRIPTS, root / "innervate")
        for folder in ("proc", "dev", "bin", "innervate", "target/etc/systemd/system"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for name in ("report", "innervate-report.service"):
            (root / "innervate" / name).write_text(name)
        url = f"http://{ADDRESS}:{port}/install/{NONCE}/preseed.cfg"
        (root / "proc/cmdline").write_text(f"auto=true url={url} --- console=ttyS0\n")
        busybox = shutil.which("busybox")
        assert busybox
        for applet in APPLETS:
            (root / "bin" / applet).unlink(missing_ok=True)
            (root / "bin" / applet).symlink_to(busybox)
        for stub in STUBS:
            path = root / "bin" / stub
            path.write_text(f'#!/bin/sh\necho {stub} "$@" >>{root}/called\n')
            path.chmod(0o755)

        (root / "bin/sleep").write_text(SLEEP)
        (root / "bin/sleep").chmod(0o755)

    def add_disk(self, name: str, serial: str, start: bytes = b"") -> Path:
        block = self.root / "sys/block" / name
        (block / "device").mkdir(parents=True)
        (block / "serial").write_text(f"{serial}\n")
        (block / "size").write_text(f"{SIZE // 512}\n")
        disk = self.root / "dev" / name
        disk.write_bytes(start.ljust(SIZE, b"\0"))
        return disk

    def run(self, script: str) -> int:
        """The exit status, that of SIGKILL where it gave up."""
        environment = {**os.environ, "root": str(self.root), "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}"}
        argv = ["busybox", "sh", str(self.root / "innervate" / script)]
        return subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, timeout=60, check=False).returncode

    @property
    def called(self) -> list[str]:
        return (self.root / "called").read_text().splitlines()


@pytest.fixture
def appliance() -> Appliance:
    state = at_work()
    assert state.installing is not None
    disk = DiskRef(serial=SERIAL, wwn="", size_bytes=SIZE, contents="blank")
    do = replace(DO, disk=disk)
    return Appliance(replace(state, installing=replace(state.installing, do=do)))


@pytest.fixture
def machine(appliance: Appliance, tmp_path: Path) -> Iterator[Machine]:
    server = HttpServer(address=ADDRESS, port=0, routes=appliance, clock=Clock(), observe=lambda _event: None)
    segment = IPv4Network(f"{ADDRESS}/24", strict=False)
    here = {"network": segment, "address": ADDRESS, "first": segment[100], "last": segment[200]}
    network = replace(lab_rack().boot_network, **here)
    appliance.desk = InstallDesk(appliance.snapshot, appliance, f"http://{ADDRESS}", network, Clock())
    server.start()
    yield Machine(tmp_path / "machine", server.port)
    server.stop()


def test_the_disk_of_the_plan_is_found_emptied_and_named(appliance: Appliance, machine: Machine) -> None:
    other = machine.add_disk("vda", "ANOTHER", b"keep me")
    disk = machine.add_disk("vdb", SERIAL)
    assert machine.run("disk") == 0
    assert appliance.told == [(InstallerStage.DISK, f"writes to serial {SERIAL}, WWN -, {SIZE} bytes")]
    assert [line for line in machine.called if line.startswith("debconf-set")] == [
        f"debconf-set partman-auto/disk {disk}",
        f"debconf-set grub-installer/bootdev {disk}",
    ]
    assert disk.stat().st_size == SIZE
    assert other.read_bytes().startswith(b"keep me")


@pytest.mark.parametrize(
    ("disks", "why"),
    [
        ({"vda": "ANOTHER"}, "0 disks have serial"),
        ({"vda": SERIAL, "vdb": SERIAL}, "2 disks have serial"),
    ],
)
def test_no_disk_or_two_stop_it(appliance: Appliance, machine: Machine, disks: dict[str, str], why: str) -> None:
    made = [machine.add_disk(name, serial, b"keep me") for name, serial in disks.items()]
    assert machine.run("disk") == GAVE_UP
    assert appliance.told[0][0] is InstallerStage.FAILED
    assert why in appliance.told[0][1]
    assert all(disk.read_bytes().startswith(b"keep me") for disk in made)


def test_foreign_data_stops_it(appliance: Appliance, machine: Machine) -> None:
    disk = machine.add_disk("vda", SERIAL, b"somebody's data")
    assert machine.run("disk") == GAVE_UP
    assert appliance.told[0] == (InstallerStage.FAILED, "the disk holds foreign data: unknown, the plan names blank")
    assert disk.read_bytes().startswith(b"somebody's data")


def test_the_end_puts_keys_and_report_in_place(appliance: Appliance, machine: Machine) -> None:
    assert machine.run("late") == 0
    target = machine.root / "target"
    assert (target / "root/.ssh/authorized_keys").read_text() == f"{KEY}\n"
    assert NONCE in (target / "var/lib/innervate/report.json").read_text()
    assert (target / "var/lib/innervate/report.url").read_text() == f"http://{ADDRESS}/report\n"
    assert "in-target systemctl enable innervate-report.service" in machine.called
    assert appliance.told[-1][0] is InstallerStage.DONE
    assert appliance.state.boots_disk
    assert appliance.state.name == NODE
