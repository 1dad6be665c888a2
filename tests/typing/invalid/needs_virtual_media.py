"""A rack offers no virtual media."""

from typing import Protocol

from appliance.capabilities import BareMachines, VirtualMedia
from appliance.inventory.model import Inventory
from appliance.plan import Plan
from appliance.scores.discover import Discover
from appliance.site import Site
from appliance.topology import Rack


class Needs(BareMachines, VirtualMedia, Protocol): ...


class InsertDisc:
    name = "insert-disc"

    def plan(self, site: Needs, inventory: Inventory) -> Plan:
        return Plan(site=self.name)


def in_list(rack: Rack) -> None:
    Site(name="lab", topology=rack, scores=[Discover(), InsertDisc()])  # rejected


def in_tuple(rack: Rack) -> None:
    Site(name="lab", topology=rack, scores=(InsertDisc(), Discover()))  # rejected


def alone(rack: Rack) -> None:
    Site(name="lab", topology=rack, scores=[InsertDisc()])  # rejected


def annotated(rack: Rack) -> Site[Rack]:
    return Site(name="lab", topology=rack, scores=[InsertDisc()])  # rejected
