import pytest

from appliance.errors import SiteError
from appliance.model.place import Place


@pytest.mark.parametrize(
    ("place", "said", "cells"),
    [
        (Place(rack="r1", unit=3), "r1 U3", {("r1", 3, "left"), ("r1", 3, "right")}),
        (Place(rack="r1", unit=3, height=2, half="left"), "r1 U3-4 left", {("r1", 3, "left"), ("r1", 4, "left")}),
        (Place(rack="r1", unit=60, half="right"), "r1 U60 right", {("r1", 60, "right")}),
    ],
)
def test_places(place: Place, said: str, cells: set[tuple[str, int, str]]) -> None:
    assert (str(place), place.cells) == (said, cells)


@pytest.mark.parametrize(
    "wrong", [{"rack": ""}, {"unit": 0}, {"height": 0}, {"unit": 60, "height": 2}, {"half": "middle"}]
)
def test_no_such_place(wrong: dict[str, object]) -> None:
    with pytest.raises(SiteError, match="there is no place"):
        Place(**({"rack": "r1", "unit": 1} | wrong))  # type: ignore[arg-type]  # a table of faults
