"""The appliance upgrades itself on real firmware: QEMU is killed at each step; versions that do not work are tried."""

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from appliance.lab.spec import UefiKind
from appliance.model.bmc import PowerCommand
from appliance.model.hardware import Firmware
from appliance.upgrade.spool import BUNDLE, FOLDER, ORDER, Order
from images import bundle
from images.bundle import MENU
from images.keys import DEFAULT, ensure_key
from tests.image.conftest import APPLIANCE, Bench, bench, power
from tests.image.serial_line import SerialLine
from tests.image.test_appliance import answer, greeted

pytestmark = [pytest.mark.rack, pytest.mark.long, pytest.mark.timeout(6000)]

UP, DONE = 900.0, 1200.0
"""Seconds until a slot says that it runs, and until an upgrade or a trial comes to its end."""
STEPS = (
    "examining the bundle",
    "writing vmlinuz into slot b",
    "writing initrd.img into slot b",
    "writing root.squashfs into slot b",
    "reading back what was written",
    "keeping the state as it is",
)


class Stick:
    """The appliance's machine, which is on; the line to it is let go at the end."""

    def __init__(self, at: Bench) -> None:
        self._at, self._node = at, at.rack.node(APPLIANCE)
        self.line = at.line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.line.close()

    @property
    def disk(self) -> Path:
        return self._node.spec.disk

    def kill(self) -> None:
        power(self._at.rack, self._node, PowerCommand.FORCE_OFF)
        self.line.close()
        self._node.spec.console_socket.unlink(missing_ok=True)

    def start(self) -> None:
        power(self._at.rack, self._node, PowerCommand.ON)
        self.line = SerialLine(self._node.spec.console_socket)

    def boots(self, slot: str) -> str:
        """What the slot says of itself; the other one must not say it."""
        said = self.line.expect(r"Innervate: version (\S+) \(\w+\) in slot ([ab])(, on trial)?", UP)
        assert said[2] == slot, self.line.text[-3000:]
        return said[3] or ""

    def says(self, words: str, seconds: float = DONE) -> None:
        self.line.expect(words, seconds)


def order(disk: Path, content: Path) -> None:
    """An upgrade with that bundle, as the daemon orders it; the appliance is off."""
    table = subprocess.run(["sfdisk", "-d", disk], capture_output=True, text=True, check=True).stdout
    data = re.search(r'start= *(\d+),.*name="innervate-data"', table)
    assert data is not None, table
    volume, folder, wish = f"{disk}?offset={int(data[1]) * 512}", f"/state/{FOLDER}", disk.with_name("order")
    subprocess.run(["e2fsck", "-p", volume], check=False, capture_output=True)
    wish.write_text(Order.UPGRADE.value)
    commands = [f"mkdir {folder}"]
    for source, name in ((content, BUNDLE), (wish, ORDER)):
        commands += [f"rm {folder}/{name}", f"write {source} {folder}/{name}"]
    subprocess.run(["debugfs", "-w", "-f", "-", volume], input="\n".join(commands).encode(), check=True)


@pytest.fixture(scope="module")
def prepared(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The disk of an appliance that was set up and has lost its power."""
    folder = tmp_path_factory.mktemp("prepared")
    with bench(image, folder / "r", Firmware.UEFI, UefiKind.PXE) as at, Stick(at) as stick:
        answer(at)
        greeted(at)
        stick.kill()
        subprocess.run(["cp", "--sparse=always", stick.disk, folder / "disk"], check=True)
    return folder / "disk"


def changed(packed: Path, target: Path, version: str, menu: Callable[[str], str]) -> Path:
    """The same parts as another version, whose kernel is told something else; signed by the builder."""
    key = ensure_key(DEFAULT)
    with packed.open("rb") as file:
        manifest = bundle.open_bundle(file, key.public)
        parts = {part.name: target.with_name(f"part.{part.name}") for part in manifest.parts}
        for part in manifest.parts:
            with parts[part.name].open("wb") as out:
                out.writelines(bundle.chunks(file, part))
    parts[MENU].write_text(menu(parts[MENU].read_text()))
    described = tuple(bundle.describe(path, name) for name, path in parts.items())
    build = version.replace(".", "").rjust(12, "0")
    with target.open("wb") as out:
        bundle.pack(replace(manifest, version=version, build=build, parts=described), key, parts, out)
    for path in parts.values():
        path.unlink()
    return target


def same(menu: str) -> str:
    return menu


def impatient(words: str) -> Callable[[str], str]:
    return lambda menu: menu.replace("$options", f"$options innervate.patience=1 {words}")


def test_a_version_that_works_stays(prepared: Path, packed: Path, tmp_path: Path) -> None:
    order(prepared, changed(packed, tmp_path / "new", "9.0.0", same))
    with bench(prepared, tmp_path / "r", Firmware.UEFI, UefiKind.SECURE) as at, Stick(at) as stick:
        assert stick.boots("a") == ""
        stick.says(r"9\.0\.0 \(\w+\) in slot b, on trial")
        stick.says(r"9\.0\.0 \(\w+\) in slot b is healthy, and stays")
        stick.kill()
        stick.start()
        assert stick.boots("b") == ""


@pytest.mark.parametrize(
    "words", ["systemd.mask=innervate.service", "rdinit=/nothing", "root=/dev/nothing"], ids=["daemon", "panic", "root"]
)
def test_a_version_that_does_not_work_falls_back(prepared: Path, packed: Path, tmp_path: Path, words: str) -> None:
    order(prepared, changed(packed, tmp_path / "broken", "9.0.1", impatient(words)))
    with bench(prepared, tmp_path / "r", Firmware.BIOS, UefiKind.PXE) as at, Stick(at) as stick:
        assert stick.boots("a") == ""
        stick.says(r"9\.0\.1 \(\w+\) in slot b was tried and did not stay: ")
        stick.says(r"in slot a runs again")


def test_a_version_comes_in_however_often_it_is_killed(prepared: Path, packed: Path, tmp_path: Path) -> None:
    """At each step; at last in the middle of its trial."""
    new = changed(packed, tmp_path / "new", "9.0.0", same)
    order(prepared, new)
    with bench(prepared, tmp_path / "r", Firmware.BIOS, UefiKind.PXE) as at, Stick(at) as stick:
        for step in STEPS:
            assert stick.boots("a") == ""
            stick.says(step)
            stick.kill()
            order(stick.disk, new)
            stick.start()
        assert stick.boots("a") == ""
        stick.says(r"9\.0\.0 \(\w+\) in slot b, on trial")
        stick.kill()
        stick.start()
        assert stick.boots("a") == ""
        stick.says("was tried and did not stay")
