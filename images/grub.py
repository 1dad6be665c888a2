"""GRUB's BIOS boot code for a GPT disk, as grub-install would place it, on bytes instead of a device.

Offsets: GRUB 2 source, include/grub/i386/pc/boot.h (boot.img) and grub-core/boot/i386/pc/diskboot.S (core.img).
"""

import struct

from images.errors import BuildError

SECTOR = 512
_CODE = 440  # the rest of sector 0 is the protective MBR's signature and table
_KERNEL_SECTOR = 0x5C
_DRIVE_CHECK = 0x66
_BLOCK_LIST = SECTOR - 12
_CORE_SEGMENT = 0x820
_NOPS = b"\x90\x90"


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
