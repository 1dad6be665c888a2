"""Shim and GRUB as Debian signed them, where UEFI firmware looks for them on a volume."""

import shutil
from collections.abc import Mapping
from pathlib import Path

_GRUB = "usr/lib/grub/x86_64-efi-signed"
_SHIM = {
    "EFI/BOOT/BOOTX64.EFI": "usr/lib/shim/shimx64.efi.signed",
    "EFI/BOOT/mmx64.efi": "usr/lib/shim/mmx64.efi.signed",
}
FOR_DISKS: Mapping[str, str] = {**_SHIM, "EFI/BOOT/grubx64.efi": f"{_GRUB}/grubx64.efi.signed"}
FOR_CDS: Mapping[str, str] = {**_SHIM, "EFI/BOOT/grubx64.efi": f"{_GRUB}/gcdx64.efi.signed"}


def stage(loaders: Mapping[str, str], boot: Path, volume: Path) -> None:
    """`boot` holds the files of Debian's packages."""
    for name, source in loaders.items():
        (volume / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(boot / source, volume / name)
