"""Whether a power command had its effect, and how long to wait for it. Pure.

A BMC's word is the lowest rung: some accept a command and do nothing, some show the state that they were told.
What the machine itself does on the network is the highest: a machine that asks for an address is on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from math import ceil

from appliance.model.bmc import PowerCommand, PowerState


class Rung(Enum):
    """Lowest first. Higher ones overrule lower ones. `AGENT` is any program of ours that runs on the machine."""

    BMC = "bmc"
    DHCP = "dhcp"
    AGENT = "agent"


class Verdict(Enum):
    CONFIRMED = "confirmed"
    UNCONFIRMED = "unconfirmed"
    CONTRADICTED = "contradicted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """`power` is what the sighting shows the machine to be; `at` is in seconds, all by one clock.

    `fresh` is for a boot that began then: a first DHCP DISCOVER of the firmware, an agent's hello with a new boot id.
    """

    rung: Rung
    power: PowerState
    at: float
    fresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`rung` is that which decided; None while nothing did."""

    verdict: Verdict
    rung: Rung | None


_OFF = (PowerCommand.FORCE_OFF, PowerCommand.GRACEFUL_OFF)
_RESTARTS = (PowerCommand.GRACEFUL_RESTART, PowerCommand.FORCE_RESTART, PowerCommand.CYCLE)
_OPEN = Finding(verdict=Verdict.UNCONFIRMED, rung=None)


def judge(command: PowerCommand, sent_at: float, sightings: Sequence[Sighting]) -> Finding:
    """What the sightings after `sent_at` say of the command; earlier ones say nothing.

    Off: the BMC's word confirms, since there is no other witness; what the machine does afterwards contradicts.
    On: the machine's own doing confirms; the BMC's word alone does not, and its denial contradicts.
    A restart: only a boot that began since confirms; the BMC's "on" was so before.
    An NMI leaves no trace that we could see.
    """
    seen = sorted((sighting for sighting in sightings if sighting.at > sent_at), key=_order)
    if command in _OFF:
        return _off(seen)
    if command is PowerCommand.NMI:
        return _OPEN
    return _on(seen, fresh_only=command in _RESTARTS)


def _order(sighting: Sighting) -> tuple[int, float]:
    return list(Rung).index(sighting.rung), sighting.at


def _off(seen: Sequence[Sighting]) -> Finding:
    """A machine that was still at work before the BMC said "off" was on its way there, and is no contradiction."""
    own = _last(seen, Rung.BMC)
    said_off = own is not None and own.power is PowerState.OFF
    for sighting in reversed(seen):
        late = own is None or sighting.at > own.at
        if sighting.rung is not Rung.BMC and sighting.power is PowerState.ON and said_off and late:
            return Finding(verdict=Verdict.CONTRADICTED, rung=sighting.rung)
    if own is None or own.power in (PowerState.CHANGING, PowerState.UNKNOWN):
        return _OPEN
    return Finding(verdict=Verdict.CONFIRMED if said_off else Verdict.CONTRADICTED, rung=Rung.BMC)


def _on(seen: Sequence[Sighting], *, fresh_only: bool) -> Finding:
    for sighting in reversed(seen):
        alive = sighting.rung is not Rung.BMC and sighting.power is PowerState.ON
        if alive and (sighting.fresh or not fresh_only):
            return Finding(verdict=Verdict.CONFIRMED, rung=sighting.rung)
    own = _last(seen, Rung.BMC)
    if own is None or own.power in (PowerState.CHANGING, PowerState.UNKNOWN):
        return _OPEN
    denied = own.power is PowerState.OFF
    return Finding(verdict=Verdict.CONTRADICTED if denied else Verdict.UNCONFIRMED, rung=Rung.BMC)


def _last(seen: Sequence[Sighting], rung: Rung) -> Sighting | None:
    return next((sighting for sighting in reversed(seen) if sighting.rung is rung), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRule:
    """Seconds. `first` counts until `enough` durations of the model are known."""

    floor: float
    ceiling: float
    first: float
    enough: int = 8
    margin: float = 1.5


def budget(history: Sequence[float], rule: BudgetRule) -> float:
    """How long to wait for evidence: the 95th percentile (nearest rank) of what this model took before, and a margin.

    The latest 200 durations count.
    """
    if len(history) < rule.enough:
        return min(max(rule.first, rule.floor), rule.ceiling)
    recent = sorted(history[-200:])
    p95 = recent[ceil(0.95 * len(recent)) - 1]
    return min(max(p95 * rule.margin, rule.floor), rule.ceiling)
