"""The real disk: FAT by mtools, as GRUB's own FAT driver reads it, with power cuts that leave any part of what a tool
had to write."""

import random
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import pytest

from appliance.errors import MachineryError
from appliance.upgrade.decision import armed
from appliance.upgrade.disk import SlotDisk
from appliance.upgrade.fat import offset_of
from appliance.upgrade.writing import MANIFEST, arm, content_of, fill
from images import grubenv
from images.bundle import KERNEL, MENU, RAMDISK, ROOT, open_bundle
from images.grubenv import Environment, Slot
from images.ports import Finished, Progress
from images.processes import HostProcesses
from tests.unit.appliance.upgrade.conftest import KEY, bundle_of, content, manifest_of

_SECTOR = 512
_SECTORS = 70000
"""34 MiB, the least that mformat takes for FAT32."""


@dataclass(kw_only=True)
class Watched(HostProcesses):
    """The volume before and after each tool that wrote it."""

    volume: Path
    tools: list[str] = field(default_factory=list)
    seen: list[tuple[bytes, bytes]] = field(default_factory=list, repr=False)

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        stdin: bytes = b"",
        cwd: Path | None = None,
        watch: Progress | None = None,
    ) -> Finished:
        writes = argv[0] in ("mdel", "mcopy", "fsck.vfat")
        before = self.volume.read_bytes() if writes else b""
        finished = super().run(argv, timeout=timeout, stdin=stdin, cwd=cwd, watch=watch)
        if writes and (after := self.volume.read_bytes()) != before:
            self.tools.append(argv[0])
            self.seen.append((before, after))
        return finished


def made(folder: Path, processes: HostProcesses | None = None) -> SlotDisk:
    """0.1.0 in slot a, which runs; slot b holds what is left of 0.3.0."""
    esp, roots = folder / "esp", {slot: folder / f"root-{slot.value}" for slot in Slot}
    with esp.open("wb") as volume:
        volume.truncate(_SECTORS * _SECTOR)
    tree = folder / "tree"
    (tree / "EFI/debian").mkdir(parents=True)
    (tree / "EFI/debian/grubenv").write_bytes(grubenv.block(Environment()))
    for slot, version in ((Slot.A, "0.1.0"), (Slot.B, "0.3.0")):
        (tree / slot.value).mkdir()
        for name, data in content(version).items():
            (tree / slot.value / name).write_bytes(data) if name != ROOT else roots[slot].write_bytes(data + bytes(999))
        (tree / slot.value / MANIFEST).write_bytes(manifest_of(version).to_json())
    subprocess.run(["mformat", "-i", esp, "-F", "-c", "1", "-T", str(_SECTORS), "::"], check=True)
    subprocess.run(["mcopy", "-s", "-i", esp, *sorted(tree.iterdir()), "::"], check=True)
    return SlotDisk(esp=esp, roots=roots, processes=processes or HostProcesses())


def upgrade(disk: SlotDisk, version: str) -> None:
    file = BytesIO(bundle_of(version))
    fill(disk, Slot.A, open_bundle(file, KEY.public), file, lambda _line: None)
    arm(disk, Slot.A)


def grub_reads(volume: Path, path: str) -> bytes:
    return subprocess.run(["grub-fstest", volume, "cat", f"(loop0){path}"], capture_output=True, check=True).stdout


def torn(before: bytes, after: bytes, keep: Callable[[], bool]) -> bytes:
    """Some of the sectors that changed."""
    volume = bytearray(before)
    for at in range(0, len(before), 1 << 16):
        if before[at : at + (1 << 16)] != after[at : at + (1 << 16)]:
            for start in range(at, min(at + (1 << 16), len(before)), _SECTOR):
                if before[start : start + _SECTOR] != after[start : start + _SECTOR] and keep():
                    volume[start : start + _SECTOR] = after[start : start + _SECTOR]
    return bytes(volume)


def test_a_bundle_comes_into_the_other_slot(tmp_path: Path) -> None:
    disk = made(tmp_path)
    assert disk.environment() == grubenv.block(Environment())
    assert disk.room(Slot.B) == 6499
    upgrade(disk, "0.2.0")
    assert grubenv.read(disk.environment()) == Environment(good=Slot.A, trial=Slot.B, left=True)
    assert grub_reads(disk.esp, "/EFI/debian/grubenv") == disk.environment()
    for slot, version in ((Slot.A, "0.1.0"), (Slot.B, "0.2.0")):
        assert content_of(disk, slot) == manifest_of(version)
        assert disk.roots[slot].read_bytes() == content(version)[ROOT] + bytes(999)
        for name in (KERNEL, RAMDISK, MENU):
            assert grub_reads(disk.esp, f"/{slot.value}/{name}") == content(version)[name]
    subprocess.run(["fsck.vfat", "-n", disk.esp], check=True, capture_output=True)


@pytest.mark.parametrize("seed", [11, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(8))])
def test_power_cuts_in_the_middle_of_a_tool_spare_the_running_slot(tmp_path: Path, seed: int) -> None:
    """Then the upgrade is begun again, cut off again while it mends what was left, and at last comes to its end."""
    watched = Watched(volume=tmp_path / "esp")
    disk = made(tmp_path, watched)
    upgrade(disk, "0.2.0")
    assert watched.tools == ["mdel"] * 4 + ["mcopy"] * 4
    rng, cut, mended = random.Random(seed), tmp_path / "cut", 0
    for before, after in watched.seen:
        cut.write_bytes(torn(before, after, lambda: rng.random() < 0.5))
        spared(cut)
        again = Watched(volume=cut)
        upgrade(SlotDisk(esp=cut, roots=disk.roots, processes=again), "0.2.0")
        came(cut)
        if again.tools[0] == "fsck.vfat":
            mended += 1
            cut.write_bytes(torn(*again.seen[0], lambda: rng.random() < 0.5))
            spared(cut)
            upgrade(SlotDisk(esp=cut, roots=disk.roots, processes=HostProcesses()), "0.2.0")
            came(cut)
    assert mended >= 2


def spared(volume: Path) -> None:
    assert grubenv.read(grub_reads(volume, "/EFI/debian/grubenv")) == Environment(good=Slot.A)
    for name in (KERNEL, RAMDISK, MENU):
        assert grub_reads(volume, f"/a/{name}") == content("0.1.0")[name]


def came(volume: Path) -> None:
    assert grubenv.read(grub_reads(volume, "/EFI/debian/grubenv")) == armed(Slot.A)
    for slot, version in ((Slot.A, "0.1.0"), (Slot.B, "0.2.0")):
        for name in (KERNEL, RAMDISK, MENU):
            assert grub_reads(volume, f"/{slot.value}/{name}") == content(version)[name]
    subprocess.run(["fsck.vfat", "-n", volume], check=True, capture_output=True)


def test_the_environment_is_written_in_its_place(tmp_path: Path) -> None:
    disk = made(tmp_path)
    before = disk.esp.read_bytes()
    disk.set_environment(grubenv.block(Environment(good=Slot.B)))
    after = disk.esp.read_bytes()
    changed = [at for at in range(0, len(before), _SECTOR) if before[at : at + _SECTOR] != after[at : at + _SECTOR]]
    assert len(changed) == 1
    assert disk.environment() == grubenv.block(Environment(good=Slot.B))


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    disk = made(tmp_path)
    with pytest.raises(MachineryError):
        SlotDisk(esp=tmp_path / "nowhere", roots=disk.roots, processes=HostProcesses()).environment()
    with pytest.raises(MachineryError, match="could not be read or written"):
        disk.write(Slot.B, "large", bytes(40 << 20))
    disk.roots[Slot.B].unlink()
    with pytest.raises(MachineryError, match="could not be read or written"):
        disk.write_root(Slot.B, [b"x"])
    assert disk.read(Slot.B, "nothing") is None


@pytest.mark.parametrize("said", [b"", b"::/x <1-2>", b"nonsense"], ids=range(3))
def test_a_place_that_makes_no_sense_is_not_written(said: bytes, tmp_path: Path) -> None:
    sector = made(tmp_path).esp.read_bytes()[:512]
    with pytest.raises(MachineryError):
        offset_of(sector, said)
    with pytest.raises(MachineryError):
        offset_of(bytes(512), b"<5>")
