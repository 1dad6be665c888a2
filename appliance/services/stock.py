"""What the appliance has in store for machines: boot programs, the discovery ramdisk, OS images."""

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.config import Settings
from appliance.errors import MachineryError
from appliance.model.ids import ImageName
from appliance.plan import ImageRef
from images.build import Product, find_all
from images.errors import ImagesError
from images.manifest import Manifest
from images.ramdisk.modules import Variant
from images.store import Artifact, Entry, Store
from pxe.boot import PROGRAM_NAMES
from pxe.content import Content, ContentTable, FileContent, Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """`artifacts` are named by SHA-256, `programs` by the names that DHCP hands out. `entries` are what the rest is of:
    their content was hashed."""

    programs: ContentTable
    artifacts: Mapping[str, Content]
    kernel_sha256: str
    initrd_sha256: str
    images: Mapping[ImageName, ImageRef]
    entries: tuple[Entry, ...] = ()


def take_stock(settings: Settings) -> Stock:
    """Raises `MachineryError` naming what is not there."""
    store = Store(settings.images_dir)
    try:
        found = find_all(store, Variant(settings.ramdisk.value))
        image = _image(found.entry(Product.DEBIAN), store)
    except (ImagesError, ValueError) as error:
        raise MachineryError(
            f"the artefact store {settings.images_dir} is incomplete: {error}",
            evidence=str(getattr(error, "evidence", "")),
            next_action=str(getattr(error, "next_action", "") or "build the images: ./run image"),
        ) from error
    firmware, ramdisk = found.entry(Product.FIRMWARE), found.entry(Product.RAMDISK)
    served = (*ramdisk.artifacts, *found.entry(Product.DEBIAN).artifacts)
    return Stock(
        programs=ContentTable({a.name: _content(a, store) for a in firmware.artifacts if a.name in PROGRAM_NAMES}),
        artifacts={artifact.sha256: _content(artifact, store) for artifact in served},
        kernel_sha256=ramdisk.artifact("vmlinuz").sha256,
        initrd_sha256=ramdisk.artifact("initrd.zst").sha256,
        images={image.name: image},
        entries=tuple(found.entries.values()),
    )


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
