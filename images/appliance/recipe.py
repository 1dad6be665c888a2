"""The appliance in three recipes: Debian's packages and the Python packages, which take downloads, and the disk."""

import json
import shutil
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

from images import bundle, rootfs, wheels
from images.appliance import disk
from images.archive import SUITE, Archive
from images.build import STANDARD, ensure_all
from images.epoch import at_epoch, settle
from images.errors import BuildError
from images.processes import check
from images.ramdisk.modules import KERNELS, Variant
from images.recipe import Recipe, ensure, hashes
from images.signature import PublicKey, SecretKey
from images.store import Entry, Store

NAME = "appliance"
DISK = "appliance.raw.zst"
WHEELS = "wheels.json"
BUNDLE = "appliance.upgrade"
_PYTHON = "python.tar"
_PACKAGES = (
    "busybox",
    "ca-certificates",
    "cryptsetup-bin",
    "dbus",
    "docker-registry",
    "dosfstools",
    "e2fsprogs",
    "fdisk",
    "haproxy",
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
BOOT_PACKAGES = ("shim-signed", "shim-helpers-amd64-signed", "grub-efi-amd64-signed")
_ENABLED = (
    "innervate.service",
    "innervate-disk.service",
    "innervate-helper.socket",
    "innervate-network.service",
    "innervate-slot.service",
    "innervate-trial.service",
    "innervate-upgrade.path",
    "innervate-console@tty1.service",
    "innervate-console@ttyS0.service",
    "systemd-networkd.service",
)
# What clusters need is started by the daemon, as its site program says.
_MASKED = (
    "docker-registry.service",
    "getty@tty1.service",
    "haproxy.service",
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
_KEY = "usr/share/innervate/innervate.pub"
_BUILD_DIGITS = 12
_PYTHON_VERSION = "3.13"
_COMPILED = "__pycache__"
_OWNED = ("--owner=0", "--group=0", "--numeric-owner", "--sort=name", "--mtime=@0")
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


def recipe_of(variant: Variant, key: PublicKey) -> Recipe:
    """Every file of the product counts, those of the images inside included: they decide what is in its store. So does
    the key, whose bundles the image takes."""
    named = (*_PARTS, *_beside())
    patterns = (f"{name}/**/*" if (_PRODUCT / name).is_dir() else name for name in named)
    sources = {name: found for name, found in hashes(_PRODUCT, patterns).items() if _COMPILED not in name}
    options = (base_recipe(variant).key, python_recipe().key, key.text)
    return Recipe(name=f"{NAME}-{variant}", suite=SUITE, options=options, packages=BOOT_PACKAGES, sources=sources)


def ensure_appliance(variant: Variant, store: Store, archive: Archive, key: SecretKey) -> Entry:
    """Artefacts: the raw disk in one zstd frame, and the upgrade bundle of the same parts. Raises ImagesError."""
    recipe = recipe_of(variant, key.public)

    def build(work: Path) -> Mapping[str, Path]:
        tree, signed = work / "tree", work / "boot"
        tree.mkdir()
        began = tree.stat().st_mtime_ns
        signed.mkdir()
        base = rootfs.ensure_base(base_recipe(variant), _HERE / "initramfs", store, archive)
        for entry in (base, ensure_python(store, archive)):
            rootfs.unpack(entry, tree, store, archive)
        _add_product(tree, archive)
        _add_stock(tree, variant, store, archive)
        _configure(tree, archive, key.public)
        spoken = _spoken(tree, archive)
        settle(tree, began)
        boot = archive.unpack(BOOT_PACKAGES, signed)
        parts = disk.take_parts(tree, work, archive)
        manifest = manifest_of(spoken, recipe.key, parts)
        raw = disk.build(parts[bundle.ROOT], boot, manifest.to_json(), recipe.key, work, archive)
        with (work / BUNDLE).open("wb") as out:
            bundle.pack(manifest, key, parts, out)
        archive.progress(f"{recipe.name}: compressing {raw.stat().st_size >> 20} MiB")
        check(archive.processes, ["zstd", "-q", "-T0", "-1", str(raw), "-o", str(work / DISK)], timeout=900)
        return {DISK: work / DISK, BUNDLE: work / BUNDLE}

    return ensure(recipe, store, build, archive.progress)


def manifest_of(spoken: bytes, build: str, parts: Mapping[str, Path]) -> bundle.Manifest:
    """`spoken` is what the product says of itself: `python -m appliance.upgrade.state`. Raises BuildError."""
    value: object = json.loads(spoken)
    match value:
        case {"version": str(version), "form": int(form), "schema": str(schema), "kinds": list(kinds)}:
            state = bundle.StateForm(form=form, schema=schema, kinds=tuple(map(str, kinds)))
        case _:
            raise BuildError("the product does not say what it is", evidence=spoken[:300].decode("utf-8", "replace"))
    described = tuple(bundle.describe(parts[name], name) for name in bundle.PARTS)
    return bundle.Manifest(version=version, build=build[:_BUILD_DIGITS], state=state, parts=described)


def _spoken(tree: Path, archive: Archive) -> bytes:
    return check(archive.processes, ["chroot", str(tree), "/usr/bin/python3", "-B", "-m", "appliance.upgrade.state"])


def base_recipe(variant: Variant) -> Recipe:
    packages = (*_PACKAGES, KERNELS[variant])
    return Recipe(
        name=f"{NAME}-base-{variant}",
        suite=SUITE,
        packages=packages,
        sources=hashes(_PACKAGE, ("appliance/initramfs/**/*", *rootfs.SHARED)),
    )


def python_recipe() -> Recipe:
    sources = hashes(_PACKAGE, (f"appliance/{_LOCK.name}", "wheels.py"))
    return Recipe(name=f"{NAME}-python", suite=SUITE, options=(_PYTHON_VERSION,), sources=sources)


def ensure_python(store: Store, archive: Archive) -> Entry:
    """The wheels of the lock file for the Python of the image, which is not the one that runs here: a tarball, and the
    list in the form of `images.wheels`."""

    def build(work: Path) -> Mapping[str, Path]:
        tree, tarball, report, listed = work / "tree", work / _PYTHON, work / "report.json", work / WHEELS
        archive.progress("fetching Python packages")
        platforms = [word for platform in _PLATFORMS for word in ("--platform", platform)]
        chosen = ["--python-version", _PYTHON_VERSION, "--implementation", "cp", *platforms, "--only-binary=:all:"]
        target = ["--target", str(tree / _LIBRARY), "--no-deps", "--no-compile", "--require-hashes", "-r", str(_LOCK)]
        pip = [sys.executable, "-m", "pip", "install", "-q", "--report", str(report), *chosen, *target]
        check(archive.processes, pip, timeout=900)
        wheels.drop_scripts(tree / _LIBRARY)
        listed.write_text(wheels.to_json(wheels.of_report(report.read_text())))
        check(archive.processes, ["tar", "-C", str(tree), *_OWNED, "-cf", str(tarball), "."])
        return {_PYTHON: tarball, WHEELS: listed}

    return ensure(python_recipe(), store, build, archive.progress)


def _add_product(tree: Path, archive: Archive) -> None:
    library = tree / _LIBRARY
    for part in _PARTS:
        rootfs.lay_over(_PRODUCT / part, library / part)
    add_documentation(library)
    packages = tree / "usr/lib/python3/dist-packages"
    (packages / "innervate.pth").write_text(f"/{_LIBRARY}\n")
    compiled = ["/usr/bin/python3", "-m", "compileall", "-q", "-j0", "--invalidation-mode", "unchecked-hash"]
    check(archive.processes, ["chroot", str(tree), *compiled, f"/{_LIBRARY}"], timeout=600)


def add_documentation(library: Path) -> None:
    """To where the wheel has it; an installed product had it there already."""
    for source, target in _beside().items():
        found, place = _PRODUCT / source, library / target
        if found.is_dir():
            rootfs.lay_over(found, place)
        else:
            rootfs.lay_file(found, place)


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
    for product in STANDARD:
        entry = catalogue.entry(product)
        for artifact in entry.artifacts:
            target = inside.path_of(artifact.sha256)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(store.path_of(artifact.sha256), target)
        inside.record(entry)


def _configure(tree: Path, archive: Archive, key: PublicKey) -> None:
    (tree / _KEY).write_text(key.text)
    rootfs.lay_over(_HERE / "files", tree)
    rootfs.make_anonymous(tree, "innervate")
    (tree / "data").mkdir()
    users = ["chroot", str(tree), "systemd-sysusers", "/usr/lib/sysusers.d/innervate.conf"]
    check(archive.processes, at_epoch(users))
    rootfs.choose_services(tree, archive, enabled=_ENABLED, masked=_MASKED)
