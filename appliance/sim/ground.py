"""What every simulated thing stands on."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.sim.chance import Chance
from appliance.sim.image import Image
from appliance.sim.invariants import Watch
from appliance.sim.loop import SimClock
from appliance.sim.network import Network
from appliance.sim.trace import Trace
from images.agent.ports import Disks, Http


def _http(http: Http) -> Http:
    return http


def _disks(disks: Disks) -> Disks:
    return disks


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentParts:
    """What stands between the agents and their machines; tests put faulty ones in here."""

    http: Callable[[Http], Http] = _http
    disks: Callable[[Disks], Disks] = _disks


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """`media`: what BMCs can fetch, by URL; one that is in a drive stays what it was."""

    loop: asyncio.AbstractEventLoop
    clock: SimClock
    chance: Chance
    trace: Trace
    network: Network
    watch: Watch
    image: Image
    agent: AgentParts
    media: dict[str, bytes] = field(default_factory=dict)
