"""The ISO of the appliance: for CDs and virtual drives, and just as well for a stick that it is written to as it is.

ISO 9660      /a: kernel, ramdisk and SquashFS of the raw disk; /boot/grub: GRUB's configuration and its BIOS image
El Torito     GRUB for BIOS; for UEFI a FAT volume with shim and GRUB as Debian signed them for CDs
behind it     that FAT volume, which a GPT names, too, and in LBA 0 GRUB's boot code: so a stick boots

Debian's GRUB for CDs looks for the file /.disk/info and reads /boot/grub/grub.cfg beside it.
"""

import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from images import grub
from images.appliance import loaders
from images.bundle import KERNEL, RAMDISK, ROOT
from images.epoch import EPOCH, at_epoch
from images.ports import Processes
from images.processes import check

_HERE = Path(__file__).parent
_ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
_ESP_SIZE = 8 << 20
_BIOS = "boot/grub/eltorito.img"
_BIOS_MODULES = ("part_msdos", "search", "search_fs_file")
_HYBRID = "/usr/lib/grub/i386-pc/boot_hybrid.img"


def label_of(identity: str) -> str:
    """The volume's, by which the ramdisk finds its medium among others. `identity` starts with 8 hex digits."""
    return f"INNERVATE_{identity[:8].upper()}"


def build(parts: Mapping[str, Path], boot: Path, identity: str, work: Path, processes: Processes) -> Path:
    """`work`/appliance.iso. `parts` by their names in a bundle; `boot` holds the files of the signed loaders. Raises
    ToolError."""
    content, esp, iso = work / "content", work / "esp.img", work / "appliance.iso"
    _stage(parts, content, label_of(identity))
    _write_bios_image(content, work, processes)
    _write_esp(esp, boot, work / "esp", identity, processes)
    check(processes, at_epoch(_xorriso(content, esp, iso, identity)), timeout=600)
    return iso


def _stage(parts: Mapping[str, Path], content: Path, label: str) -> None:
    for folder in ("a", "boot/grub", ".disk"):
        (content / folder).mkdir(parents=True)
    for name in (KERNEL, RAMDISK, ROOT):
        shutil.copyfile(parts[name], content / "a" / name)
    (content / ".disk/info").write_text(f"{label}\n")
    (content / "boot/grub/grub.cfg").write_text((_HERE / "iso.cfg").read_text("utf-8").replace("@LABEL@", label))


def _write_bios_image(content: Path, work: Path, processes: Processes) -> None:
    core = grub.core_of("i386-pc-eltorito", "/boot/grub", _BIOS_MODULES, work, processes)
    shutil.copyfile(core, content / _BIOS)


def _write_esp(image: Path, boot: Path, staged: Path, identity: str, processes: Processes) -> None:
    loaders.stage(loaders.FOR_CDS, boot, staged)
    with image.open("wb") as file:
        file.truncate(_ESP_SIZE)
    sectors, serial = str(_ESP_SIZE // grub.SECTOR), identity[:8]
    check(processes, at_epoch(["mformat", "-i", str(image), "-T", sectors, *_GEOMETRY, "-N", serial, "::"]))
    check(processes, at_epoch(["mcopy", "-i", str(image), "-s", str(staged / "EFI"), "::"]))


_GEOMETRY = ("-h", "16", "-s", "63", "-v", "INNERVATE")


def _xorriso(content: Path, esp: Path, iso: Path, identity: str) -> list[str]:
    """As grub-mkrescue calls it."""
    bios = ["-b", _BIOS, "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "--grub2-boot-info"]
    uefi = ["-eltorito-alt-boot", "-e", "--interval:appended_partition_2:all::", "-no-emul-boot"]
    stick = ["--grub2-mbr", _HYBRID, "--mbr-force-bootable", "-partition_offset", "16", "-appended_part_as_gpt"]
    appended = ["-append_partition", "2", _ESP, str(esp), "--gpt_disk_guid", _guid(identity)]
    names = ["-r", "-V", label_of(identity), "--set_all_file_dates", f"={EPOCH}"]
    return [*_MKISOFS, *names, *bios, *stick, *appended, *uefi, "-o", str(iso), str(content)]


_MKISOFS = ("xorriso", "-as", "mkisofs", "-quiet")


def _guid(identity: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{identity}/iso"))
