"""The rack as a drawing: which machine fills which rectangle. Pure; lengths in SVG user units."""

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.model.place import FULL_HEIGHT, Place
from appliance.model.views import MachineView

UNIT = 22
WIDTH = 264
GUTTER = 30
"""Left of the machines, where the units are numbered."""

_HEIGHTS = (12, 24, FULL_HEIGHT, 48, 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    machine: str
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One rack; unit 1 is at the bottom. `marks` are the numbered units with the y of their text."""

    rack: str
    units: int
    height: int
    marks: tuple[tuple[int, int], ...]
    boxes: tuple[Box, ...]

    @property
    def width(self) -> int:
        return GUTTER + WIDTH


def frames(machines: Iterable[MachineView]) -> tuple[Frame, ...]:
    """A rack is as high as the lowest usual one that holds its machines: nobody said how high it is."""
    placed: dict[str, list[tuple[str, Place]]] = {}
    for machine in machines:
        if machine.place is not None:
            placed.setdefault(machine.place.rack, []).append((machine.name, machine.place))
    return tuple(_frame(rack, placed[rack]) for rack in sorted(placed))


def unplaced(machines: Iterable[MachineView]) -> tuple[MachineView, ...]:
    return tuple(machine for machine in machines if machine.place is None)


def _frame(rack: str, placed: list[tuple[str, Place]]) -> Frame:
    top = max(place.unit + place.height - 1 for _, place in placed)
    units = min(height for height in _HEIGHTS if height >= top)
    lowest_first = sorted(placed, key=lambda one: (one[1].unit, one[1].half, one[0]))
    return Frame(
        rack=rack,
        units=units,
        height=units * UNIT,
        marks=tuple((unit, (units - unit) * UNIT + UNIT * 2 // 3) for unit in range(1, units + 1)),
        boxes=tuple(_box(name, place, units) for name, place in lowest_first),
    )


def _box(name: str, place: Place, units: int) -> Box:
    width, height = size_of(place)
    return Box(
        machine=name,
        x=GUTTER + (width if place.half == "right" else 0),
        y=(units - place.unit - place.height + 1) * UNIT,
        width=width,
        height=height,
    )


def size_of(place: Place) -> tuple[int, int]:
    """Width and height of a machine's rectangle."""
    return WIDTH // 2 if place.half else WIDTH, place.height * UNIT
