"""Where a machine stands: racks and their units (EIA-310: a unit is 44.45 mm, counted from the bottom)."""

from dataclasses import dataclass
from typing import Literal

from appliance.errors import SiteError

FULL_HEIGHT = 42
_HIGHEST = 60
_OTHER_HALF = {"": "", "left": "right", "right": "left"}

Face = Literal["", "front", "rear"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """`unit` is the lowest unit that the machine fills, `height` how many. Of two in one unit, `left` and `right`, as
    one sees them who stands before the side that they are mounted on.

    `face` is that side where the machine leaves the other one free; one without fills the whole depth from the front.
    """

    rack: str
    unit: int
    height: int = 1
    half: str = ""
    face: Face = ""

    def __post_init__(self) -> None:
        fits = self.unit >= 1 and self.height >= 1 and self.top <= _HIGHEST
        named = self.half in _OTHER_HALF and self.face in ("", "front", "rear")
        if not (self.rack and fits and named):
            raise SiteError(
                f"there is no place {self}",
                next_action=f"give a rack's name, units from 1 to {_HIGHEST}, left, right or nothing as half, "
                "front, rear or nothing as face",
            )

    def __str__(self) -> str:
        units = f"U{self.unit}" if self.height == 1 else f"U{self.unit}-{self.top}"
        return " ".join(part for part in (self.rack, units, self.half, self.face.removeprefix("front")) if part)

    @property
    def top(self) -> int:
        """The highest unit that the machine fills."""
        return self.unit + self.height - 1

    @property
    def at_rear(self) -> bool:
        return self.face == "rear"

    @property
    def half_from_behind(self) -> str:
        """On which half one sees it who stands behind the rack."""
        return self.half if self.at_rear else _OTHER_HALF[self.half]

    @property
    def cells(self) -> frozenset[tuple[str, int, str, str]]:
        """What it takes up: rack, unit, half as seen from the front, side."""
        half = _OTHER_HALF[self.half] if self.at_rear else self.half
        halves = (half,) if half else ("left", "right")
        faces = (self.face,) if self.face else ("front", "rear")
        units = range(self.unit, self.top + 1)
        return frozenset((self.rack, unit, one, face) for unit in units for one in halves for face in faces)
