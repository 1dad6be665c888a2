"""The raw disk of the appliance, without loop devices or mounts.

LBA 0     protective MBR with GRUB's boot code, then the GPT
1 MiB     BIOS boot partition: GRUB core.img
2 MiB     EFI system partition, FAT32: shim and GRUB as Debian signed them, GRUB's environment; below /a and /b kernel,
          ramdisk and what GRUB is told of a slot
 ...      root of slot a: SquashFS, read-only

Slot b and the data partition are made on the first boot, in whatever room the disk or stick has (`grow` in the image).
"""

import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from images import grub, grubenv
from images.appliance import loaders
from images.archive import Archive
from images.bundle import KERNEL, MENU, RAMDISK, ROOT
from images.epoch import EPOCH, at_epoch, date_back
from images.grubenv import Environment, Slot
from images.ports import Processes
from images.processes import check

_MIB = 1 << 20
_CORE_LBA = 2048
_ESP_START, _ESP_SIZE = 2, 510
_ROOT_START = _ESP_START + _ESP_SIZE
_TAIL = 1
_LEVEL = "9"
_BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649"
_HERE = Path(__file__).parent
# Where Debian's signed GRUB looks for its configuration, on the partition that it was started from.
_CONFIGURATION = "EFI/debian/grub.cfg"
_ENVIRONMENT = "EFI/debian/grubenv"
_PREFIX = "(,gpt2)/EFI/debian"
_MODULES = ("fat", "loadenv", "search", "sleep", "reboot")
MANIFEST = "manifest.json"
"""In a slot's folder on the ESP: what stands in the slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """`root_size` in MiB; `identity` seeds the ids of the partitions."""

    root_size: int
    identity: str

    @property
    def size(self) -> int:
        """Of the raw disk, in bytes."""
        return (_ROOT_START + self.root_size + _TAIL) * _MIB

    def id_of(self, name: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.identity}/{name}"))


def take_parts(tree: Path, work: Path, archive: Archive) -> Mapping[str, Path]:
    """A slot's parts, by name. Kernel and ramdisk are moved out of the tree. Raises ToolError."""
    slot = work / "esp" / Slot.A.value
    take_kernel(tree, slot)
    shutil.copyfile(_HERE / "slot.cfg", slot / MENU)
    archive.progress("packing the root file system")
    return {name: slot / name for name in (KERNEL, RAMDISK, MENU)} | {
        ROOT: _pack(tree, work / "root.squashfs", archive.processes)
    }


def take_kernel(tree: Path, slot: Path) -> None:
    """And the ramdisk with it, out of the tree; `slot` is made."""
    slot.mkdir(parents=True)
    for name in (KERNEL, RAMDISK):
        (found,) = (tree / "boot").glob(f"{name}-*")
        shutil.move(found, slot / name)
    date_back(tree / "boot")


def build(root: Path, boot: Path, manifest: bytes, identity: str, work: Path, archive: Archive) -> Path:
    """The raw disk, `work`/disk.raw, of what `take_parts` took. `boot` holds the files of the signed loaders. Raises
    BuildError, ToolError."""
    processes = archive.processes
    layout = Layout(root_size=-(-root.stat().st_size // _MIB), identity=identity)
    esp = _stage_esp(layout, boot, work / "esp")
    (esp / Slot.A.value / MANIFEST).write_bytes(manifest)
    raw = work / "disk.raw"
    with raw.open("wb") as file:
        file.truncate(layout.size)
    _partition(raw, layout, processes)
    _place(root, raw)
    _write_esp(raw, esp, layout, processes)
    core = grub.core_of("i386-pc", _PREFIX, _MODULES, work, processes)
    grub.write_boot_code(raw, core, _CORE_LBA, _MIB // grub.SECTOR)
    return raw


def _stage_esp(layout: Layout, boot: Path, esp: Path) -> Path:
    loaders.stage(loaders.FOR_DISKS, boot, esp)
    (esp / _CONFIGURATION).parent.mkdir()
    (esp / _CONFIGURATION).write_text(menu(layout))
    (esp / _ENVIRONMENT).write_bytes(grubenv.block(Environment()))
    (esp / Slot.B.value).mkdir()
    return esp


def _pack(tree: Path, image: Path, processes: Processes) -> Path:
    options = ["-comp", "zstd", "-Xcompression-level", _LEVEL, "-noappend", "-no-progress", "-quiet"]
    check(processes, ["mksquashfs", str(tree), str(image), *options, "-mkfs-time", str(EPOCH)], timeout=1800)
    return image


def menu(layout: Layout) -> str:
    """GRUB's configuration for a disk with these partitions, those that the first boot makes included."""
    text = (_HERE / "grub.cfg").read_text("utf-8")
    for word, name in (("@ROOT_A@", "root-a"), ("@ROOT_B@", "root-b"), ("@ESP@", "esp")):
        text = text.replace(word, layout.id_of(name))
    return text


def _partition(raw: Path, layout: Layout, processes: Processes) -> None:
    table = (
        f"label: gpt\nlabel-id: {layout.id_of('disk')}\n"
        f"start={_CORE_LBA}, size=1MiB, type={_BIOS_BOOT}, name=bios, uuid={layout.id_of('bios')}\n"
        f"start={_ESP_START}MiB, size={_ESP_SIZE}MiB, type=uefi, name=esp, uuid={layout.id_of('esp')}\n"
        f"start={_ROOT_START}MiB, size={layout.root_size}MiB, type=linux, name=root-a, uuid={layout.id_of('root-a')}\n"
    )
    check(processes, ["sfdisk", "--quiet", str(raw)], stdin=table.encode())


def _place(root: Path, raw: Path) -> None:
    with root.open("rb") as source, raw.open("r+b") as disk:
        disk.seek(_ROOT_START * _MIB)
        shutil.copyfileobj(source, disk, _MIB)


def _write_esp(raw: Path, esp: Path, layout: Layout, processes: Processes) -> None:
    image = f"{raw}@@{_ESP_START}M"
    sectors = str(_ESP_SIZE * _MIB // grub.SECTOR)
    serial = layout.id_of("esp").replace("-", "")[:8]
    check(processes, at_epoch(["mformat", "-i", image, "-F", "-T", sectors, "-v", "INNERVATE", "-N", serial, "::"]))
    check(processes, at_epoch(["mcopy", "-i", image, "-s", *(str(path) for path in sorted(esp.iterdir())), "::"]))
