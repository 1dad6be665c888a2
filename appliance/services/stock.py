"""What the appliance has in store for machines: boot programs, the discovery ramdisk, OS images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from appliance.config import Settings
from appliance.errors import MachineryError
from appliance.model.ids import ImageName
from appliance.plan import AnswerKind, ImageRef, InstallerRef, OsRef
from images.build import Product, find_all, find_extras
from images.errors import ImagesError
from images.ignition import recipe as ignition
from images.installer import listing
from images.installer.recipe import INITRD, LISTING, VMLINUZ
from images.manifest import Manifest
from images.ramdisk.modules import KERNELS, Variant
from images.store import Artifact, Entry, Store
from pxe.boot import PROGRAM_NAMES
from pxe.content import Content, ContentTable, FileContent, Mark

_INSTALLED_BYTES = 3 << 30
"""What Debian takes up with its boot partition, and some room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """`artifacts` are named by SHA-256, those that an installer fetches by their path behind that of their list;
    `programs` by the names that DHCP hands out. `entries` are what the rest is of: their content was hashed.
    `ignition` is None where it was not built."""

    programs: ContentTable
    artifacts: Mapping[str, Content]
    kernel_sha256: str
    initrd_sha256: str
    images: Mapping[ImageName, OsRef]
    ignition: InstallerRef | None = None
    entries: tuple[Entry, ...] = ()


def take_stock(settings: Settings) -> Stock:
    """Raises `MachineryError` naming what is not there."""
    store, variant = Store(settings.images_dir), Variant(settings.ramdisk.value)
    try:
        found, extras = find_all(store, variant), find_extras(store, variant)
        images: list[OsRef] = [_image(found.entry(Product.DEBIAN), store)]
        fetched: dict[str, Content] = {}
        if (installer := extras.entries.get(Product.INSTALLER)) is not None:
            images.append(_installer(installer, variant))
            fetched = _fetched(installer, store)
    except (ImagesError, ValueError) as error:
        raise MachineryError(
            f"the artefact store {settings.images_dir} is incomplete: {error}",
            evidence=str(getattr(error, "evidence", "")),
            next_action=str(getattr(error, "next_action", "") or "build the images: ./run image"),
        ) from error
    firmware, ramdisk = found.entry(Product.FIRMWARE), found.entry(Product.RAMDISK)
    engine = extras.entries.get(Product.IGNITION)
    boots = [installer.artifact(name) for name in (VMLINUZ, INITRD, LISTING)] if installer is not None else []
    served = (*ramdisk.artifacts, *found.entry(Product.DEBIAN).artifacts, *boots)
    served = (*served, *(engine.artifacts if engine is not None else ()))
    return Stock(
        programs=ContentTable({a.name: _content(a, store) for a in firmware.artifacts if a.name in PROGRAM_NAMES}),
        artifacts={**{artifact.sha256: _content(artifact, store) for artifact in served}, **fetched},
        kernel_sha256=ramdisk.artifact("vmlinuz").sha256,
        initrd_sha256=ramdisk.artifact("initrd.zst").sha256,
        images={image.name: image for image in images},
        ignition=_ignition(engine) if engine is not None else None,
        entries=(*found.entries.values(), *extras.entries.values()),
    )


def _ignition(entry: Entry) -> InstallerRef:
    return InstallerRef(
        name=ImageName(Product.IGNITION.value),
        answers=AnswerKind.IGNITION,
        kernel_sha256=entry.artifact(ignition.KERNEL).sha256,
        initrd_sha256=entry.artifact(ignition.INITRD).sha256,
        files_sha256="",
        raw_bytes=0,
    )


def content_of(image: OsRef) -> str:
    """The SHA-256 of what machines get most of."""
    match image:
        case ImageRef():
            return image.blob_sha256
        case InstallerRef():
            return image.files_sha256
        case _:
            assert_never(image)


def files_of(image: OsRef) -> Mapping[str, str]:
    """By SHA-256, the names that people know."""
    match image:
        case ImageRef():
            return {
                image.manifest_sha256: f"the manifest of {image.name}",
                image.blob_sha256: f"the image {image.name}",
            }
        case InstallerRef():
            return {
                image.kernel_sha256: f"the kernel of {image.name}",
                image.initrd_sha256: f"the ramdisk of {image.name}",
                image.files_sha256: f"the file list of {image.name}",
            }
        case _:
            assert_never(image)


def _content(artifact: Artifact, store: Store) -> FileContent:
    path = store.path_of(artifact.sha256)
    mark = Mark.of(path.stat())
    return FileContent(path=path, size=artifact.size, media_type=artifact.media, digest=artifact.sha256, mark=mark)


def _image(entry: Entry, store: Store) -> ImageRef:
    manifest, blob = entry.artifact("manifest.json"), entry.artifact("blob.zst")
    described = Manifest.parse(store.path_of(manifest.sha256).read_bytes())
    return ImageRef(
        name=ImageName(Product.DEBIAN.value),
        manifest_sha256=manifest.sha256,
        blob_sha256=blob.sha256,
        raw_bytes=described.raw_size,
    )


def _installer(entry: Entry, variant: Variant) -> InstallerRef:
    return InstallerRef(
        name=ImageName(Product.INSTALLER.value),
        answers=AnswerKind.PRESEED,
        kernel_sha256=entry.artifact(VMLINUZ).sha256,
        initrd_sha256=entry.artifact(INITRD).sha256,
        files_sha256=entry.artifact(LISTING).sha256,
        raw_bytes=_INSTALLED_BYTES,
        kernel_package=KERNELS[variant],
    )


def _fetched(entry: Entry, store: Store) -> dict[str, Content]:
    """What the list names, by the path that the installer asks for."""
    listed = entry.artifact(LISTING).sha256
    by_hash = {artifact.sha256: artifact for artifact in entry.artifacts}
    files = listing.parse(store.path_of(listed).read_bytes())
    return {f"{listed}/{path}": _content(by_hash[digest], store) for path, digest in files.items()}
