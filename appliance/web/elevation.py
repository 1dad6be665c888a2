"""The rack as a drawing: which machine fills which rectangle. Pure; lengths in SVG user units."""

from collections.abc import Iterable, Iterator
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
    """One side of a rack; unit 1 is at the bottom. `marks` are the numbered units with the y of their text. `through`
    are machines mounted on the other side that fill the whole depth: their backs are seen here."""

    rack: str
    side: str
    units: int
    height: int
    marks: tuple[tuple[int, int], ...]
    boxes: tuple[Box, ...]
    through: tuple[Box, ...] = ()

    @property
    def width(self) -> int:
        return GUTTER + WIDTH


def frames(machines: Iterable[MachineView]) -> tuple[Frame, ...]:
    """A rack is as high as the lowest usual one that holds its machines: nobody said how high it is. `side` is "" where
    nothing is mounted at the rear."""
    placed: dict[str, list[tuple[str, Place]]] = {}
    for machine in machines:
        if machine.place is not None:
            placed.setdefault(machine.place.rack, []).append((machine.name, machine.place))
    return tuple(frame for rack in sorted(placed) for frame in _sides(rack, placed[rack]))


def unplaced(machines: Iterable[MachineView]) -> tuple[MachineView, ...]:
    return tuple(machine for machine in machines if machine.place is None)


def _sides(rack: str, placed: list[tuple[str, Place]]) -> Iterator[Frame]:
    top = max(place.top for _, place in placed)
    units = min(height for height in _HEIGHTS if height >= top)
    lowest_first = sorted(placed, key=lambda one: (one[1].unit, one[1].half, one[0]))
    front = [(name, place) for name, place in lowest_first if not place.at_rear]
    rear = [(name, place) for name, place in lowest_first if place.at_rear]
    yield _frame(rack, "front" if rear else "", units, front)
    if rear:
        yield _frame(rack, "rear", units, rear, [(name, place) for name, place in front if not place.face])


def _frame(
    rack: str, side: str, units: int, mounted: list[tuple[str, Place]], through: Iterable[tuple[str, Place]] = ()
) -> Frame:
    behind = side == "rear"
    return Frame(
        rack=rack,
        side=side,
        units=units,
        height=units * UNIT,
        marks=tuple((unit, (units - unit) * UNIT + UNIT * 2 // 3) for unit in range(1, units + 1)),
        boxes=tuple(_box(name, place, units, behind=behind) for name, place in mounted),
        through=tuple(_box(name, place, units, behind=behind) for name, place in through),
    )


def _box(name: str, place: Place, units: int, *, behind: bool) -> Box:
    width, height = size_of(place)
    half = place.half_from_behind if behind else place.half
    return Box(
        machine=name,
        x=GUTTER + (width if half == "right" else 0),
        y=(units - place.top) * UNIT,
        width=width,
        height=height,
    )


def size_of(place: Place) -> tuple[int, int]:
    """Width and height of a machine's rectangle."""
    return WIDTH // 2 if place.half else WIDTH, place.height * UNIT
