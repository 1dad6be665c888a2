"""The raw disk of the appliance, without loop devices or mounts.

LBA 0     protective MBR with GRUB's boot code, then the GPT
1 MiB     BIOS boot partition: GRUB core.img
2 MiB     EFI system partition, FAT32: shim and GRUB as Debian signed them; below /a and /b kernel and ramdisk of a slot
 ...      root of slot a: SquashFS, read-only

Slot b and the data partition are made on the first boot, in whatever room the disk or stick has (`grow` in the image).
"""

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from images import grub
from images.archive import Archive
from images.epoch import EPOCH, at_epoch, date_back
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
_PREFIX = "(,gpt2)/EFI/debian"
SIGNED = {
    "EFI/BOOT/BOOTX64.EFI": "usr/lib/shim/shimx64.efi.signed",
    "EFI/BOOT/mmx64.efi": "usr/lib/shim/mmx64.efi.signed",
    "EFI/BOOT/grubx64.efi": "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
}


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


def build(tree: Path, boot: Path, identity: str, work: Path, archive: Archive) -> Path:
    """The raw disk, `work`/disk.raw. `boot` holds the files of the signed loaders. Raises BuildError, ToolError."""
    processes = archive.processes
    esp = stage_esp(tree, boot, work / "esp")
    archive.progress("packing the root file system")
    root = _pack(tree, work / "root.squashfs", processes)
    layout = Layout(root_size=-(-root.stat().st_size // _MIB), identity=identity)
    (esp / _CONFIGURATION).write_text(_menu(layout))
    raw = work / "disk.raw"
    with raw.open("wb") as file:
        file.truncate(layout.size)
    _partition(raw, layout, processes)
    _place(root, raw)
    _write_esp(raw, esp, layout, processes)
    core = grub.core_of("i386-pc", _PREFIX, ("fat", "loadenv", "search"), work, processes)
    grub.write_boot_code(raw, core, _CORE_LBA, _MIB // grub.SECTOR)
    return raw


def stage_esp(tree: Path, boot: Path, esp: Path) -> Path:
    for name, source in SIGNED.items():
        (esp / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(boot / source, esp / name)
    (esp / _CONFIGURATION).parent.mkdir()
    slot = esp / "a"
    slot.mkdir()
    for name in ("vmlinuz", "initrd.img"):
        (kernel,) = (tree / "boot").glob(f"{name}-*")
        shutil.move(kernel, slot / name)
    date_back(tree / "boot")
    return esp


def _pack(tree: Path, image: Path, processes: Processes) -> Path:
    options = ["-comp", "zstd", "-Xcompression-level", _LEVEL, "-noappend", "-no-progress", "-quiet"]
    check(processes, ["mksquashfs", str(tree), str(image), *options, "-mkfs-time", str(EPOCH)], timeout=1800)
    return image


def _menu(layout: Layout) -> str:
    return (_HERE / "grub.cfg").read_text("utf-8").replace("@ROOT_A@", layout.id_of("root-a"))


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
