"""The ramdisk in two recipes: the packages, which take a download, and the ramdisk that dracut makes of them."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from images import cpio, rootfs
from images.archive import SUITE, Archive
from images.processes import check
from images.ramdisk.modules import KERNELS, Variant
from images.ramdisk.tree import kernel_of
from images.recipe import Recipe, ensure, hashes
from images.store import Entry, Store

NAME = "ignition"
KERNEL = "vmlinuz"
INITRD = "initrd.zst"
_BASE = "base.tar"
_PACKAGES = (
    "ca-certificates",
    "cpio",
    "curl",
    "dosfstools",
    "dracut-core",
    "dracut-network",
    "gdisk",
    "ignition",
    "iproute2",
    "passwd",
    "systemd-sysv",
    "udev",
    "util-linux",
    "zstd",
)
# The kernel's package would make a ramdisk of its own.
_OPTIONS = ("--aptopt=APT::Install-Recommends false", "--dpkgopt=path-exclude=/etc/kernel/postinst.d/*")
_TAR = ("--numeric-owner", "--xattrs", "--xattrs-include=*")
_MODULES = ("innervate", "ignition", "systemd", "systemd-networkd")
_LEVEL = "-12"
_HERE = Path(__file__).parent
_PACKAGE = _HERE.parent
_OURS = "usr/lib/dracut/modules.d/60innervate"


def recipe_of(variant: Variant) -> Recipe:
    options = (_base_recipe(variant).key, *_MODULES, _LEVEL)
    sources = hashes(_PACKAGE, ("ignition/recipe.py", "ignition/module/*", "cpio.py", "rootfs.py"))
    return Recipe(name=f"{NAME}-{variant}", suite=SUITE, options=options, sources=sources)


def ensure_ignition(variant: Variant, store: Store, archive: Archive) -> Entry:
    """Artefacts: `vmlinuz` and `initrd.zst` (one zstd frame around one cpio archive). Raises ImagesError."""

    def build(work: Path) -> Mapping[str, Path]:
        base, tree = _ensure_base(variant, store, archive), work / "tree"
        tree.mkdir()
        rootfs.unpack(base, tree, store, archive)
        rootfs.lay_over(_HERE / "module", tree / _OURS)
        kernel = kernel_of(tree)
        archive.progress("dracut picks what Ignition needs")
        root = _run_dracut(tree, kernel.name.removeprefix("vmlinuz-"), archive)
        archive.progress("compressing the ramdisk")
        return {KERNEL: Path(shutil.copyfile(kernel, work / KERNEL)), INITRD: _compress(root, work, archive)}

    return ensure(recipe_of(variant), store, build, archive.progress)


def _base_recipe(variant: Variant) -> Recipe:
    packages = (*_PACKAGES, KERNELS[variant])
    return Recipe(name=f"{NAME}-base-{variant}", suite=SUITE, packages=packages, options=_OPTIONS)


def _ensure_base(variant: Variant, store: Store, archive: Archive) -> Entry:
    recipe = _base_recipe(variant)

    def build(work: Path) -> Mapping[str, Path]:
        tree, tarball = work / "tree", work / _BASE
        archive.bootstrap("minbase", recipe.packages, tree, _OPTIONS)
        check(archive.processes, ["tar", "-C", str(tree), *_TAR, "-cf", str(tarball), "."], timeout=300)
        return {_BASE: tarball}

    return ensure(recipe, store, build, archive.progress)


def _run_dracut(tree: Path, version: str, archive: Archive) -> Path:
    """The content of the ramdisk, unpacked: packed by us, equal content gives equal bytes."""
    isolated = ["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--root={tree}", "--mount-proc"]
    options = ["--no-hostonly", "--no-early-microcode", "--no-compress", "--force", "--quiet"]
    dracut = ["dracut", *options, f"--add={' '.join(_MODULES)}", "/initrd.cpio", version]
    check(archive.processes, [*isolated, *dracut], timeout=900)
    root = tree / "unpacked"
    root.mkdir()
    argv = ["chroot", str(tree), "cpio", "-id", "--quiet", "-D", "/unpacked", "-F", "/initrd.cpio"]
    check(archive.processes, argv, timeout=120)
    return root


def _compress(root: Path, work: Path, archive: Archive) -> Path:
    plain, packed = work / "initrd.cpio", work / INITRD
    with plain.open("wb") as file:
        file.writelines(cpio.pack(root))
    check(archive.processes, ["zstd", "-q", "-T0", _LEVEL, str(plain), "-o", str(packed)], timeout=600)
    return packed
