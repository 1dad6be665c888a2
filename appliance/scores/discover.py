"""Discover: every machine's hardware is known."""

from dataclasses import dataclass, field
from typing import Protocol

from appliance.capabilities import BareMachines, BootOverride, NetworkBoot, PowerControl
from appliance.inventory.model import Inventory
from appliance.model.ids import MachineName
from appliance.plan import BootAgent, Enrol, Inspect, Plan
from appliance.scores.score import BOOT_AGENT_SECONDS, Move, chain

NAME = "discover"
ENROL_SECONDS = 120.0
INSPECT_SECONDS = 300.0


class DiscoverNeeds(BareMachines, PowerControl, BootOverride, NetworkBoot, Protocol): ...


@dataclass(frozen=True, slots=True)
class Discover:
    name: str = field(default=NAME, init=False)

    def plan(self, site: DiscoverNeeds, inventory: Inventory) -> Plan:
        unknown = (name for name in site.machines if inventory.record(name).facts is None)
        return Plan(
            site=self.name, steps=tuple(step for name in unknown for step in chain(self.name, name, _way(name)))
        )


def _way(name: MachineName) -> tuple[Move, ...]:
    return (
        Move(do=Enrol(), summary=f"ask the BMC who {name} is", budget=ENROL_SECONDS),
        Move(do=BootAgent(), summary=f"boot {name} into the discovery system", budget=BOOT_AGENT_SECONDS),
        Move(do=Inspect(), summary=f"read the hardware of {name}", budget=INSPECT_SECONDS),
    )
