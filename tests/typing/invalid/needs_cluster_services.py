"""A plain rack has neither registry nor balancer for clusters."""

from typing import Protocol

from appliance.capabilities import BareMachines, ContainerRegistry, LoadBalancer
from appliance.inventory.model import Inventory
from appliance.plan import Plan
from appliance.site import Site
from appliance.topology import ClusterRack, Rack


class Needs(BareMachines, ContainerRegistry, LoadBalancer, Protocol): ...


class Cluster:
    name = "cluster"

    def plan(self, site: Needs, inventory: Inventory) -> Plan:
        return Plan(site=f"{site.cluster_address}:{site.registry.port}")


def plain(rack: Rack) -> None:
    Site(name="lab", topology=rack, scores=[Cluster()])  # rejected


def served(rack: ClusterRack) -> None:
    Site(name="lab", topology=rack, scores=[Cluster()])
