"""The Debian installer with all of its parts in its ramdisk, and the part of Debian's archive that it installs from.

The archive's index is Debian's own, whole, so that Debian's signature holds: debootstrap and apt trust the keys that
they trust anyway. Files that nobody asks for are left out.
"""

import gzip
import lzma
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from images import cpio, rootfs
from images.archive import SUITE, Archive
from images.errors import BuildError
from images.installer import index, listing
from images.mirror import KEYRING
from images.processes import check
from images.ramdisk import modules, tree
from images.ramdisk.modules import KERNELS, SELECTIONS, Variant
from images.recipe import Recipe, ensure, hashes
from images.store import Entry, Store, sha256_of

NAME = "debian-13-installer"
VMLINUZ, INITRD, LISTING = "vmlinuz", "initrd.gz", "archive.json"
_FILE = "file."
_NETBOOT_INITRD, _PARTS = "netboot.gz", "parts.gz"
_NETBOOT = "debian-installer-13-netboot-amd64"
_BOOT = "usr/lib/debian-installer/images/13/amd64/text/debian-installer/amd64"
_INDEX = "main/binary-amd64/Packages.xz"
_CHECKED = "main/binary-amd64/Release"  # choose-mirror looks there for the architecture, and verifies nothing
_SYSTEM = (
    "busybox",
    "console-setup",
    "dhcpcd-base",
    "dosfstools",
    "ifupdown",
    "initramfs-tools",
    "keyboard-configuration",
    "locales",
    "openssh-server",
    "zstd",
)
_LOADERS = (
    ("grub-pc",),
    ("grub-efi-amd64", "grub-efi-amd64-signed", "shim-signed", "efibootmgr", "os-prober"),
)
_FILESYSTEMS = ("ext4", "vfat", "fat", "efivarfs", "nls_ascii", "nls_cp437", "nls_iso8859-1", "loop")
_PROGRAMS = ("mke2fs", "mkfs.ext4", "e2fsck", "fsck.ext4", "tune2fs")
_LIBRARIES = ("libext2fs.so.2*", "libe2p.so.2*", "libcom_err.so.2*", "libss.so.2*")
_HERE = Path(__file__).parent
_PACKAGE = _HERE.parent
_LOCK = _HERE / "udebs.lock"
_REPORT = ("usr/lib/innervate/report", "usr/lib/systemd/system/innervate-report.service")


def recipe_of(variant: Variant) -> Recipe:
    shared = (f"debian/files/{path}" for path in _REPORT)
    sources = hashes(_PACKAGE, ("installer/files/**/*", "cpio.py", "rootfs.py", *shared))
    return Recipe(name=_name(NAME, variant), suite=SUITE, options=(_base_recipe(variant).key,), sources=sources)


def ensure_installer(variant: Variant, store: Store, archive: Archive) -> Entry:
    """Artefacts: `vmlinuz`, `initrd.gz`, `archive.json` (see `listing`), and each file that the latter names. Raises
    ImagesError."""

    def build(work: Path) -> Mapping[str, Path]:
        base = _ensure_base(variant, store, archive)
        for artifact in base.artifacts:
            os.link(store.path_of(artifact.sha256), work / artifact.name)  # what is in the store is not copied
        whole = b"".join((work / name).read_bytes() for name in (_NETBOOT_INITRD, _PARTS)) + _packed(_scripts(work))
        (work / INITRD).write_bytes(whole)
        kept = (artifact.name for artifact in base.artifacts if artifact.name not in (_NETBOOT_INITRD, _PARTS))
        return {INITRD: work / INITRD, **{name: work / name for name in kept}}

    return ensure(recipe_of(variant), store, build, archive.progress)


def _name(name: str, variant: Variant) -> str:
    return name if variant is Variant.CLOUD else f"{name}-{variant}"


def _base_recipe(variant: Variant) -> Recipe:
    own = ("installer/*.py", "installer/*.lock", "cpio.py", "ramdisk/modules.py")
    packages = (_NETBOOT, *_SYSTEM, KERNELS[variant], *(name for one in _LOADERS for name in one))
    return Recipe(name=_name(f"{NAME}-base", variant), suite=SUITE, packages=packages, sources=hashes(_PACKAGE, own))


def _ensure_base(variant: Variant, store: Store, archive: Archive) -> Entry:
    """What takes a download: all but the scripts."""

    def build(work: Path) -> Mapping[str, Path]:
        boot = archive.unpack((_NETBOOT,), work) / _BOOT
        files = _archive(variant, archive, work)
        parts = work / "parts"
        parts.mkdir()
        _add_udebs(parts, archive, work)
        _add_kernel_parts(parts, index.kernel_version((boot / "linux").read_bytes()), variant, archive, work / "source")
        archive.progress("packing the installer's parts")
        (work / _PARTS).write_bytes(_packed(parts))
        return {VMLINUZ: boot / "linux", _NETBOOT_INITRD: boot / "initrd.gz", _PARTS: work / _PARTS, **files}

    return ensure(_base_recipe(variant), store, build, archive.progress)


def _archive(variant: Variant, archive: Archive, work: Path) -> Mapping[str, Path]:
    """The list, and the files that it names."""
    signed = _Signed.fetched(archive, work / "files")
    names = {*index.always(signed.packages.values()), *_SYSTEM, KERNELS[variant]}
    closures = [archive.closure(sorted(names), work), *(archive.closure(loader, work) for loader in _LOADERS)]
    wanted = index.chosen(signed.packages, frozenset[str]().union(*closures))
    there = {**signed.files, **archive.fetch(wanted, work / "files")}
    digests = {path: sha256_of(file) for path, file in there.items()}
    (work / LISTING).write_text(listing.to_json({**digests, **_by_hash(digests)}))
    return {LISTING: work / LISTING, **{_FILE + digests[path]: file for path, file in there.items()}}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signed:
    """`files` are Debian's signed Release file and the index that it vouches for."""

    packages: Mapping[str, index.Package]
    files: Mapping[str, Path]

    @classmethod
    def fetched(cls, archive: Archive, folder: Path) -> "_Signed":
        top = f"dists/{SUITE}"
        release = archive.fetch({f"{top}/InRelease": ""}, folder)
        plain = folder / top / "Release"
        verify = ["gpgv", "-q", "--keyring", KEYRING, "--output", str(plain)]
        check(archive.processes, [*verify, str(release[f"{top}/InRelease"])])
        table = index.release_table(plain.read_text("utf-8"))
        if _INDEX not in table:
            raise BuildError("the archive's Release file names no index of packages", evidence=_INDEX)
        indices = archive.fetch({f"{top}/{_INDEX}": table[_INDEX]}, folder)
        checked = folder / top / _CHECKED
        checked.write_text("Component: main\nArchitecture: amd64\n")
        text = lzma.decompress(indices[f"{top}/{_INDEX}"].read_bytes()).decode()
        return cls(
            packages=index.parse_packages(text),
            files={f"{top}/Release": plain, f"{top}/{_CHECKED}": checked, **release, **indices},
        )


def _by_hash(digests: Mapping[str, str]) -> Mapping[str, str]:
    """What apt and debootstrap ask for where the Release file says `Acquire-By-Hash`."""
    found = ((path.rpartition("/")[0], digest) for path, digest in digests.items() if path.endswith("/Packages.xz"))
    return {f"{folder}/by-hash/SHA256/{digest}": digest for folder, digest in found}


def _scripts(work: Path) -> Path:
    tree = work / "scripts"
    rootfs.lay_over(_HERE / "files", tree)
    for path in _REPORT:
        rootfs.lay_file(_PACKAGE / "debian/files" / path, tree / "innervate" / Path(path).name)
    return tree


def _add_udebs(parts: Path, archive: Archive, work: Path) -> None:
    udebs = parts / "innervate/udebs"
    udebs.mkdir(parents=True)
    for udeb in archive.fetch(index.parse_lock(_LOCK.read_text("utf-8")), work / "udebs").values():
        shutil.copyfile(udeb, udebs / udeb.name)


def _add_kernel_parts(parts: Path, version: str, variant: Variant, archive: Archive, source: Path) -> None:
    """From packages of the signed index: they change with each point release, as the installer's own kernel does."""
    # kmod loads liblzma when it meets a packed module; without it, it finds that no module needs another.
    archive.bootstrap("extract", ("kmod", "liblzma5", f"linux-image-{version}", "e2fsprogs"), source)
    tree.link_merged_usr(source)
    check(archive.processes, ["chroot", str(source), "depmod", version])
    folder = f"usr/lib/modules/{version}"
    needs = modules.parse_dependencies((source / folder / "modules.dep").read_text())
    if not any("/jbd2." in need for name, found in needs.items() if "/ext4." in name for need in found):
        raise BuildError("depmod has not read the modules", evidence="ext4 needs jbd2, and modules.dep does not say so")
    modules.copy(source / folder, parts / folder, (*SELECTIONS[variant], *_FILESYSTEMS))
    programs, libraries = parts / "usr/sbin", parts / "usr/lib/x86_64-linux-gnu"
    programs.mkdir(parents=True)
    libraries.mkdir(parents=True)
    for name in _PROGRAMS:
        shutil.copy(source / "usr/sbin" / name, programs / name)
    for pattern in _LIBRARIES:
        for path in (source / "usr/lib/x86_64-linux-gnu").glob(pattern):
            shutil.copy(path, libraries / path.name)
    (parts / "etc").mkdir(exist_ok=True)
    shutil.copyfile(source / "etc/mke2fs.conf", parts / "etc/mke2fs.conf")


def _packed(parts: Path) -> bytes:
    """The kernel unpacks one archive behind the other (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    return gzip.compress(b"".join(cpio.pack(parts)), compresslevel=6, mtime=0)
