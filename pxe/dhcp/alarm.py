"""How full a pool is, told once for each step up and each step back."""

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Network
from typing import assert_never

_HYSTERESIS = 5


class Level(IntEnum):
    """In percent of the pool."""

    NORMAL = 0
    HIGH = 80
    CRITICAL = 95
    FULL = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolAlarm:
    """The pool of `network` has come to `level`, or gone back to it. `used` counts all that is not free."""

    network: IPv4Network
    level: Level
    used: int
    size: int

    @property
    def sentence(self) -> str:
        state = f"the pool of {self.network} has {self.used} of {self.size} addresses in use"
        match self.level:
            case Level.NORMAL:
                return f"{state}: enough are free again"
            case Level.HIGH | Level.CRITICAL:
                return f"{state}: make the pool larger or the leases shorter before strangers get none"
            case Level.FULL:
                return f"{state}: a machine without a reservation or a lease gets no address; make the pool larger"
            case _:
                assert_never(self.level)


def level_of(used: int, size: int, before: Level) -> Level:
    """Falls only when the use is 5 % of the pool below the level, so that it does not flutter."""
    percent = 100 * used // size if size else 0
    reached = max(level for level in Level if level <= percent)
    if reached >= before:
        return reached
    return max(level for level in Level if level <= percent + _HYSTERESIS and level <= before)
