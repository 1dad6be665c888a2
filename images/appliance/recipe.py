"""The appliance in three recipes: Debian's packages and the Python packages, which take downloads, and the disk."""

import shutil
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

from images import rootfs
from images.appliance import disk
from images.archive import SUITE, Archive
from images.build import Product, ensure_all
from images.processes import check
from images.ramdisk.modules import KERNELS, Variant
from images.recipe import Recipe, ensure, hashes
from images.store import Entry, Store

NAME = "appliance"
DISK = "appliance.raw.zst"
_PYTHON = "python.tar"
_PACKAGES = (
    "busybox",
    "ca-certificates",
    "cryptsetup-bin",
    "dbus",
    "dosfstools",
    "e2fsprogs",
    "fdisk",
    "initramfs-tools",
    "iproute2",
    "kmod",
    "libtss2-esys-3.0.2-0t64",
    "libtss2-rc0t64",
    "mtools",
    "nftables",
    "openssh-client",
    "openssh-server",
    "python3",
    "systemd-cryptsetup",
    "systemd-sysv",
    "systemd-timesyncd",
    "udev",
    "util-linux",
    "zstd",
)
_BOOT_PACKAGES = ("shim-signed", "shim-helpers-amd64-signed", "grub-efi-amd64-signed")
_ENABLED = (
    "innervate.service",
    "innervate-disk.service",
    "innervate-helper.socket",
    "innervate-network.service",
    "innervate-console@tty1.service",
    "innervate-console@ttyS0.service",
    "systemd-networkd.service",
)
_MASKED = (
    "getty@tty1.service",
    "serial-getty@ttyS0.service",
    "ssh.service",
)
_HERE = Path(__file__).parent
_PACKAGE = _HERE.parent
_PRODUCT = _PACKAGE.parent
_PARTS = ("appliance", "pxe", "images", "templates")
_LOCK = _HERE / "requirements.lock"
_LIBRARY = "usr/lib/innervate/site-packages"
_STORE = "usr/share/innervate/images"
_PYTHON_VERSION = "3.13"
_COMPILED = "__pycache__"
_OWNED = ("--owner=0", "--group=0", "--numeric-owner", "--sort=name", "--mtime=@0")
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


def recipe_of(variant: Variant) -> Recipe:
    """Every file of the product counts, those of the images inside included: they decide what is in its store."""
    named = (*_PARTS, *_beside())
    patterns = (f"{name}/**/*" if (_PRODUCT / name).is_dir() else name for name in named)
    sources = {name: found for name, found in hashes(_PRODUCT, patterns).items() if _COMPILED not in name}
    options = (_base_recipe(variant).key, _python_recipe().key)
    return Recipe(name=f"{NAME}-{variant}", suite=SUITE, options=options, packages=_BOOT_PACKAGES, sources=sources)


def ensure_appliance(variant: Variant, store: Store, archive: Archive) -> Entry:
    """Artefact: the raw disk in one zstd frame. Raises ImagesError."""
    recipe = recipe_of(variant)

    def build(work: Path) -> Mapping[str, Path]:
        tree, signed = work / "tree", work / "boot"
        tree.mkdir()
        signed.mkdir()
        base = rootfs.ensure_base(_base_recipe(variant), _HERE / "initramfs", store, archive)
        for entry in (base, _ensure_python(store, archive)):
            rootfs.unpack(entry, tree, store, archive)
        _add_product(tree, archive)
        _add_stock(tree, variant, store, archive)
        _configure(tree, archive)
        boot = archive.unpack(_BOOT_PACKAGES, signed)
        raw = disk.build(tree, boot, recipe.key, work, archive)
        archive.progress(f"{recipe.name}: compressing {raw.stat().st_size >> 20} MiB")
        check(archive.processes, ["zstd", "-q", "-T0", "-1", str(raw), "-o", str(work / DISK)], timeout=900)
        return {DISK: work / DISK}

    return ensure(recipe, store, build, archive.progress)


def _base_recipe(variant: Variant) -> Recipe:
    packages = (*_PACKAGES, KERNELS[variant])
    return Recipe(
        name=f"{NAME}-base-{variant}", suite=SUITE, packages=packages, sources=hashes(_HERE, ("initramfs/**/*",))
    )


def _python_recipe() -> Recipe:
    return Recipe(name=f"{NAME}-python", suite=SUITE, options=(_PYTHON_VERSION,), sources=hashes(_HERE, (_LOCK.name,)))


def _ensure_python(store: Store, archive: Archive) -> Entry:
    """The wheels of the lock file for the Python of the image, which is not the one that runs here."""

    def build(work: Path) -> Mapping[str, Path]:
        tree, tarball = work / "tree", work / _PYTHON
        archive.progress("fetching Python packages")
        platforms = [word for platform in _PLATFORMS for word in ("--platform", platform)]
        chosen = ["--python-version", _PYTHON_VERSION, "--implementation", "cp", *platforms, "--only-binary=:all:"]
        target = ["--target", str(tree / _LIBRARY), "--no-deps", "--no-compile", "--require-hashes", "-r", str(_LOCK)]
        check(archive.processes, [sys.executable, "-m", "pip", "install", "-q", *chosen, *target], timeout=900)
        check(archive.processes, ["tar", "-C", str(tree), *_OWNED, "-cf", str(tarball), "."])
        return {_PYTHON: tarball}

    return ensure(_python_recipe(), store, build, archive.progress)


def _add_product(tree: Path, archive: Archive) -> None:
    library = tree / _LIBRARY
    for part in _PARTS:
        shutil.copytree(_PRODUCT / part, library / part, ignore=shutil.ignore_patterns(_COMPILED))
    add_documentation(library)
    packages = tree / "usr/lib/python3/dist-packages"
    (packages / "innervate.pth").write_text(f"/{_LIBRARY}\n")
    compiled = ["/usr/bin/python3", "-m", "compileall", "-q", "-j0", "--invalidation-mode", "unchecked-hash"]
    check(archive.processes, ["chroot", str(tree), *compiled, f"/{_LIBRARY}"], timeout=600)


def add_documentation(library: Path) -> None:
    """To where the wheel has it; an installed product had it there already."""
    for source, target in _beside().items():
        found, place = _PRODUCT / source, library / target
        place.parent.mkdir(parents=True, exist_ok=True)
        if found.is_dir():
            shutil.copytree(found, place)
        else:
            shutil.copyfile(found, place)


def _beside() -> Mapping[str, str]:
    """What `pyproject.toml` puts into the wheel beside the packages, and where."""
    file = _PRODUCT / "pyproject.toml"
    if not file.is_file():
        return {}
    wheel = tomllib.loads(file.read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    included: dict[str, str] = wheel["force-include"]
    return included


def _add_stock(tree: Path, variant: Variant, store: Store, archive: Archive) -> None:
    """The artefacts that a daemon with this variant's ramdisk looks for, as a store of its own."""
    catalogue = ensure_all(store, archive, variant)
    inside = Store(tree / _STORE)
    for product in Product:
        entry = catalogue.entry(product)
        for artifact in entry.artifacts:
            target = inside.path_of(artifact.sha256)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(store.path_of(artifact.sha256), target)
        inside.record(entry)


def _configure(tree: Path, archive: Archive) -> None:
    rootfs.lay_over(_HERE / "files", tree)
    rootfs.make_anonymous(tree, "innervate")
    (tree / "data").mkdir()
    check(archive.processes, ["chroot", str(tree), "systemd-sysusers", "/usr/lib/sysusers.d/innervate.conf"])
    rootfs.choose_services(tree, archive, enabled=_ENABLED, masked=_MASKED)
