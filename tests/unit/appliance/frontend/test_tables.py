"""A table for spreadsheets: a row for each machine, and no formula from hardware."""

import csv
import io
from dataclasses import replace

import pytest

from appliance.frontend.tables import COLUMNS, csv_of
from appliance.model.phase import Phase
from appliance.model.place import Place
from appliance.model.views import MachineView

ONE = MachineView(name="node-0", phase=Phase.ACTIVE, since=0.0, serial='SN,"1"', place=Place(rack="r1", unit=3))


def rows(*machines: MachineView) -> list[dict[str, str]]:
    text = csv_of(machines)
    assert text.startswith(",".join(COLUMNS) + "\r\n")
    return list(csv.DictReader(io.StringIO(text)))


def test_what_was_written_is_read() -> None:
    (row,) = rows(replace(ONE, macs=("52:54:00:77:00:01", "52:54:00:77:00:02"), cores=8))
    assert (row["name"], row["state"], row["serial"], row["rack"], row["unit"]) == (
        "node-0",
        "active",
        'SN,"1"',
        "r1",
        "3",
    )
    assert (row["macs"], row["cores"], row["memory_bytes"]) == ("52:54:00:77:00:01 52:54:00:77:00:02", "8", "")


@pytest.mark.parametrize("text", ["=cmd|'/C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_what_hardware_says_is_no_formula(text: str) -> None:
    (row,) = rows(replace(ONE, serial=text))
    assert not row["serial"].startswith(("=", "+", "-", "@", "\t", "\r"))


def test_a_line_break_makes_no_row() -> None:
    assert len(rows(replace(ONE, product="a\r\nb,c"))) == 1
