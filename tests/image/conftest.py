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
from functools import cache
from pathlib import Path

import pytest

from appliance.bmc.dialler import Dialler
from appliance.lab.demo import ensure_images
from appliance.lab.rack import Rack
from appliance.lab.spec import BRIDGE_ADDRESS, RackNode, RackSpec, UefiKind
from appliance.model.bmc import PowerCommand
from appliance.model.hardware import Firmware
from appliance.system import SystemClock, SystemRng
from tests.image.serial_line import SerialLine
from tests.rack.fleet import IMAGES, serving_images

APPLIANCE = "node-2"
ROOT = Path(__file__).parents[2]
_DISK_GIB = 6
_BUILD_SECONDS = 3000
_POWER_SECONDS = 60


def pytest_runtest_setup() -> None:
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: the appliance image boots in a virtual rack, which needs root")


def built(recipe: str, name: str) -> Path:
    """An artefact of the appliance, its release or what is inside, in the store of this machine; built at first use."""
    return Path(_entries()[recipe][name]["path"])


@cache
def _entries() -> dict[str, dict[str, dict[str, str]]]:
    names = ("firmware", "ramdisk", "debian-13", "appliance")
    argv = [sys.executable, "-m", "images", *names, "--variant", "generic", "--json"]
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=_BUILD_SECONDS)
    found: dict[str, dict[str, dict[str, str]]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="session")
def packed() -> Path:
    """The upgrade bundle of the same build."""
    return built("appliance-generic", "appliance.upgrade")


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The raw disk."""
    packed = built("appliance-generic", "appliance.raw.zst")
    raw = tmp_path_factory.mktemp("image") / "appliance.raw"
    subprocess.run(["zstd", "-q", "-d", str(packed), "-o", str(raw)], check=True)
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
def bench(image: Path, folder: Path, firmware: Firmware, uefi: UefiKind, answers: str = "") -> Iterator[Bench]:
    """`answers` are on a volume in the appliance's virtual drive."""
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
        if answers:
            insert(rack, node, volume(answers, folder))
        power(rack, node, PowerCommand.ON)
        line = SerialLine(node.spec.console_socket)
        try:
            yield Bench(rack=rack, line=line)
        finally:
            line.close()


def volume(answers: str, folder: Path) -> bytes:
    """FAT, as people format a stick for it."""
    image, file = folder / "answers.img", folder / "answers.toml"
    file.write_text(answers)
    for argv in (
        ("mformat", "-C", "-i", image, "-f", "1440", "-v", "INNERVSETUP", "::"),
        ("mcopy", "-i", image, file, "::innervate-setup.toml"),
    ):
        subprocess.run(argv, check=True)
    return image.read_bytes()


def insert(rack: Rack, node: RackNode, image: bytes) -> None:
    async def order() -> None:
        bmc = Dialler(SystemClock(), SystemRng()).dial(node.bmc)
        (slot,) = await bmc.media()
        await bmc.insert(slot.id, f"http://{BRIDGE_ADDRESS.ip}:{IMAGES}/answers.img")
        await bmc.close()

    with serving_images(rack, image) as asked:
        rack.inside(lambda: asyncio.run(order()))
    assert asked == ["/answers.img"]


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
