"""A simulated machine as it is, whatever its BMC says of it: power, boot order, and what it does on the network. Pure.

Its power changes at once. A machine that is on asks for an address soon after its boot and from then on is heard of
in turn, as one is whose agent polls: so a BMC that says otherwise can be found out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import floor, inf
from typing import assert_never

from appliance.bmc.evidence import Rung, Sighting
from appliance.model.bmc import (
    BootMode,
    BootOverride,
    BootTarget,
    BootTerm,
    Indicator,
    PowerCommand,
    PowerState,
)

FIRST_SIGN_SECONDS = 1.0
SIGN_SECONDS = 3.0
NO_OVERRIDE = BootOverride(target=BootTarget.NONE, term=BootTerm.DISABLED, mode=BootMode.UEFI)


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """`source` is what the firmware was told to start from, NONE: its own order. It ran from `at` `until` then."""

    source: BootTarget
    mode: BootMode
    at: float
    until: float = inf


@dataclass(slots=True, kw_only=True)
class Machine:
    """`media` are the images in its virtual drives, by drive; `updates` those that its firmware was updated from."""

    override: BootOverride = NO_OVERRIDE
    boots: list[Boot] = field(default_factory=list)
    media: dict[str, str] = field(default_factory=dict)
    indicator: Indicator = Indicator.OFF
    updates: list[str] = field(default_factory=list)
    interrupts: int = 0

    @property
    def power(self) -> PowerState:
        return PowerState.ON if self.boots and self.boots[-1].until == inf else PowerState.OFF

    def command(self, command: PowerCommand, now: float) -> None:
        """A restart of what is off starts it."""
        match command:
            case PowerCommand.ON:
                if self.power is PowerState.OFF:
                    self._boot(now)
            case PowerCommand.FORCE_OFF | PowerCommand.GRACEFUL_OFF:
                self._halt(now)
            case PowerCommand.FORCE_RESTART | PowerCommand.GRACEFUL_RESTART | PowerCommand.CYCLE:
                self._halt(now)
                self._boot(now)
            case PowerCommand.NMI:
                self.interrupts += 1
            case _:
                assert_never(command)

    def _halt(self, now: float) -> None:
        if self.power is PowerState.ON:
            self.boots[-1] = replace(self.boots[-1], until=now)

    def _boot(self, now: float) -> None:
        mode = self.override.mode or BootMode.UEFI
        self.boots.append(Boot(source=self.override.target, mode=mode, at=now))
        if self.override.term is BootTerm.ONCE:
            self.override = replace(NO_OVERRIDE, mode=mode)

    def sightings(self, now: float) -> tuple[Sighting, ...]:
        """What others than the BMC saw of it until now."""
        return tuple(sighting for boot in self.boots for sighting in _signs(boot, min(now, boot.until)))


def _signs(boot: Boot, end: float) -> Iterator[Sighting]:
    """The first, and the last of those that follow."""
    first = boot.at + FIRST_SIGN_SECONDS
    if first > end:
        return
    yield Sighting(rung=Rung.DHCP, power=PowerState.ON, at=first, fresh=True)
    if (count := floor((end - first) / SIGN_SECONDS)) > 0:
        yield Sighting(rung=Rung.AGENT, power=PowerState.ON, at=first + count * SIGN_SECONDS)
