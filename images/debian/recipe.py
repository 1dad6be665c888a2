"""The image in two recipes: the installed packages, which take a download, and the disk around them."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from images import blocks, quiet
from images.archive import SUITE, Archive
from images.debian import disk
from images.processes import check
from images.ramdisk.modules import KERNELS, Variant
from images.recipe import Recipe, ensure, hashes
from images.store import Entry, Store

NAME = "debian-13"
MANIFEST = "manifest.json"
BLOB = "blob.zst"
_BASE = "base.tar"
_PACKAGES = (
    "busybox",
    "dbus",
    "e2fsprogs",
    "fdisk",
    "initramfs-tools",
    "iproute2",
    "kmod",
    "openssh-server",
    "systemd-sysv",
    "udev",
    "util-linux",
    "zstd",
)
_ENABLED = (
    "innervate-seed.service",
    "innervate-grow.service",
    "innervate-hostkey.service",
    "innervate-report.service",
    "systemd-networkd.service",
    "ssh.service",
)
# Made anew by each machine: two machines must share neither identity nor randomness.
_UNIQUE = (
    "etc/ssh/ssh_host_*",
    "etc/hostname",
    "etc/resolv.conf",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "var/cache/debconf/*-old",
    "var/log/apt/*",
    "var/log/*.log",
    "initrd.img.old",
    "vmlinuz.old",
)
_HERE = Path(__file__).parent
_PACKAGE = _HERE.parent


def recipe_of(variant: Variant) -> Recipe:
    name = NAME if variant is Variant.CLOUD else f"{NAME}-{variant}"
    sources = hashes(
        _PACKAGE, ("debian/*.py", "debian/files/**/*", "blocks.py", "grub.py", "quiet.py", "agent/manifest.py")
    )
    return Recipe(name=name, suite=SUITE, options=(_base_recipe(variant).key,), sources=sources)


def ensure_debian(variant: Variant, store: Store, archive: Archive) -> Entry:
    """Artefacts: `manifest.json` and `blob.zst`, see `images.manifest`. Raises ImagesError."""
    recipe = recipe_of(variant)

    def build(work: Path) -> Mapping[str, Path]:
        base = _ensure_base(variant, store, archive)
        tree = work / "tree"
        tree.mkdir()
        archive.progress(f"{recipe.name}: laying out the root file system")
        tarball = str(store.path_of(base.artifact(_BASE).sha256))
        check(archive.processes, ["tar", "-C", str(tree), *_TAR, "-xf", tarball])
        _configure(tree, archive)
        archive.progress(f"{recipe.name}: writing the disk")
        layout = disk.Layout(root_size=disk.root_size_for(_content_of(tree)), identity=recipe.key)
        raw = disk.build(tree, layout, work, archive.processes)
        archive.progress(f"{recipe.name}: compressing {layout.size >> 20} MiB")
        manifest, text = blocks.pack(raw, work / BLOB, recipe.name), work / MANIFEST
        text.write_text(manifest.to_json())
        return {MANIFEST: text, BLOB: work / BLOB}

    return ensure(recipe, store, build, archive.progress)


_TAR = ("--numeric-owner", "--xattrs", "--xattrs-include=*")


def _base_recipe(variant: Variant) -> Recipe:
    return Recipe(
        name=f"{NAME}-base-{variant}",
        suite=SUITE,
        packages=(*_PACKAGES, KERNELS[variant]),
        sources=hashes(_HERE, ("initramfs/**/*",)),
    )


def _ensure_base(variant: Variant, store: Store, archive: Archive) -> Entry:
    recipe = _base_recipe(variant)

    def build(work: Path) -> Mapping[str, Path]:
        staged, tree, tarball = work / "staged", work / "tree", work / _BASE
        shutil.copytree(_HERE / "initramfs", staged / "etc/initramfs-tools")
        # Before any package is configured: the kernel's own installation then makes the right initramfs at once.
        options = ["--aptopt=APT::Install-Recommends false", f"--essential-hook=sync-in {staged} /"]
        archive.bootstrap("minbase", recipe.packages, tree, options)
        check(archive.processes, ["tar", "-C", str(tree), *_TAR, "-cf", str(tarball), "."])
        return {_BASE: tarball}

    return ensure(recipe, store, build, archive.progress)


def _configure(tree: Path, archive: Archive) -> None:
    for path in sorted(path for path in (_HERE / "files").rglob("*") if path.is_file()):
        target = tree / path.relative_to(_HERE / "files")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        target.chmod(0o755 if path.read_bytes().startswith(b"#!") else 0o644)
    for pattern in _UNIQUE:
        for path in tree.glob(pattern):
            path.unlink()
    (tree / "etc/machine-id").write_text("")
    (tree / "etc/hostname").write_text("debian\n")
    # The kernel command line names the root and mounts it writable: nothing is left to mount again.
    (tree / "etc/fstab").write_text("")
    quiet.without_generators(tree)
    for command, units in (("enable", _ENABLED), ("mask", quiet.NEEDLESS)):
        check(archive.processes, ["chroot", str(tree), "systemctl", "--quiet", command, *units])


def _content_of(tree: Path) -> int:
    """Bytes in whole blocks of 4 KiB."""
    return sum(-(-path.lstat().st_size // 4096) * 4096 for path in tree.rglob("*"))
