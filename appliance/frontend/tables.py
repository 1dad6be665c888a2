"""Machines as comma-separated values (RFC 4180), for spreadsheets. Pure."""

import csv
import io
from collections.abc import Iterable

from appliance.model.standing import standing
from appliance.model.text import clean
from appliance.model.views import MachineView

COLUMNS = (
    "name",
    "state",
    "phase",
    "role",
    "rack",
    "unit",
    "product",
    "serial",
    "uuid",
    "address",
    "bmc",
    "macs",
    "cores",
    "memory_bytes",
)
_FORMULA = ("=", "+", "-", "@")
_LONGEST = 300


def csv_of(machines: Iterable[MachineView]) -> str:
    """What hardware says is no formula: a spreadsheet takes what begins with an apostrophe as text."""
    into = io.StringIO()
    table = csv.writer(into)
    table.writerow(COLUMNS)
    table.writerows(tuple(map(_cell, _row(machine))) for machine in machines)
    return into.getvalue()


def _row(one: MachineView) -> tuple[object, ...]:
    return (
        one.name,
        standing(one).value,
        one.phase.value,
        one.role or one.spare_of,
        one.place.rack if one.place else "",
        one.place.unit if one.place else "",
        one.product,
        one.serial,
        one.uuid,
        one.address,
        one.bmc,
        " ".join(one.macs),
        "" if one.cores is None else one.cores,
        "" if one.memory_bytes is None else one.memory_bytes,
    )


def _cell(value: object) -> str:
    text = clean(str(value), _LONGEST)
    return f"'{text}" if text.startswith(_FORMULA) else text
