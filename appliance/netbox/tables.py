"""Devices and interfaces from CSV, as NetBox exports them: for where no NetBox can be reached. Pure."""

import csv
import io
from collections.abc import Iterator, Mapping

from appliance.errors import UsageError
from appliance.netbox.rest import Address, Choice, DeviceDocument, DeviceType, Interface, Named, Read, TypeRef, read

_MOST_ROWS = 100_000


def read_tables(devices: str, interfaces: str) -> Read:
    """Columns of devices: name, rack, position, face, u_height, serial, primary_ip4, oob_ip; of interfaces: device,
    mac_address, mgmt_only. Others mean nothing, and all but name and device may be missing."""
    rows = list(_rows(devices, "name"))
    numbers = {row["name"]: number for number, row in enumerate(rows, 1)}
    types = [DeviceType(id=number, u_height=_number(row, "u_height") or 1) for number, row in enumerate(rows, 1)]
    ports = [
        Interface(
            device=Named(id=numbers.get(row["device"], 0)),
            mac_address=row.get("mac_address"),
            mgmt_only=row.get("mgmt_only", "").lower() in ("true", "1", "yes"),
        )
        for row in _rows(interfaces, "device")
    ]
    return read([_device(number, row) for number, row in enumerate(rows, 1)], types, ports)


def _device(number: int, row: Mapping[str, str]) -> DeviceDocument:
    return DeviceDocument(
        id=number,
        name=row["name"],
        serial=row.get("serial", ""),
        rack=Named(name=row["rack"]) if row.get("rack") else None,
        position=_number(row, "position"),
        face=Choice(value=row["face"].lower()) if row.get("face") else None,
        device_type=TypeRef(id=number),
        primary_ip4=_address(row, "primary_ip4"),
        oob_ip=_address(row, "oob_ip"),
    )


def _rows(text: str, key: str) -> Iterator[dict[str, str]]:
    """Names of columns as NetBox writes them for people (`OOB IP`) or for itself (`oob_ip`)."""
    if not text.strip():
        return
    try:
        reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
        names = [name.strip().lower().replace(" ", "_") for name in next(reader)]
        for number, row in enumerate(reader):
            found = dict(zip(names, (value.strip() for value in row), strict=False))
            if key not in found or number >= _MOST_ROWS:
                raise UsageError(f"the table has no column {key}, or too many rows", evidence=", ".join(names)[:200])
            yield found
    except csv.Error as error:
        raise UsageError("this is no CSV", evidence=str(error)) from error


def _number(row: Mapping[str, str], name: str) -> float | None:
    said = row.get(name, "")
    try:
        number = float(said) if said else None
    except ValueError as error:
        raise UsageError(f"{name} of {row['name'][:60]} is no number", evidence=repr(said[:40])) from error
    if number is not None and not 0 <= number < 1000:
        raise UsageError(f"{name} of {row['name'][:60]} is no number of units", evidence=repr(said[:40]))
    return number


def _address(row: Mapping[str, str], name: str) -> Address | None:
    return Address(address=row[name]) if row.get(name) else None
