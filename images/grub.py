"""GRUB on a GPT disk, as grub-mkimage and grub-install would place it, in a file instead of on a device.

Offsets: GRUB 2 source, include/grub/i386/pc/boot.h (boot.img) and grub-core/boot/i386/pc/diskboot.S (core.img).
"""

import struct
from collections.abc import Iterable
from pathlib import Path

from images.errors import BuildError
from images.ports import Processes
from images.processes import check

SECTOR = 512
_CODE = 440  # the rest of sector 0 is the protective MBR's signature and table
_KERNEL_SECTOR = 0x5C
_DRIVE_CHECK = 0x66
_BLOCK_LIST = SECTOR - 12
_CORE_SEGMENT = 0x820
_NOPS = b"\x90\x90"

# What a menu needs, whatever file system it stands on.
_MODULES = ("part_gpt", "normal", "configfile", "linux", "echo", "serial", "terminal", "test", "minicmd")
_TARGETS = {
    "i386-pc": ("biosdisk",),
    "i386-pc-eltorito": ("biosdisk", "iso9660"),
    "x86_64-efi": ("fat", "efi_gop", "all_video"),
}


def core_of(target: str, prefix: str, modules: Iterable[str], work: Path, processes: Processes) -> Path:
    """core.img ("i386-pc"), the boot image of a CD ("i386-pc-eltorito") or an EFI program ("x86_64-efi"), which reads
    `prefix`/grub.cfg. Raises ToolError."""
    image = work / f"grub.{target}"
    wanted = (*_MODULES, *modules, *_TARGETS[target])
    check(processes, ["grub-mkimage", "-O", target, "-p", prefix, "-o", str(image), *wanted])
    return image


def write_boot_code(raw: Path, core: Path, core_lba: int, sectors: int) -> None:
    """Into sector 0 and the BIOS boot partition. Raises BuildError."""
    boot_img = Path("/usr/lib/grub/i386-pc/boot.img").read_bytes()
    with raw.open("r+b") as disk:
        disk.write(boot_code(boot_img, core_lba))
        disk.seek(core_lba * SECTOR)
        disk.write(placed_core(core.read_bytes(), core_lba, sectors))


def boot_code(boot_img: bytes, core_lba: int) -> bytes:
    """The first 440 bytes of the disk: boot.img told where core.img starts. Raises BuildError."""
    if len(boot_img) != SECTOR:
        raise BuildError("boot.img is not one sector", evidence=f"{len(boot_img)} bytes")
    code = bytearray(boot_img)
    struct.pack_into("<Q", code, _KERNEL_SECTOR, core_lba)
    # The jump there is for floppies: a hard disk's firmware may pass a wrong drive number, which GRUB then mends.
    code[_DRIVE_CHECK : _DRIVE_CHECK + 2] = _NOPS
    return bytes(code[:_CODE])


def placed_core(core_img: bytes, core_lba: int, sectors: int) -> bytes:
    """core.img as it stands in the BIOS boot partition of that many sectors. Raises BuildError."""
    needed = -(-len(core_img) // SECTOR)
    if not 1 < needed <= sectors:
        raise BuildError("core.img does not fit its partition", evidence=f"{needed} of {sectors} sectors")
    core = bytearray(core_img)
    struct.pack_into("<QHH", core, _BLOCK_LIST, core_lba + 1, needed - 1, _CORE_SEGMENT)
    return bytes(core)
