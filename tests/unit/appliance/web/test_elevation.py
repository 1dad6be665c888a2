"""Racks as drawings: empty, full, high machines, halves, and no rack at all."""

import pytest

from appliance.model.phase import Phase
from appliance.model.place import Place
from appliance.model.views import MachineView
from appliance.web.elevation import GUTTER, UNIT, WIDTH, Box, frames, unplaced


def at(name: str, place: Place | None) -> MachineView:
    return MachineView(name=name, phase=Phase.ACTIVE, since=0.0, place=place)


def test_a_machine_stands_where_its_units_are() -> None:
    (frame,) = frames([at("a", Place(rack="r", unit=1)), at("b", Place(rack="r", unit=2, height=3))])
    assert (frame.rack, frame.units, frame.height) == ("r", 12, 12 * UNIT)
    assert frame.boxes == (
        Box(machine="a", x=GUTTER, y=11 * UNIT, width=WIDTH, height=UNIT),
        Box(machine="b", x=GUTTER, y=8 * UNIT, width=WIDTH, height=3 * UNIT),
    )
    assert [unit for unit, _ in frame.marks] == list(range(1, 13))


def test_halves_stand_side_by_side() -> None:
    (frame,) = frames([at("a", Place(rack="r", unit=5, half="right")), at("b", Place(rack="r", unit=5, half="left"))])
    left, right = sorted(frame.boxes, key=lambda box: box.x)
    assert (left.machine, right.machine) == ("b", "a")
    assert (left.x + left.width, left.y, left.width) == (right.x, right.y, right.width)


@pytest.mark.parametrize(("top", "units"), [(1, 12), (12, 12), (13, 24), (25, 42), (42, 42), (48, 48), (60, 60)])
def test_a_rack_is_as_high_as_it_has_to_be(top: int, units: int) -> None:
    assert [frame.units for frame in frames([at("a", Place(rack="r", unit=top))])] == [units]


def test_racks_come_by_name_and_the_rest_apart() -> None:
    machines = [at("a", Place(rack="r2", unit=1)), at("b", None), at("c", Place(rack="r1", unit=1))]
    assert [frame.rack for frame in frames(machines)] == ["r1", "r2"]
    assert [machine.name for machine in unplaced(machines)] == ["b"]
    assert frames([at("b", None)]) == ()


def test_a_full_rack_leaves_no_gap() -> None:
    (frame,) = frames([at(f"n{unit}", Place(rack="r", unit=unit)) for unit in range(1, 49)])
    assert sorted(box.y for box in frame.boxes) == list(range(0, frame.height, UNIT))


def test_a_rack_with_something_at_the_rear_is_drawn_from_both_sides() -> None:
    places = {
        "whole": Place(rack="r", unit=1, half="left"),
        "shallow": Place(rack="r", unit=2, face="front"),
        "behind": Place(rack="r", unit=2, face="rear", half="right"),
    }
    front, rear = frames([at(name, place) for name, place in places.items()])
    assert (front.side, rear.side, front.units, rear.units) == ("front", "rear", 12, 12)
    assert [box.machine for box in front.boxes] == ["whole", "shallow"]
    assert front.through == ()
    assert [(box.machine, box.x) for box in rear.boxes] == [("behind", GUTTER + WIDTH // 2)]
    assert [(box.machine, box.x) for box in rear.through] == [("whole", GUTTER + WIDTH // 2)]
