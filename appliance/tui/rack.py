"""Where machines are on the overview: racks side by side, the top unit first, then a grid of the others. The rear of a
rack stands beside its front where anything is mounted there. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from appliance.model.paging import name_order
from appliance.model.place import Place
from appliance.model.views import MachineView
from appliance.tui.text import ascii_of

UNIT_CELLS = 8
WORD_CELLS = 13
_NAME_CELLS = 24
_AROUND_CELLS = WORD_CELLS + 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """`units` as "U7" or "U7-8", with L or R for half of them; "" for a machine whose place is not known."""

    machine: MachineView
    units: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Machines side by side, None where one of the racks has none; or `titles` of what stands below."""

    slots: tuple[Slot | None, ...] = ()
    titles: tuple[str, ...] = ()

    def nearest(self, column: int) -> MachineView | None:
        filled = [(abs(at - column), slot.machine) for at, slot in enumerate(self.slots) if slot is not None]
        return min(filled, key=lambda one: one[0])[1] if filled else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """`name` is how many cells a machine's name gets."""

    rows: tuple[Row, ...]
    name: int

    @property
    def cells(self) -> int:
        """Of a machine without its units."""
        return self.name + _AROUND_CELLS

    @property
    def machines(self) -> tuple[MachineView, ...]:
        """As they are read."""
        return tuple(slot.machine for row in self.rows for slot in row.slots if slot is not None)

    def at(self, name: str) -> tuple[int, int]:
        """Row and column of the machine, or of the first; of nothing where there is none."""
        places = [
            (slot.machine.name, (y, x))
            for y, row in enumerate(self.rows)
            for x, slot in enumerate(row.slots)
            if slot is not None
        ]
        return next((place for called, place in places if called == name), places[0][1] if places else (0, 0))

    def under(self, name: str) -> MachineView | None:
        """The machine under the cursor."""
        machines = self.machines
        return next((one for one in machines if one.name == name), machines[0] if machines else None)


def layout(machines: Sequence[MachineView], width: int) -> Layout:
    name = min(max((len(ascii_of(machine.name)) for machine in machines), default=8), _NAME_CELLS)
    cells = name + _AROUND_CELLS
    placed = tuple(_racks(machines, max(1, width // (cells + UNIT_CELLS))))
    others = tuple(_grid([one for one in machines if one.place is None], max(1, width // cells)))
    between = (Row(titles=("place not known",)),) if placed and others else ()
    return Layout(rows=(*placed, *between, *others), name=name)


def _racks(machines: Sequence[MachineView], columns: int) -> Iterator[Row]:
    sides: dict[tuple[str, bool], list[tuple[Place, MachineView]]] = {}
    for machine in machines:
        if (place := machine.place) is not None:
            sides.setdefault((place.rack, place.at_rear), []).append((place, machine))
    names = sorted(sides, key=lambda side: (name_order(side[0]), side[1]))
    for start in range(0, len(names), columns):
        band = names[start : start + columns]
        yield Row(titles=tuple(f"rack {rack} rear" if at_rear else f"rack {rack}" for rack, at_rear in band))
        yield from _band([sides[name] for name in band])


def _band(racks: Sequence[Sequence[tuple[Place, MachineView]]]) -> Iterator[Row]:
    """Units without a machine take no line: their numbers say where they are."""
    lanes = [_levels(rack) for rack in racks]
    for level in sorted({level for lane in lanes for level in lane}):
        yield from (Row(slots=slots) for slots in zip_longest(*(lane.get(level, ()) for lane in lanes)))


def _levels(rack: Sequence[tuple[Place, MachineView]]) -> dict[tuple[int, str], list[Slot]]:
    levels: dict[tuple[int, str], list[Slot]] = {}
    for place, machine in rack:
        levels.setdefault((-place.top, place.half), []).append(Slot(machine=machine, units=_units(place)))
    return levels


def _units(place: Place) -> str:
    units = f"U{place.top}" if place.height == 1 else f"U{place.unit}-{place.top}"
    return units + place.half[:1].upper()


def _grid(machines: Sequence[MachineView], columns: int) -> Iterator[Row]:
    for start in range(0, len(machines), columns):
        yield Row(slots=tuple(Slot(machine=machine) for machine in machines[start : start + columns]))
