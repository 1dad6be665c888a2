"""A raw disk from a root tree, without loop devices or mounts: sfdisk, mke2fs -d and mtools write into the file.

LBA 0      protective MBR with GRUB's boot code, then the GPT
1 MiB      BIOS boot partition: GRUB core.img
2 MiB      EFI system partition, FAT32: EFI/BOOT/BOOTX64.EFI (the removable path, found without NVRAM entries)
66 MiB     root, ext4
"""

import uuid
from dataclasses import dataclass
from pathlib import Path

from images import grub
from images.epoch import at_epoch
from images.ports import Processes
from images.processes import check

_MIB = 1 << 20
_CORE_LBA = 2048
_ESP_START, _ESP_SIZE = 2, 64
_ROOT_START = _ESP_START + _ESP_SIZE
_JOURNAL = 64
_TAIL = 1  # the backup GPT
_ROOT_NUMBER = 3
_BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649"
# "(,gpt3)" is partition 3 of whatever disk GRUB came from: a twin of this image on another disk is not mistaken for it.
_PREFIX = f"(,gpt{_ROOT_NUMBER})/boot/grub"
_CONFIGURATION = """\
set timeout=0
if serial --unit=0 --speed=115200; then terminal_output console serial; fi
echo innervate: GRUB
linux /vmlinuz root=PARTUUID={partition} rw quiet {arguments}console=tty0 console=ttyS0,115200
initrd /initrd.img
boot
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """`root_size` in MiB; `identity` seeds the ids of the partitions, so that equal input gives an equal disk.
    `arguments` are more of the kernel's, each with a blank behind it."""

    root_size: int
    identity: str
    arguments: str = ""

    @property
    def size(self) -> int:
        """Of the raw disk, in bytes."""
        return (_ROOT_START + self.root_size + _TAIL) * _MIB

    def id_of(self, name: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.identity}/{name}"))


def root_size_for(content: int) -> int:
    """MiB of root for that many bytes of files: ext4's own tables, a journal, and room to boot before it grows."""
    return -(-content * 108 // (100 * _MIB)) + _JOURNAL + 32


def build(tree: Path, layout: Layout, work: Path, processes: Processes) -> Path:
    """The raw disk, `work`/disk.raw. `tree` gets its boot/grub/grub.cfg. Raises BuildError, ToolError."""
    raw = work / "disk.raw"
    with raw.open("wb") as file:
        file.truncate(layout.size)
    _write_configuration(tree, layout)
    _partition(raw, layout, processes)
    _write_root(raw, tree, layout, processes)
    efi, bios = (grub.core_of(target, _PREFIX, ("ext2",), work, processes) for target in ("x86_64-efi", "i386-pc"))
    _write_esp(raw, efi, layout, processes)
    grub.write_boot_code(raw, bios, _CORE_LBA, _MIB // grub.SECTOR)
    return raw


def _write_configuration(tree: Path, layout: Layout) -> None:
    path = tree / "boot/grub/grub.cfg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_CONFIGURATION.format(partition=layout.id_of("root"), arguments=layout.arguments))


def _partition(raw: Path, layout: Layout, processes: Processes) -> None:
    table = (
        f"label: gpt\nlabel-id: {layout.id_of('disk')}\n"
        f"start={_CORE_LBA}, size=1MiB, type={_BIOS_BOOT}, name=bios, uuid={layout.id_of('bios')}\n"
        f"start={_ESP_START}MiB, size={_ESP_SIZE}MiB, type=uefi, name=esp, uuid={layout.id_of('esp')}\n"
        f"start={_ROOT_START}MiB, size={layout.root_size}MiB, type=linux, name=root, uuid={layout.id_of('root')}\n"
    )
    check(processes, ["sfdisk", "--quiet", str(raw)], stdin=table.encode())


def _write_root(raw: Path, tree: Path, layout: Layout, processes: Processes) -> None:
    # GRUB 2.06 reads neither metadata_csum_seed nor orphan_file.
    features = ["-O", "^metadata_csum_seed,^orphan_file", "-b", "4096", "-i", "16384", "-J", f"size={_JOURNAL}"]
    tuning = f"offset={_ROOT_START * _MIB},hash_seed={layout.id_of('hash')},lazy_itable_init=0,lazy_journal_init=0"
    identity = ["-L", "root", "-U", layout.id_of("filesystem")]
    argv = [*_mke2fs(tree), "-q", "-F", "-t", "ext4", *features, *identity, "-E", tuning, "-d", str(tree)]
    check(processes, at_epoch([*argv, str(raw), f"{layout.root_size}M"]), timeout=600)


def _mke2fs(tree: Path) -> list[str]:
    """The image's own, which unlike older ones dates every file by the epoch, with its own settings."""
    loader, libraries = tree / "usr/lib64/ld-linux-x86-64.so.2", tree / "usr/lib/x86_64-linux-gnu"
    settings = f"MKE2FS_CONFIG={tree / 'etc/mke2fs.conf'}"
    return ["env", settings, str(loader), "--library-path", str(libraries), str(tree / "usr/sbin/mke2fs")]


def _write_esp(raw: Path, loader: Path, layout: Layout, processes: Processes) -> None:
    serial = layout.id_of("esp").replace("-", "")[:8]
    image = f"{raw}@@{_ESP_START}M"
    sectors = str(_ESP_SIZE * _MIB // grub.SECTOR)
    for argv in (
        ["mformat", "-i", image, "-F", "-T", sectors, "-v", "ESP", "-N", serial, "::"],
        ["mmd", "-i", image, "::EFI", "::EFI/BOOT"],
        ["mcopy", "-i", image, str(loader), "::EFI/BOOT/BOOTX64.EFI"],
    ):
        check(processes, at_epoch(argv))
