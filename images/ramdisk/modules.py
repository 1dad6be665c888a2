"""Which kernel modules a ramdisk takes along: by folder or name, with everything they depend on."""

import lzma
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path, PurePosixPath

from images.errors import BuildError


class Variant(StrEnum):
    """`cloud` is small and for virtual machines, `generic` drives real servers."""

    CLOUD = "cloud"
    GENERIC = "generic"


KERNELS = {Variant.CLOUD: "linux-image-cloud-amd64", Variant.GENERIC: "linux-image-amd64"}

_FILESYSTEMS = ("efivarfs", "vfat", "nls_ascii", "nls_cp437", "nls_iso8859-1")
_VIRTUAL = (
    *_FILESYSTEMS,
    "drivers/virtio",
    "drivers/nvme/host",
    "virtio_net",
    "virtio_blk",
    "virtio_scsi",
    "virtio-rng",
    "qemu_fw_cfg",
    "sd_mod",
    "sr_mod",
    "ahci",
    "ata_piix",
)
_PHYSICAL = (
    "drivers/net/ethernet",
    "drivers/net/mdio",
    "drivers/net/pcs",
    "drivers/net/phy",
    "drivers/ata",
    "drivers/scsi",
    "drivers/message",
    "drivers/md",
    "drivers/usb/host",
    "drivers/usb/storage",
    "drivers/net/usb/cdc_ether",
    "drivers/hid/usbhid",
    "drivers/hid/hid-generic",
    "drivers/char/ipmi",
    "drivers/char/hw_random",
    "drivers/char/tpm",
    "drivers/platform/x86/dell",
    "drivers/firmware",
)
# Bulky, and for hardware that is not in servers or needs firmware files that Debian's main archive lacks.
_UNWANTED = ("drivers/net/ethernet/netronome", "drivers/net/ethernet/cavium", "drivers/net/ethernet/mellanox/mlxsw")

SELECTIONS: Mapping[Variant, tuple[str, ...]] = {
    Variant.CLOUD: _VIRTUAL,
    Variant.GENERIC: (*_VIRTUAL, *_PHYSICAL),
}


def parse_dependencies(text: str) -> dict[str, tuple[str, ...]]:
    """modules.dep(5): path of each module -> paths of those it needs (depmod lists indirect ones too)."""
    rows = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {module: tuple(needed.split()) for module, _, needed in rows}


def select(dependencies: Mapping[str, tuple[str, ...]], wanted: Iterable[str]) -> list[str]:
    """Paths, sorted, of the modules that lie in a wanted folder (below kernel/) or bear a wanted name, and their needs.

    A name the kernel does not have as a module is skipped: it may be built in.
    """
    choices = tuple(wanted)
    chosen = {module for module in dependencies if _is_wanted(module, choices)}
    return sorted(chosen.union(*(dependencies[module] for module in chosen)))


def copy(source: Path, target: Path, wanted: Iterable[str]) -> int:
    """Copy the selection between two /usr/lib/modules/VERSION folders; returns how many. Raises BuildError.

    Modules are stored unpacked: the archive around them is compressed anyway, and xz in the kernel is slow.
    """
    modules = select(parse_dependencies((source / "modules.dep").read_text()), wanted)
    if not modules:
        raise BuildError("the kernel package has none of the wanted modules", evidence=str(source))
    for module in modules:
        path = target / module.removesuffix(".xz")
        path.parent.mkdir(parents=True, exist_ok=True)
        data = (source / module).read_bytes()
        path.write_bytes(lzma.decompress(data) if module.endswith(".xz") else data)
    for index in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        (target / index).write_bytes((source / index).read_bytes())
    return len(modules)


def _is_wanted(module: str, choices: tuple[str, ...]) -> bool:
    path = module.removeprefix("kernel/")
    if path.startswith(_UNWANTED):
        return False
    name = PurePosixPath(path).name.partition(".")[0]
    folders = tuple(choice + "/" for choice in choices)
    stem = PurePosixPath(path).with_name(name).as_posix()
    return name in choices or stem in choices or path.startswith(folders)
