"""What is handed on of one version: the disk as raw image, as qcow2 and as ISO, what is in it, and the sums of all."""

import shutil
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from images import bundle, firmware, packages, rootfs, wheels
from images.appliance import iso
from images.appliance import recipe as appliance
from images.appliance.sbom import Contents, Inside, document
from images.archive import SUITE, Archive
from images.build import Product, ensure_all
from images.debian import recipe as debian
from images.errors import BuildError, StoreError
from images.ports import Processes
from images.processes import check
from images.ramdisk import recipe as ramdisk
from images.ramdisk.modules import Variant
from images.recipe import Recipe, ensure, hashes
from images.signature import PublicKey, SecretKey
from images.store import Artifact, Entry, Store, sha256_of

QCOW2, ISO, SBOM = "appliance.qcow2", "appliance.iso", "appliance.cdx.json"
SUMS, SIGNATURE, KEY = "SHA256SUMS", "SHA256SUMS.minisig", "innervate.pub"
_RELEASE = f"{appliance.NAME}-release"
_QCOW2_SIZE = "16G"  # room for the second slot and the data; what is not written takes none
_HERE = Path(__file__).parent
_PACKAGE = _HERE.parent
_SOURCES = (
    "appliance/release.py",
    "appliance/iso.*",
    "appliance/loaders.py",
    "appliance/sbom.py",
    "grub.py",
    *rootfs.SHARED,
)
_BIOS_GRUB = "grub-pc-bin"  # of the machine that builds


def recipe_of(variant: Variant, disk: Entry, key: PublicKey) -> Recipe:
    sums = tuple(artifact.sha256 for artifact in disk.artifacts)
    name = f"{_RELEASE}-{variant}"
    return Recipe(name=name, suite=SUITE, options=(*sums, key.text), sources=hashes(_PACKAGE, _SOURCES))


def ensure_release(variant: Variant, store: Store, archive: Archive, key: SecretKey) -> Entry:
    """Artefacts: qcow2, ISO, SBOM (CycloneDX 1.6), SHA256SUMS of these and of the raw disk, and who signed them. Raises
    ImagesError."""
    disk = appliance.ensure_appliance(variant, store, archive, key)
    recipe = recipe_of(variant, disk, key.public)

    def build(work: Path) -> Mapping[str, Path]:
        raw = _unpack(disk, store, work, archive.processes)
        signed = work / "boot"
        signed.mkdir()
        boot = archive.unpack(appliance.BOOT_PACKAGES, signed)
        archive.progress(f"{recipe.name}: writing {QCOW2} and {ISO}")
        made = {
            QCOW2: _qcow2(raw, work / QCOW2, archive.processes),
            ISO: iso.build(parts_of(disk, store, key.public, work), boot, disk.key, work, archive.processes),
            SBOM: work / SBOM,
        }
        loaders = rootfs.list_packages(sorted(signed.glob("*.deb")), boot, work, archive)
        contents = contents_of(variant, disk, store, archive, packages.parse(loaders.read_text()))
        made[SBOM].write_text(document(contents))
        return {**made, **_signed(_sums(made, disk, work), contents.version, key)}

    return ensure(recipe, store, build, archive.progress)


def _unpack(disk: Entry, store: Store, work: Path, processes: Processes) -> Path:
    raw, packed = work / "disk.raw", store.path_of(disk.artifact(appliance.DISK).sha256)
    check(processes, ["zstd", "-q", "-d", "--sparse", str(packed), "-o", str(raw)], timeout=300)
    return raw


def _qcow2(raw: Path, target: Path, processes: Processes) -> Path:
    check(processes, ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(target)], timeout=600)
    check(processes, ["qemu-img", "resize", "-q", "-f", "qcow2", str(target), _QCOW2_SIZE])
    return target


def parts_of(disk: Entry, store: Store, key: PublicKey, folder: Path) -> Mapping[str, Path]:
    """Of the disk's own upgrade bundle: what an ISO starts is what the disk starts. Raises BundleError,
    SignatureError."""
    with store.path_of(disk.artifact(appliance.BUNDLE).sha256).open("rb") as file:
        for part in bundle.open_bundle(file, key).parts:
            with (folder / part.name).open("wb") as out:
                out.writelines(bundle.chunks(file, part))
    return {name: folder / name for name in bundle.PARTS}


def contents_of(
    variant: Variant, disk: Entry, store: Store, archive: Archive, loaders: tuple[packages.Package, ...]
) -> Contents:
    """From the lists that the recipes left beside what they built. Raises ImagesError."""
    catalogue = ensure_all(store, archive, variant)
    base = _listed(appliance.base_recipe(variant), store)
    return Contents(
        name="innervate-appliance",
        version=_version(),
        identity=disk.key,
        suite=SUITE,
        packages=(*base, *loaders, packages.installed(_BIOS_GRUB, archive.processes)),
        wheels=wheels.parse(_text(appliance.python_recipe(), appliance.WHEELS, store)),
        inside=(
            Inside(
                name=Product.RAMDISK,
                description="The discovery ramdisk.",
                files=catalogue.entry(Product.RAMDISK).artifacts,
                packages=_listed(ramdisk.base_recipe(variant), store),
            ),
            Inside(
                name=Product.DEBIAN,
                description="The image that machines get.",
                files=catalogue.entry(Product.DEBIAN).artifacts,
                packages=_listed(debian.base_recipe(variant), store),
            ),
            Inside(
                name=Product.FIRMWARE,
                description="The programs that machines boot from the network.",
                files=catalogue.entry(Product.FIRMWARE).artifacts,
                packages=_listed(firmware.recipe_of(), store),
            ),
        ),
    )


def _listed(recipe: Recipe, store: Store) -> tuple[packages.Package, ...]:
    return packages.parse(_text(recipe, rootfs.PACKAGES, store))


def _text(recipe: Recipe, name: str, store: Store) -> str:
    if (entry := store.find(recipe.name, recipe.key)) is None:
        raise BuildError(f"{recipe.name} was built and is not in the store", evidence=str(store.root))
    return store.path_of(entry.artifact(name).sha256).read_text("utf-8")


def _version() -> str:
    try:
        return version("innervate")
    except PackageNotFoundError:
        return "0"


def _sums(made: Mapping[str, Path], disk: Entry, work: Path) -> Path:
    """In the form of sha256sum(1)."""
    sums = {name: sha256_of(path) for name, path in made.items()}
    sums |= {artifact.name: artifact.sha256 for artifact in disk.artifacts}
    file = work / SUMS
    file.write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())))
    return file


def _signed(sums: Path, number: str, key: SecretKey) -> Mapping[str, Path]:
    signature, public = sums.with_name(SIGNATURE), sums.with_name(KEY)
    with sums.open("rb") as content:
        signature.write_text(key.sign(content, f"Innervate {number}"))
    public.write_text(key.public.text)
    return {SUMS: sums, SIGNATURE: signature, KEY: public}


def place(release: Entry, store: Store, folder: Path) -> tuple[Path, ...]:
    """Copies under their own names, the raw disk included, where sha256sum(1) and minisign(1) find them. Raises
    StoreError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tuple(_placed(artifact, store, folder) for artifact in (*_disk_of(release, store), *release.artifacts))
    except OSError as cause:
        raise StoreError("the release could not be put there", evidence=str(cause)) from cause


def _placed(artifact: Artifact, store: Store, folder: Path) -> Path:
    target = folder / artifact.name
    shutil.copyfile(store.path_of(artifact.sha256), target)
    return target


def _disk_of(release: Entry, store: Store) -> tuple[Artifact, ...]:
    """What SHA256SUMS names and the release itself does not hold."""
    sums = store.path_of(release.artifact(SUMS).sha256).read_text("utf-8")
    named = {line.partition("  ")[0] for line in sums.splitlines()} - {one.sha256 for one in release.artifacts}
    found = {one.sha256: one for entry in store.entries() for one in entry.artifacts if one.sha256 in named}
    return tuple(found[digest] for digest in sorted(found))


def last_sbom(store: Store) -> str | None:
    """Of the release that was recorded last; None where none was. Raises StoreError."""
    try:
        found = sorted((store.root / "entries").glob(f"{_RELEASE}-*/*.json"), key=lambda path: path.stat().st_mtime)
        entry = store.find(found[-1].parent.name, found[-1].stem) if found else None
        return None if entry is None else store.path_of(entry.artifact(SBOM).sha256).read_text("utf-8")
    except OSError as cause:
        raise StoreError("the store could not be read", evidence=str(cause)) from cause
