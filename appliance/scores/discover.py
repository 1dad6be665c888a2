"""Discover: every machine's hardware is known."""

from dataclasses import dataclass, field
from typing import Protocol

from appliance.capabilities import BareMachines, BootOverride, NetworkBoot, PowerControl
from appliance.inventory.model import Inventory
from appliance.model.ids import MachineName
from appliance.plan import Enrol, Plan
from appliance.scores.score import Move, boot_agent, chain, inspect

NAME = "discover"
ENROL_SECONDS = 120.0


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
        boot_agent(name),
        inspect(name),
    )
