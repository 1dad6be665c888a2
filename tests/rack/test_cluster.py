"""A Kubernetes on real firmware: from powered off to an application that answers, with nobody's hand in it.

Then a worker loses its power and the spare takes its place; at last a machine leaves, wiped.
"""

import os
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.client import Client
from appliance.lab.demo import daemon, daemon_config, make_key, wait_until_ready
from appliance.lab.rack import Rack
from appliance.lab.spec import RackFirmware, RackSpec
from appliance.model.hardware import Firmware
from appliance.model.set_views import WorkState
from appliance.model.views import MachineView, RunState, RunView
from tests.contract import balancing, registry

pytestmark = [pytest.mark.rack, pytest.mark.long, pytest.mark.alone, pytest.mark.timeout(9000)]

ROOT = Path(__file__).parents[2]
SITE = ROOT / "examples" / "lab_cluster.py"
MEMORY_MIB, DISK_GIB = 2048, 8
INSTALLED, READY = 1800.0, 3600.0
"""Seconds: two machines installed, a cluster of them ready; both emulated, two processors each on two."""


class Scene:
    def __init__(self, rack: Rack, folder: Path) -> None:
        self.rack, self.folder = rack, folder
        self.client = Client(folder / "api.sock")

    def until(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        pace, deadline = threading.Event(), time.monotonic() + seconds
        while not condition():
            log = (self.folder / "daemon.log").read_text(errors="replace")[-2000:]
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}; {log}"
            pace.wait(0.5)

    def to_the_end(self, run: RunView) -> RunView:
        self.until(lambda: self.client.run(run.id).state is not RunState.RUNNING, run.id, READY)
        return self.client.run(run.id)

    def import_set(self, folder: str) -> None:
        self.client.import_set(folder)
        self.until(
            lambda: (job := self.client.sets().job) is not None and job.state is not WorkState.RUNNING, folder, 300
        )
        assert (job := self.client.sets().job) is not None
        assert job.state is WorkState.DONE, job.fault

    def role(self, role: str) -> MachineView:
        (found,) = (one for one in self.client.machines().machines if (one.role, one.spare_of) == (role, ""))
        return found


def programs(folder: Path) -> str:
    """A PATH on which are the programs that the appliance starts for clusters, without any service of theirs."""
    folder.mkdir()
    for name, argv in (
        ("docker-registry", registry.program()),
        ("haproxy", balancing.program("haproxy", balancing.HAPROXY)),
    ):
        (folder / name).write_text(f'#!/bin/sh\nexec {shlex.join(argv)} "$@"\n')
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@contextmanager
def running(files: RackFirmware, folder: Path, sets: Path) -> Iterator[Scene]:
    key = make_key(folder)
    config = daemon_config(folder, socket=folder / "api.sock", key=key, site=SITE, sets=sets)
    spec = RackSpec(
        nodes=3,
        firmware=Firmware.UEFI,
        workdir=folder,
        files=files,
        cpus=2,
        memory_mib=MEMORY_MIB,
        disk_gib=DISK_GIB,
    )
    with Rack.start(spec) as rack:
        scene = Scene(rack, folder)
        with daemon(rack, config, folder) as process:
            wait_until_ready(scene.client.health, lambda: process.poll() is None, folder / "daemon.log")
            yield scene
