"""What a machine needs to build images, and has not."""

import os
import shutil
from pathlib import Path

from images.processes import SBIN

_PROGRAMS = {
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "grub-mkimage": "grub-common",
    "mformat": "mtools",
    "mmdebstrap": "mmdebstrap",
    "mksquashfs": "squashfs-tools",
    "qemu-img": "qemu-utils",
    "sfdisk": "fdisk",
    "tar": "tar",
    "unshare": "util-linux",
    "xorriso": "xorriso",
    "zstd": "zstd",
}
_FILES = {
    "/usr/lib/grub/i386-pc/boot_hybrid.img": "grub-pc-bin",
    "/usr/lib/grub/x86_64-efi/modinfo.sh": "grub-efi-amd64-bin",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}


def lacking() -> tuple[str, ...]:
    """The Debian packages, sorted."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *SBIN))
    programs = {package for program, package in _PROGRAMS.items() if shutil.which(program, path=path) is None}
    files = {package for file, package in _FILES.items() if not Path(file).exists()}
    return tuple(sorted(programs | files))
