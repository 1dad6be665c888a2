"""The appliance image as the tests boot it: built at first use, laid on the disk of a machine of the rack."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.bmc.dialler import Dialler
from appliance.lab.demo import ensure_images
from appliance.lab.rack import Rack
from appliance.lab.spec import RackNode, RackSpec, UefiKind
from appliance.model.bmc import PowerCommand
from appliance.model.hardware import Firmware
from appliance.system import SystemClock, SystemRng
from tests.image.serial_line import SerialLine

APPLIANCE = "node-2"
ROOT = Path(__file__).parents[2]
_DISK_GIB = 6
_BUILD_SECONDS = 3000
_POWER_SECONDS = 60


def pytest_runtest_setup() -> None:
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: the appliance image boots in a virtual rack, which needs root")


@pytest.fixture(scope="session")
def built() -> dict[str, Path]:
    """The artefacts by name."""
    argv = [sys.executable, "-m", "images", "appliance", "--variant", "generic", "--json"]
    built = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=_BUILD_SECONDS)
    return {name: Path(said["path"]) for name, said in json.loads(built.stdout)["appliance-generic"].items()}


@pytest.fixture(scope="session")
def packed(built: dict[str, Path]) -> Path:
    """The upgrade bundle of the same build."""
    return built["appliance.upgrade"]


@pytest.fixture(scope="session")
def image(built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The raw disk."""
    raw = tmp_path_factory.mktemp("image") / "appliance.raw"
    subprocess.run(["zstd", "-q", "-d", built["appliance.raw.zst"], "-o", str(raw)], check=True)
    return raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A rack whose last machine has the appliance on its disk and is on; the others are off."""

    rack: Rack
    line: SerialLine

    @property
    def servers(self) -> tuple[RackNode, ...]:
        return tuple(node for node in self.rack.nodes if node.spec.name != APPLIANCE)


@contextmanager
def bench(image: Path, folder: Path, firmware: Firmware, uefi: UefiKind) -> Iterator[Bench]:
    files = ensure_images(uefi=uefi)
    spec = RackSpec(
        nodes=3,
        firmware=firmware,
        uefi=uefi,
        workdir=folder,
        files=files,
        disk_gib=_DISK_GIB,
        password="as-delivered",
    )
    with Rack.start(spec) as rack:
        node = rack.node(APPLIANCE)
        subprocess.run(["cp", "--sparse=always", str(image), str(node.spec.disk)], check=True)
        os.truncate(node.spec.disk, _DISK_GIB << 30)
        power(rack, node, PowerCommand.ON)
        line = SerialLine(node.spec.console_socket)
        try:
            yield Bench(rack=rack, line=line)
        finally:
            line.close()


def power(rack: Rack, node: RackNode, command: PowerCommand) -> None:
    """Through the machine's BMC; returns when its serial port is there."""

    async def order() -> None:
        dialler = Dialler(SystemClock(), SystemRng())
        await dialler.dial(node.bmc).command(command)
        await dialler.close()

    rack.inside(lambda: asyncio.run(order()))
    pace, deadline = threading.Event(), time.monotonic() + _POWER_SECONDS
    while not node.spec.console_socket.exists():
        assert time.monotonic() < deadline, f"{node.spec.name} does not come on"
        pace.wait(0.1)
