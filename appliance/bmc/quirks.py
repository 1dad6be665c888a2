"""What BMCs do that the specification does not say; each row names the hardware."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirk:
    """Applies where ComputerSystem.Manufacturer starts with `manufacturer`."""

    manufacturer: str
    serial_key: str


QUIRKS = (
    # Dell iDRAC 8 and later: SerialNumber is the board's part number; the service tag, which is what the
    # system's SMBIOS table and the label on the chassis show, is in SKU.
    Quirk(manufacturer="Dell", serial_key="SKU"),
)


def serial_key(manufacturer: str) -> str:
    """The member of ComputerSystem that holds the serial number known to SMBIOS."""
    for quirk in QUIRKS:
        if manufacturer.startswith(quirk.manufacturer):
            return quirk.serial_key
    return "SerialNumber"
