"""The ISO on real firmware: from a CD and from a stick, to the first question."""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile

import pytest

from appliance.lab.demo import ensure_images
from appliance.lab.qemu import EMULATED
from appliance.lab.spec import UefiKind
from tests.image.conftest import built
from tests.image.serial_line import SerialLine

pytestmark = [pytest.mark.rack, pytest.mark.long, pytest.mark.timeout(3000)]

ASKED = 900.0
_APPEARS_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """`uefi` is None for BIOS."""

    uefi: UefiKind | None
    drive: tuple[str, ...]


CD = ("-device", "virtio-scsi-pci,id=scsi0", "-device", "scsi-cd,bus=scsi0.0,drive=medium,bootindex=1")
STICK = ("-device", "qemu-xhci", "-device", "usb-storage,drive=medium,bootindex=1")


def argv(machine: Machine, iso: Path, folder: Path) -> list[str]:
    """With an empty disk, which must stay so."""
    return [
        *("qemu-system-x86_64", "-no-user-config", "-nodefaults", "-display", "none"),
        *("-accel", "tcg", "-cpu", EMULATED, "-m", "2048", "-smp", "1"),
        *("-chardev", f"socket,id=line,path={folder / 'line'},server=on,wait=off", "-serial", "chardev:line"),
        *("-drive", f"if=none,id=disk,format=raw,file={folder / 'disk'}", "-device", "virtio-blk-pci,drive=disk"),
        *("-drive", f"if=none,id=medium,format=raw,readonly=on,file={iso}", *machine.drive),
        *("-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net,romfile="),
        *firmware(machine, folder),
    ]


def firmware(machine: Machine, folder: Path) -> tuple[str, ...]:
    if machine.uefi is None:
        return ("-machine", "q35,graphics=off")
    files = ensure_images(uefi=machine.uefi)
    copyfile(files.ovmf_vars, folder / "variables")
    return (
        *("-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on"),
        *("-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={files.ovmf_code}"),
        *("-drive", f"if=pflash,format=raw,unit=1,file={folder / 'variables'}"),
    )


@contextmanager
def running(machine: Machine, iso: Path, folder: Path) -> Iterator[SerialLine]:
    with (folder / "disk").open("wb") as disk:
        disk.truncate(1 << 30)
    process = subprocess.Popen(argv(machine, iso, folder))
    try:
        pace, deadline = threading.Event(), time.monotonic() + _APPEARS_SECONDS
        while not (folder / "line").exists():
            assert process.poll() is None, "QEMU ended at once"
            assert time.monotonic() < deadline, "QEMU does not come on"
            pace.wait(0.1)
        with closing(SerialLine(folder / "line")) as line:
            yield line
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    "machine",
    [
        Machine(uefi=None, drive=CD),
        Machine(uefi=UefiKind.SECURE, drive=CD),
        Machine(uefi=None, drive=STICK),
        Machine(uefi=UefiKind.SECURE, drive=STICK),
    ],
    ids=["bios-cd", "secure-boot-cd", "bios-stick", "secure-boot-stick"],
)
def test_the_iso_asks_its_questions_from_memory_and_touches_no_disk(tmp_path: Path, machine: Machine) -> None:
    iso = built("appliance-release-generic", "appliance.iso")
    with running(machine, iso, tmp_path) as line:
        line.expect("everything runs from memory, no disk here is touched", ASKED)
        line.expect("Innervate stands here for the first time", ASKED)
        line.expect(r"1/5 .*: ", ASKED)
    assert (tmp_path / "disk").stat().st_blocks == 0
