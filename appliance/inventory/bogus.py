"""Identity values that firmware vendors left at their defaults: they name a product line, not a machine."""

import re
from uuid import UUID

from pxe.client import Mac

_WORDS = frozenset(
    {
        "",
        "none",
        "null",
        "n/a",
        "unknown",
        "serial",
        "default string",
        "not applicable",
        "not available",
        "not present",
        "not settable",
        "not specified",
        "oem",
        "o.e.m.",
        "to be filled by o.e.m.",
        "system manufacturer",
        "system product name",
        "system serial number",
        "base board serial number",
        "chassis serial number",
        "0123456789",
        "1234567890",
        "123456789",
        "12345678",
        "123456",
        "0123456789abcdef",
    }
)
_ONE_CHARACTER = re.compile(r"(.)\1*")

_UUIDS = frozenset(
    {
        UUID(int=0),
        UUID(int=2**128 - 1),
        UUID("03000200-0400-0500-0006-000700080009"),  # AMI Aptio default, on many white-box boards
        UUID("00020003-0004-0005-0006-000700080009"),  # the same, read in the other byte order
        UUID("12345678-1234-5678-90ab-cddeefaabbcc"),  # Insyde default
    }
)
_MACS = frozenset({"00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"})


def real_text(text: str) -> str:
    """`text` without its margins, empty where it is a vendor's placeholder."""
    word = text.strip()
    placeholder = word.lower() in _WORDS or (len(word) > 2 and _ONE_CHARACTER.fullmatch(word) is not None)
    return "" if placeholder else word


def real_uuid(uuid: UUID | None) -> UUID | None:
    return None if uuid in _UUIDS else uuid


def is_real_mac(mac: Mac) -> bool:
    return mac.text not in _MACS
