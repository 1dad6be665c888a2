"""How fast a BMC can be asked: the gap grows when it complains and shrinks while it does not. Pure."""

from dataclasses import dataclass

_GROWN = 0.5
# An operation of a dozen requests is to fit into its time even with the longest gap, else no BMC would ever recover.
_LONGEST = 4.0
_SHRINK = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """`floor` is the gap in seconds that this make needs, `gap` the present one."""

    floor: float
    gap: float

    @classmethod
    def of(cls, floor: float) -> "Pace":
        return cls(floor=floor, gap=floor)

    def wait(self, since_last: float) -> float:
        return max(0.0, self.gap - since_last)

    def content(self) -> "Pace":
        shrunk = self.gap * _SHRINK
        return Pace(floor=self.floor, gap=self.floor if shrunk < self.floor + 0.1 else shrunk)

    def overrun(self) -> "Pace":
        return Pace(floor=self.floor, gap=min(max(self.gap * 2, _GROWN), _LONGEST))
