"""Everything that a site boots and installs, in one call."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import assert_never

from images import debian_set, firmware
from images.archive import Archive
from images.debian import recipe as debian
from images.errors import StoreError
from images.ignition import recipe as ignition
from images.installer import recipe as installer
from images.kubernetes import recipe as kubernetes
from images.podman.recipe import PODMAN
from images.ramdisk import recipe as ramdisk
from images.ramdisk.modules import Variant
from images.recipe import Recipe
from images.slurm.recipe import SLURM
from images.store import Entry, Store


class Product(StrEnum):
    FIRMWARE = "firmware"
    RAMDISK = "ramdisk"
    DEBIAN = "debian-13"
    INSTALLER = "debian-13-installer"
    IGNITION = "ignition"
    KUBERNETES = "kubernetes"
    SLURM = "slurm"
    PODMAN = "podman"


STANDARD = (Product.FIRMWARE, Product.RAMDISK, Product.DEBIAN)
"""What every site needs. The others are built when they are named."""
OFFERED = (Product.INSTALLER, Product.IGNITION)
"""What machines can start from, too, where it is built."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """What was asked for, by product."""

    entries: Mapping[Product, Entry]

    def entry(self, product: Product) -> Entry:
        """Raises KeyError for a product that was not asked for."""
        return self.entries[product]


def ensure_all(store: Store, archive: Archive, variant: Variant, products: Iterable[Product] = STANDARD) -> Catalogue:
    """From the store, or built. Raises ImagesError."""
    return Catalogue(entries={product: _ensure(product, store, archive, variant) for product in products})


def find_all(store: Store, variant: Variant) -> Catalogue:
    """What `ensure_all` would yield, without building. Raises StoreError naming what is not there."""
    return Catalogue(entries={product: _find(_recipe(product, variant), store) for product in STANDARD})


def find_extras(store: Store, variant: Variant) -> Catalogue:
    """What was built beside that for machines to start from. Raises StoreError where it cannot be told."""
    extras = ((product, _recipe(product, variant)) for product in OFFERED)
    looked = ((product, store.find(recipe.name, recipe.key)) for product, recipe in extras)
    return Catalogue(entries={product: entry for product, entry in looked if entry is not None})


def unpack_sets(catalogue: Catalogue, folder: Path, store: Store, archive: Archive) -> tuple[Path, ...]:
    """Of what is an artifact set a folder below this one, under the set's name. Raises ImagesError."""
    made = []
    for product, entry in catalogue.entries.items():
        draft = folder / f".{product}"
        match product:
            case Product.KUBERNETES:
                found = kubernetes.unpack(entry, store, draft, archive)
            case Product.SLURM | Product.PODMAN:
                found = debian_set.unpack(entry, store, draft)
            case _:
                continue
        made.append(draft.rename(folder / found.name))
    return tuple(made)


def _find(recipe: Recipe, store: Store) -> Entry:
    if (entry := store.find(recipe.name, recipe.key)) is None:
        raise StoreError(
            f"{recipe.name} is not in the store, or of an older version",
            evidence=f"no whole entry {recipe.key[:12]} in {store.root}",
            next_action="build it: ./run image",
        )
    return entry


def _recipe(product: Product, variant: Variant) -> Recipe:
    match product:
        case Product.FIRMWARE:
            return firmware.recipe_of()
        case Product.RAMDISK:
            return ramdisk.recipe_of(variant)
        case Product.DEBIAN:
            return debian.recipe_of(variant)
        case Product.INSTALLER:
            return installer.recipe_of(variant)
        case Product.IGNITION:
            return ignition.recipe_of(variant)
        case Product.KUBERNETES:
            return kubernetes.recipe_of(variant)
        case Product.SLURM:
            return SLURM.recipe_of(variant)
        case Product.PODMAN:
            return PODMAN.recipe_of(variant)
        case _:
            assert_never(product)


def _ensure(product: Product, store: Store, archive: Archive, variant: Variant) -> Entry:
    match product:
        case Product.FIRMWARE:
            return firmware.ensure_firmware(store, archive)
        case Product.RAMDISK:
            return ramdisk.ensure_ramdisk(variant, store, archive)
        case Product.DEBIAN:
            return debian.ensure_debian(variant, store, archive)
        case Product.INSTALLER:
            return installer.ensure_installer(variant, store, archive)
        case Product.IGNITION:
            return ignition.ensure_ignition(variant, store, archive)
        case Product.KUBERNETES:
            return kubernetes.ensure_kubernetes(variant, store, archive)
        case Product.SLURM:
            return SLURM.ensure(variant, store, archive)
        case Product.PODMAN:
            return PODMAN.ensure(variant, store, archive)
        case _:
            assert_never(product)
