"""What BMCs do that the specification does not say; each row names the hardware. Pure.

What holds for everyone without harm is no quirk: actions without parameters are sent with an empty body, since
HPE's iLO wants one to eject a medium; where a reset is refused the power state is read once more, since iLO refuses
one that follows another too soon.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from itertools import zip_longest


class Fact(Enum):
    SERIAL_IN_SKU = auto()
    """SerialNumber is the board's part number; what SMBIOS and the label on the chassis show is in SKU."""
    BOOT_WHOLE = auto()
    """An override without its mode, or a mode without its override, is forgotten: all members in each request."""
    CD_IS_USB_CD = auto()
    """The virtual drive is UsbCd; Cd is a drive in the chassis."""
    BOOT_AT_SD = auto()
    """Boot changes go to the subordinate resource SD even where no @Redfish.Settings says so."""
    MEDIA_BY_PATCH = auto()
    """InsertMedia and EjectMedia are missing or do nothing: Image is patched."""
    TRANSFER_PROTOCOL = auto()
    """InsertMedia without TransferProtocolType is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """`firmware` is the version of the BMC's own, "" where it is not known."""

    manufacturer: str
    model: str = ""
    firmware: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirk:
    """For products whose manufacturer and model start so, with firmware from `since` up to, without, `before`.

    `gap` is the rest in seconds that the BMC needs after each change.
    """

    manufacturer: str
    model: str = ""
    since: str = ""
    before: str = ""
    facts: frozenset[Fact] = frozenset()
    gap: float = 0.0

    def of_firmware(self) -> bool:
        return bool(self.since or self.before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    facts: frozenset[Fact] = frozenset()
    gap: float = 0.0


QUIRKS = (
    # Dell iDRAC 8 and later.
    Quirk(manufacturer="Dell", facts=frozenset({Fact.SERIAL_IN_SKU})),
    # Dell iDRAC 9, firmware 5: SYS518, data sources unavailable, when changes follow each other within 20 s.
    Quirk(manufacturer="Dell", since="5", before="6", gap=20.0),
    # Supermicro X11 and later.
    Quirk(manufacturer="Supermicro", facts=frozenset({Fact.BOOT_WHOLE, Fact.CD_IS_USB_CD})),
    # AMI MegaRAC SP-X, in its own name and in those of its customers.
    Quirk(manufacturer="AMI", facts=frozenset({Fact.BOOT_AT_SD})),
    Quirk(manufacturer="American Megatrends", facts=frozenset({Fact.BOOT_AT_SD})),
    # Lenovo XCC of ThinkSystem.
    Quirk(manufacturer="Lenovo", model="ThinkSystem", facts=frozenset({Fact.MEDIA_BY_PATCH})),
    # Cisco UCS C series.
    Quirk(manufacturer="Cisco", facts=frozenset({Fact.TRANSFER_PROTOCOL})),
)


def quirks_of(product: Product, rows: tuple[Quirk, ...] = QUIRKS) -> Quirks:
    """All rows that apply, together."""
    applying = [row for row in rows if _applies(row, product)]
    facts: frozenset[Fact] = frozenset().union(*(row.facts for row in applying))
    return Quirks(facts=facts, gap=max((row.gap for row in applying), default=0.0))


def depends_on_firmware(product: Product) -> bool:
    return any(row.of_firmware() and _same_make(row, product) for row in QUIRKS)


def _same_make(row: Quirk, product: Product) -> bool:
    return product.manufacturer.startswith(row.manufacturer) and product.model.startswith(row.model)


def _applies(row: Quirk, product: Product) -> bool:
    if not _same_make(row, product):
        return False
    if not row.of_firmware():
        return True
    if not product.firmware:
        return False
    old_enough = not row.before or older(product.firmware, row.before)
    return old_enough and not older(product.firmware, row.since)


def older(version: str, than: str) -> bool:
    """Compares the numbers in two versions: 5.10 is newer than 5.9; "" is older than everything."""
    pairs = zip_longest(re.findall(r"[0-9]{1,9}", version), re.findall(r"[0-9]{1,9}", than), fillvalue="-1")
    for left, right in pairs:
        if int(left) != int(right):
            return int(left) < int(right)
    return False
