"""What GRUB makes of its environment: Debian's signed one under Secure Boot, and the one of the BIOS boot partition."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.lab.demo import ensure_images
from appliance.lab.spec import UefiKind
from appliance.upgrade.decision import armed
from images import grubenv
from images.grubenv import Environment, Slot

pytestmark = [pytest.mark.rack, pytest.mark.long, pytest.mark.timeout(1200)]

_ESP = 2 << 20
_SAYS = 'echo "STARTS $candidate ${tried}."\nreboot\n'
"""In place of a slot's grub.cfg; QEMU ends with the reboot."""
_BOOT_SECONDS = 150


@dataclass(frozen=True, kw_only=True)
class Disk:
    """The image's own disk, whose slots say their name and start nothing."""

    raw: Path
    firmware: tuple[str, ...]

    def put(self, name: str, content: bytes) -> None:
        argv = ["mcopy", "-o", "-i", f"{self.raw}@@{_ESP}", "-", f"::/{name}"]
        subprocess.run(argv, input=content, check=True)

    def take(self, name: str) -> bytes:
        argv = ["mtype", "-i", f"{self.raw}@@{_ESP}", f"::/{name}"]
        return subprocess.run(argv, capture_output=True, check=True).stdout

    def remove(self, name: str) -> None:
        subprocess.run(["mdel", "-i", f"{self.raw}@@{_ESP}", f"::/{name}"], check=True)

    def boot(self) -> str:
        """What is started: the slot, and the slot on trial, if any."""
        heard = self.raw.with_name("serial")
        drive = f"file={self.raw},format=raw,if=virtio"
        argv = ["qemu-system-x86_64", "-display", "none", "-no-reboot", "-m", "256", "-nic", "none"]
        argv += ["-serial", f"file:{heard}", "-drive", drive, *self.firmware]
        subprocess.run(argv, timeout=_BOOT_SECONDS, check=True)
        text = heard.read_text(errors="replace")
        assert "STARTS " in text, text[-1000:]
        return text.rpartition("STARTS ")[2].partition(".")[0].strip()


def firmware_of(uefi: UefiKind | None, folder: Path) -> tuple[str, ...]:
    if uefi is None:
        return ()
    files = ensure_images(uefi=uefi)
    nvram = folder / "nvram"
    shutil.copyfile(files.ovmf_vars, nvram)
    return (
        *("-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on"),
        *("-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={files.ovmf_code}"),
        *("-drive", f"if=pflash,unit=1,format=raw,file={nvram}"),
    )


@pytest.fixture(params=[None, UefiKind.SECURE], ids=["bios", "secure-boot"])
def disk(request: pytest.FixtureRequest, image: Path, tmp_path: Path) -> Disk:
    raw = tmp_path / "disk"
    subprocess.run(["cp", "--sparse=always", image, raw], check=True)
    found = Disk(raw=raw, firmware=firmware_of(request.param, tmp_path))
    for slot in Slot:
        found.put(f"{slot.value}/grub.cfg", _SAYS.encode())
    return found


def test_grub_tries_once_and_reads_what_stands_there(disk: Disk) -> None:
    name = "EFI/debian/grubenv"
    assert disk.boot() == "a"
    for good in Slot:
        disk.put(name, grubenv.block(armed(good)))
        assert disk.boot() == f"{good.other.value} {good.other.value}"
        assert grubenv.read(disk.take(name)) == Environment(good=good, trial=good.other)
        assert disk.boot() == good.value
    disk.put(name, bytes(grubenv.SIZE))
    assert disk.boot() == "a"
    disk.remove("a/grub.cfg")
    assert disk.boot() == "b"
    disk.put(name, grubenv.block(Environment(good=Slot.A)))
    assert disk.boot() == "b"
