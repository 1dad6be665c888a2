"""The image in two recipes: the installed packages, which take a download, and the disk around them."""

from collections.abc import Mapping
from pathlib import Path

from images import blocks, rootfs
from images.archive import SUITE, Archive
from images.debian import disk
from images.ramdisk.modules import KERNELS, Variant
from images.recipe import Recipe, ensure, hashes
from images.store import Entry, Store

NAME = "debian-13"
MANIFEST = "manifest.json"
BLOB = "blob.zst"
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
# In a virtual machine whose host is busy Linux takes its timer for broken, and stops.
_ARGUMENTS = {Variant.CLOUD: "no_timer_check ", Variant.GENERIC: ""}
_HERE = Path(__file__).parent
_PACKAGE = _HERE.parent


def recipe_of(variant: Variant) -> Recipe:
    name = NAME if variant is Variant.CLOUD else f"{NAME}-{variant}"
    shared = ("blocks.py", "grub.py", "rootfs.py", "agent/manifest.py")
    sources = hashes(_PACKAGE, ("debian/*.py", "debian/files/**/*", *shared))
    return Recipe(name=name, suite=SUITE, options=(base_recipe(variant).key,), sources=sources)


def ensure_debian(variant: Variant, store: Store, archive: Archive) -> Entry:
    """Artefacts: `manifest.json` and `blob.zst`, see `images.manifest`. Raises ImagesError."""
    recipe = recipe_of(variant)

    def build(work: Path) -> Mapping[str, Path]:
        tree = work / "tree"
        tree.mkdir()
        archive.progress(f"{recipe.name}: laying out the root file system")
        base = rootfs.ensure_base(base_recipe(variant), _HERE / "initramfs", store, archive)
        rootfs.unpack(base, tree, store, archive)
        _configure(tree, archive)
        archive.progress(f"{recipe.name}: writing the disk")
        size = disk.root_size_for(_content_of(tree))
        layout = disk.Layout(root_size=size, identity=recipe.key, arguments=_ARGUMENTS[variant])
        raw = disk.build(tree, layout, work, archive.processes)
        archive.progress(f"{recipe.name}: compressing {layout.size >> 20} MiB")
        manifest, text = blocks.pack(raw, work / BLOB, recipe.name), work / MANIFEST
        text.write_text(manifest.to_json())
        return {MANIFEST: text, BLOB: work / BLOB}

    return ensure(recipe, store, build, archive.progress)


def base_recipe(variant: Variant) -> Recipe:
    return Recipe(
        name=f"{NAME}-base-{variant}",
        suite=SUITE,
        packages=(*_PACKAGES, KERNELS[variant]),
        sources=hashes(_PACKAGE, ("debian/initramfs/**/*", *rootfs.SHARED)),
    )


def _configure(tree: Path, archive: Archive) -> None:
    rootfs.lay_over(_HERE / "files", tree)
    rootfs.make_anonymous(tree, "debian")
    rootfs.choose_services(tree, archive, enabled=_ENABLED)


def _content_of(tree: Path) -> int:
    """Bytes in whole blocks of 4 KiB."""
    return sum(-(-path.lstat().st_size // 4096) * 4096 for path in tree.rglob("*"))
