"""The ramdisk in two recipes: the Debian part, which takes a download, and on top the agent, which takes seconds."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from images import cpio, packages, rootfs
from images.archive import SUITE, Archive
from images.epoch import settle
from images.processes import check
from images.ramdisk import tree
from images.ramdisk.modules import KERNELS, SELECTIONS, Variant
from images.recipe import Recipe, ensure, hashes
from images.store import Entry, Store

KERNEL = "vmlinuz"
INITRD = "initrd.zst"
_BASE = "base.tar"
_PACKAGES = (
    "busybox",
    "dmidecode",
    "dropbear-bin",
    "efibootmgr",
    "fdisk",
    "iproute2",
    "kmod",
    "lshw",
    "nvme-cli",
    "pci.ids",
    "python3",
    "python3-cffi-backend",
    "python3-cryptography",
    "python3-zstandard",
    "smartmontools",
    "util-linux",
)
_HERE = Path(__file__).parent
_PACKAGE = _HERE.parent
_LIBRARY = "usr/lib/innervate"
_LEVEL = "-12"


def recipe_of(variant: Variant) -> Recipe:
    sources = hashes(_PACKAGE, ("agent/**/*.py", "cpio.py", "ramdisk/init", "ramdisk/*.script"))
    base = base_recipe(variant)
    return Recipe(name=f"ramdisk-{variant}", suite=SUITE, options=(base.key, _LEVEL), sources=sources)


def ensure_ramdisk(variant: Variant, store: Store, archive: Archive) -> Entry:
    """Artefacts: `vmlinuz` and `initrd.zst` (one zstd frame around one cpio archive). Raises ImagesError."""

    def build(work: Path) -> Mapping[str, Path]:
        base = _ensure_base(variant, store, archive)
        root = work / "root"
        root.mkdir()
        check(archive.processes, ["tar", "-C", str(root), "-xf", str(store.path_of(base.artifact(_BASE).sha256))])
        _add_agent(root, archive)
        archive.progress("compressing the ramdisk")
        kernel = shutil.copyfile(store.path_of(base.artifact(KERNEL).sha256), work / KERNEL)
        return {KERNEL: kernel, INITRD: _compress(root, work, archive)}

    return ensure(recipe_of(variant), store, build, archive.progress)


def base_recipe(variant: Variant) -> Recipe:
    extra = ("ipmitool",) if variant is Variant.GENERIC else ()
    return Recipe(
        name=f"ramdisk-base-{variant}",
        suite=SUITE,
        packages=(*_PACKAGES, *extra, KERNELS[variant]),
        options=SELECTIONS[variant],
        sources=hashes(_PACKAGE, ("ramdisk/tree.py", "ramdisk/modules.py", *rootfs.SHARED)),
    )


def _ensure_base(variant: Variant, store: Store, archive: Archive) -> Entry:
    recipe = base_recipe(variant)

    def build(work: Path) -> Mapping[str, Path]:
        source, root = work / "source", work / "root"
        began = work.stat().st_mtime_ns
        debs = archive.bootstrap("extract", recipe.packages, source)
        tree.link_merged_usr(source)
        archive.progress("picking programs, libraries, Python and kernel modules")
        root.mkdir()
        tree.pick(source, root, variant, archive.processes)
        kernel, tarball = tree.kernel_of(source), work / _BASE
        used = [deb for deb in debs if packages.brings(deb, root, archive.processes)]
        listed = rootfs.list_packages(used, source, work, archive)
        settle(root, began)
        check(archive.processes, ["tar", "-C", str(root), "--sort=name", "--numeric-owner", "-cf", str(tarball), "."])
        return {KERNEL: kernel, _BASE: tarball, rootfs.PACKAGES: listed}

    return ensure(recipe, store, build, archive.progress)


def _add_agent(root: Path, archive: Archive) -> None:
    library = root / _LIBRARY
    shutil.copytree(_PACKAGE / "agent", library / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    for name, path in (("init", root / "init"), ("udhcpc.script", library / "udhcpc.script")):
        shutil.copyfile(_HERE / name, path)
        path.chmod(0o755)
    python = ["chroot", str(root), "/usr/bin/python3", "-m", "compileall", "-q"]
    check(archive.processes, [*python, "--invalidation-mode", "unchecked-hash", f"/{_LIBRARY}"])


def _compress(root: Path, work: Path, archive: Archive) -> Path:
    plain, packed = work / "initrd.cpio", work / INITRD
    with plain.open("wb") as file:
        file.writelines(cpio.pack(root))
    check(archive.processes, ["zstd", "-q", "-T0", _LEVEL, str(plain), "-o", str(packed)], timeout=600)
    return packed
