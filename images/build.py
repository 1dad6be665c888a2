"""Everything that a site boots and installs, in one call."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from images.archive import Archive
from images.debian.recipe import ensure_debian
from images.firmware import ensure_firmware
from images.ramdisk.modules import Variant
from images.ramdisk.recipe import ensure_ramdisk
from images.store import Entry, Store


class Product(StrEnum):
    FIRMWARE = "firmware"
    RAMDISK = "ramdisk"
    DEBIAN = "debian-13"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """What was asked for, by product."""

    entries: Mapping[Product, Entry]

    def entry(self, product: Product) -> Entry:
        """Raises KeyError for a product that was not asked for."""
        return self.entries[product]


def ensure_all(
    store: Store, archive: Archive, variant: Variant, products: Iterable[Product] = tuple(Product)
) -> Catalogue:
    """From the store, or built. Raises ImagesError."""
    return Catalogue(entries={product: _ensure(product, store, archive, variant) for product in products})


def _ensure(product: Product, store: Store, archive: Archive, variant: Variant) -> Entry:
    builders: Mapping[Product, Callable[[], Entry]] = {
        Product.FIRMWARE: lambda: ensure_firmware(store, archive),
        Product.RAMDISK: lambda: ensure_ramdisk(variant, store, archive),
        Product.DEBIAN: lambda: ensure_debian(variant, store, archive),
    }
    return builders[product]()
