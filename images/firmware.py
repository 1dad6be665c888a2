"""Firmware for virtual machines and network boot programs for all machines, as Debian builds them."""

from collections.abc import Mapping
from pathlib import Path

from images import rootfs
from images.archive import SUITE, Archive
from images.recipe import Recipe, ensure
from images.store import Entry, Store

NAME = "firmware"
_PACKAGES = ("ovmf", "ipxe", "ipxe-qemu", "shim-signed", "grub-efi-amd64-signed")
_FILES = {
    "OVMF_CODE_4M.fd": "usr/share/OVMF/OVMF_CODE_4M.fd",
    "OVMF_VARS_4M.fd": "usr/share/OVMF/OVMF_VARS_4M.fd",
    "OVMF_CODE_4M.secboot.fd": "usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
    "OVMF_VARS_4M.ms.fd": "usr/share/OVMF/OVMF_VARS_4M.ms.fd",
    "undionly.kpxe": "usr/lib/ipxe/undionly.kpxe",
    "ipxe.pxe": "usr/lib/ipxe/ipxe.pxe",
    "snponly.efi": "usr/lib/ipxe/snponly.efi",
    "ipxe.efi": "usr/lib/ipxe/ipxe-amd64.efi",
    "ipxe-arm64.efi": "usr/lib/ipxe/ipxe-arm64.efi",
    "shimx64.efi": "usr/lib/shim/shimx64.efi.signed",
    "grubx64.efi": "usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed",
    # The option ROM of a virtio NIC in a BIOS machine; the 2019 build of older QEMUs waits 18 s for an IPv6 router.
    "pxe-virtio.rom": "usr/share/qemu/pxe-virtio.rom",
}


def recipe_of() -> Recipe:
    options = tuple(f"{name}={path}" for name, path in _FILES.items())
    return Recipe(name=NAME, suite=SUITE, packages=_PACKAGES, options=(*options, rootfs.PACKAGES))


def ensure_firmware(store: Store, archive: Archive) -> Entry:
    """Artefacts: the keys of `_FILES`, and `packages.json`. Raises ImagesError."""

    def build(work: Path) -> Mapping[str, Path]:
        tree = archive.unpack(_PACKAGES, work)
        listed = rootfs.list_packages(sorted(work.glob("*.deb")), tree, work, archive)
        return {name: tree / path for name, path in _FILES.items()} | {rootfs.PACKAGES: listed}

    return ensure(recipe_of(), store, build, archive.progress)
