"""Where a machine stands: racks and their units (EIA-310: a unit is 44.45 mm, counted from the bottom)."""

from dataclasses import dataclass

from appliance.errors import SiteError

FULL_HEIGHT = 42
_HIGHEST = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """`unit` is the lowest unit that the machine fills, `height` how many. Of two in one unit, `left` and `right`."""

    rack: str
    unit: int
    height: int = 1
    half: str = ""

    def __post_init__(self) -> None:
        fits = self.unit >= 1 and self.height >= 1 and self.unit + self.height - 1 <= _HIGHEST
        if not (self.rack and fits and self.half in ("", "left", "right")):
            raise SiteError(
                f"there is no place {self}",
                next_action=f"give a rack's name, units from 1 to {_HIGHEST}, and left, right or nothing as half",
            )

    def __str__(self) -> str:
        units = f"U{self.unit}" if self.height == 1 else f"U{self.unit}-{self.unit + self.height - 1}"
        return " ".join(part for part in (self.rack, units, self.half) if part)

    @property
    def cells(self) -> frozenset[tuple[str, int, str]]:
        """What it takes up, half a unit each."""
        halves = (self.half,) if self.half else ("left", "right")
        units = range(self.unit, self.unit + self.height)
        return frozenset((self.rack, unit, half) for unit in units for half in halves)
