import pytest

from appliance.errors import SiteError
from appliance.model.place import Place


@pytest.mark.parametrize(
    ("place", "said", "cells"),
    [
        (Place(rack="r1", unit=3), "r1 U3", "3 left front, 3 left rear, 3 right front, 3 right rear"),
        (Place(rack="r1", unit=3, face="front"), "r1 U3", "3 left front, 3 right front"),
        (Place(rack="r1", unit=3, face="rear"), "r1 U3 rear", "3 left rear, 3 right rear"),
        (
            Place(rack="r1", unit=3, height=2, half="left"),
            "r1 U3-4 left",
            "3 left front, 3 left rear, 4 left front, 4 left rear",
        ),
        (Place(rack="r1", unit=60, half="right", face="front"), "r1 U60 right", "60 right front"),
        (Place(rack="r1", unit=60, half="right", face="rear"), "r1 U60 right rear", "60 left rear"),
    ],
)
def test_places(place: Place, said: str, cells: str) -> None:
    """Cells are told as one sees them from the front: a right half at the rear is behind the left one."""
    assert str(place) == said
    assert {rack for rack, *_ in place.cells} == {"r1"}
    assert ", ".join(f"{unit} {half} {face}" for _, unit, half, face in sorted(place.cells)) == cells


@pytest.mark.parametrize(
    ("place", "half"),
    [
        (Place(rack="r1", unit=1), ""),
        (Place(rack="r1", unit=1, half="left"), "right"),
        (Place(rack="r1", unit=1, half="right", face="front"), "left"),
        (Place(rack="r1", unit=1, half="right", face="rear"), "right"),
    ],
)
def test_from_behind_halves_change_sides(place: Place, half: str) -> None:
    assert place.half_from_behind == half


@pytest.mark.parametrize(
    "wrong", [{"rack": ""}, {"unit": 0}, {"height": 0}, {"unit": 60, "height": 2}, {"half": "middle"}, {"face": "top"}]
)
def test_no_such_place(wrong: dict[str, object]) -> None:
    with pytest.raises(SiteError, match="there is no place"):
        Place(**({"rack": "r1", "unit": 1} | wrong))  # type: ignore[arg-type]  # a table of faults
