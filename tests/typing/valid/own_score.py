"""A score of one's own needs no base class."""

from dataclasses import dataclass
from typing import Protocol

from appliance.capabilities import AddressPlan, BareMachines
from appliance.inventory.model import Inventory
from appliance.plan import Plan
from appliance.site import Site
from appliance.topology import Rack


class Needs(BareMachines, AddressPlan, Protocol): ...


@dataclass(frozen=True)
class Nothing:
    name: str = "nothing"

    def plan(self, site: Needs, inventory: Inventory) -> Plan:
        return Plan(site=self.name)


def build(rack: Rack) -> Site[Rack]:
    return Site(name="lab", topology=rack, scores=[Nothing()])
